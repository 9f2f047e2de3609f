#include "cost/receipt.h"

#include <fstream>

#include "base/clock.h"

namespace reckon {
namespace {

Json WorkJson(const Work& work) {
  return {{"tokens", work.tokens},
          {"attention_pairs", work.attention_pairs},
          {"head_rows", work.head_rows},
          {"mtp_rows", work.mtp_rows},
          {"mtp_pairs", work.mtp_pairs}};
}

// Both compilers define __VERSION__, GCC without its name.
std::string Compiler() {
#ifdef __clang__
  return __VERSION__;
#else
  return "GCC " __VERSION__;
#endif
}

double Usd(double seconds, double price_usd_per_hour) {
  return seconds / 3600 * price_usd_per_hour;
}

struct StageFlops {
  double trained = 0, sampled = 0, evaluated = 0;
  double total() const { return trained + sampled + evaluated; }
};

StageFlops FlopsOf(const ModelConfig& model, const ReceiptStage& stage) {
  return {TrainingFlops(model, stage.trained).total(), ForwardFlops(model, stage.sampled).total(),
          ForwardFlops(model, stage.evaluated).total()};
}

Json StageJson(const ReceiptInput& input, const ReceiptStage& stage) {
  const StageFlops flops = FlopsOf(input.model, stage);
  const double busy_flops = flops.trained + flops.sampled;
  return {{"name", stage.name},
          {"kind", stage.kind},
          {"steps", stage.steps},
          {"precision", stage.precision},
          {"trained", WorkJson(stage.trained)},
          {"sampled", WorkJson(stage.sampled)},
          {"evaluated", WorkJson(stage.evaluated)},
          {"generated_tokens", stage.generated_tokens},
          {"model_flops_trained", flops.trained},
          {"model_flops_sampled", flops.sampled},
          {"model_flops_evaluated", flops.evaluated},
          {"seconds", stage.seconds},
          {"evaluation_seconds", stage.evaluation_seconds},
          {"model_gflops_per_s", stage.seconds > 0 ? busy_flops / stage.seconds * 1e-9 : 0.0},
          {"price_usd", Usd(stage.seconds + stage.evaluation_seconds, input.price_usd_per_hour)},
          {"data_sha256", stage.data_hash},
          {"weight_sha256", stage.weight_hash}};
}

Json TotalJson(const ReceiptInput& input) {
  double flops = 0, seconds = 0;
  int64_t trained_tokens = 0, generated_tokens = 0;
  for (const ReceiptStage& stage : input.stages) {
    flops += FlopsOf(input.model, stage).total();
    seconds += stage.seconds + stage.evaluation_seconds;
    trained_tokens += stage.trained.tokens;
    generated_tokens += stage.generated_tokens;
  }
  return {{"model_flops", flops},
          {"trained_tokens", trained_tokens},
          {"generated_tokens", generated_tokens},
          {"stage_seconds", seconds},
          {"wall_s", input.wall_s},
          {"cost_usd", Usd(input.wall_s, input.price_usd_per_hour)}};
}

}  // namespace

std::string CpuModelName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

Json MakeReceipt(const ReceiptInput& input) {
  const ParameterCount count = CountParameters(input.model);
  Json receipt = {
      {"schema", "reckon-receipt/1"},
      {"written_at", UtcNowIso8601()},
      {"name", input.name},
      {"recipe_sha256", input.recipe_hash},
      {"seed", input.seed},
      {"versions", {{"reckon", RECKON_VERSION}, {"compiler", Compiler()}}},
      {"machine",
       {{"cpu", input.machine.cpu},
        {"isa", input.machine.isa},
        {"threads", input.machine.threads}}},
      {"model",
       {{"model_type", input.model.model_type},
        {"parameters_total", count.total},
        {"parameters_active", count.active},
        {"parameters_mtp", count.mtp_total}}},
      {"flops_method",
       "by formula: 2 per multiply-add of weights and causal attention, backward counted as twice "
       "the forward"},
      {"initial_weight_sha256", input.initial_weight_hash},
      {"final_weight_sha256", input.final_weight_hash},
      {"price", {{"usd_per_hour", input.price_usd_per_hour}, {"source", input.price_source}}}};
  Json stages = Json::array();
  for (const ReceiptStage& stage : input.stages) stages.push_back(StageJson(input, stage));
  receipt["stages"] = std::move(stages);
  receipt["total"] = TotalJson(input);
  return receipt;
}

}  // namespace reckon
