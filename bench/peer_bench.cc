// Training tokens/s, sampling tokens/s and the time of a GRPO step on a given config, with the
// share of this machine's measured matrix-product peak. Prints one JSON object;
// bench/peers/compare.py runs it beside PyTorch.
//
// usage: peer_bench CONFIG.json [--threads N] [--repeat N] [--precision bf16|f32] [--only LIST]

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "cost/flops.h"
#include "infer/generate.h"
#include "model/model.h"
#include "ops/elementwise.h"
#include "ops/log_prob.h"
#include "train/adamw.h"

namespace reckon {
namespace {

// The shapes of docs/performance.md, the same as in bench/peers/torch_bench.py.
constexpr int64_t kTrainBatch = 16, kTrainLen = 256;
constexpr int64_t kGenBatch = 64, kGenPrompt = 32, kGenNew = 128;
constexpr int64_t kGrpoPrompts = 64, kGrpoSamples = 8, kGrpoPrompt = 32, kGrpoNew = 64;
constexpr int64_t kMicroBatchRows = 2048;

struct Options {
  std::string config;
  int threads = 2;
  int repeat = 3;
  Precision precision = Precision::kBF16;
  std::string only = "peak,train,generate,grpo";
};

std::vector<int32_t> RandomIds(Rng& rng, int64_t vocab_size, int64_t count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = static_cast<int32_t>(2 + rng.Below(vocab_size - 2));
  return ids;
}

template <typename F>
double MedianSeconds(int repeat, F&& function) {
  function();  // warm-up
  std::vector<double> seconds;
  for (int i = 0; i < repeat; ++i) {
    const double begin = MonotonicSeconds();
    function();
    seconds.push_back(MonotonicSeconds() - begin);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

// A sequence whose tokens from `first_target` on are learnt, each with the weight given.
struct WeightedSequence {
  std::vector<int32_t> ids;
  int64_t first_target = 1;
  float weight = 1;
};

// Forward and backward of the sequences, in micro-batches, then one AdamW step.
void TrainOn(const Runtime& rt, Model& model, AdamW& optimizer,
             const std::vector<WeightedSequence>& sequences) {
  for (size_t next = 0; next < sequences.size();) {
    Batch batch;
    std::vector<int64_t> rows;
    std::vector<int32_t> targets;
    std::vector<float> weights;
    while (next < sequences.size() && batch.rows() < kMicroBatchRows) {
      const WeightedSequence& s = sequences[next++];
      const int64_t begin = batch.rows(), count = static_cast<int64_t>(s.ids.size()) - 1;
      batch.Append({s.ids.data(), static_cast<size_t>(count)});
      for (int64_t i = s.first_target - 1; i < count; ++i) {
        rows.push_back(begin + i);
        targets.push_back(s.ids[static_cast<size_t>(i + 1)]);
        weights.push_back(s.weight);
      }
    }
    Tape tape;
    const Variable hidden = model.Forward(rt, &tape, batch);
    const bool all = static_cast<int64_t>(rows.size()) == batch.rows();
    const Variable chosen = all ? hidden : GatherRows(rt, &tape, hidden, rows);
    const LogProbs logprobs = TokenLogProbs(rt, &tape, model.Logits(rt, &tape, chosen), targets);
    const Matrix grad = logprobs.values.grad();
    for (size_t i = 0; i < rows.size(); ++i) grad.row(static_cast<int64_t>(i))[0] = -weights[i];
    tape.Backward();
  }
  optimizer.Step(rt, 1e-4);
  model.ZeroGrad();
}

// The best rate that the matrix kernel of the training precision reaches on all threads: the
// denominator of the shares.
double GemmPeakGflops(const Runtime& rt) {
  constexpr int64_t kM = 1024, kN = 768, kK = 256;
  const bool bf16 = rt.precision == Precision::kBF16;
  Tensor a = Tensor::Zeros(DType::kF32, {kM, kK}), b = Tensor::Zeros(DType::kF32, {kN, kK});
  Tensor panels =
      Tensor::Zeros(bf16 ? DType::kBF16 : DType::kF32, {kN / kPanelCols, kK, kPanelCols});
  const PackArgs pack{kK, kN, b.f32(), 1, kK, panels.bytes(), kK * kPanelCols};
  (bf16 ? rt.kernels->pack_bf16 : rt.kernels->pack_f32)(pack);
  const int64_t tasks = rt.pool->num_threads();
  Tensor c = Tensor::Zeros(DType::kF32, {tasks * kM, kN});
  constexpr int kInner = 8;
  double best = 1e30;
  for (int round = 0; round < 8; ++round) {
    const double begin = MonotonicSeconds();
    rt.pool->ParallelFor(tasks, [&](int64_t task) {
      GemmArgs args{
          kM, kN,   kK, a.f32(), kK, 1, panels.bytes(), kK * kPanelCols, c.f32() + task * kM * kN,
          kN, false};
      for (int i = 0; i < kInner; ++i) (bf16 ? rt.kernels->gemm_bf16 : rt.kernels->gemm_f32)(args);
    });
    best = std::min(best, MonotonicSeconds() - begin);
  }
  return 2.0 * kM * kN * kK * kInner * static_cast<double>(tasks) / best * 1e-9;
}

void BenchTraining(const Runtime& rt, Model& model, AdamW& optimizer, const Options& options,
                   double peak_gflops, Json& result) {
  Rng rng(1, {StreamName("bench-train")});
  std::vector<WeightedSequence> sequences;
  for (int64_t i = 0; i < kTrainBatch; ++i) {
    sequences.push_back({RandomIds(rng, model.config().vocab_size, kTrainLen + 1), 1,
                         1.0f / (kTrainBatch * kTrainLen)});
  }
  const double seconds =
      MedianSeconds(options.repeat, [&] { TrainOn(rt, model, optimizer, sequences); });
  Work work;
  for (int64_t i = 0; i < kTrainBatch; ++i) work += SequenceWork(0, kTrainLen, kTrainLen);
  const double gflops = TrainingFlops(model.config(), work).total() / seconds * 1e-9;
  result["train_tokens_per_s"] = kTrainBatch * kTrainLen / seconds;
  result["train_model_gflops_per_s"] = gflops;
  if (peak_gflops > 0) result["train_share_of_gemm_peak"] = gflops / peak_gflops;
}

std::vector<GenerateRequest> Requests(Model& model, int64_t prompts, int64_t samples,
                                      int64_t prompt_len, int64_t new_tokens) {
  Rng rng(2, {StreamName("bench-generate")});
  std::vector<GenerateRequest> requests;
  for (int64_t p = 0; p < prompts; ++p) {
    GenerateRequest request;
    request.prompt_ids = RandomIds(rng, model.config().vocab_size, prompt_len);
    request.max_new_tokens = new_tokens;
    for (int64_t s = 0; s < samples; ++s) {
      request.stream = static_cast<uint64_t>(p * samples + s);
      requests.push_back(request);
    }
  }
  return requests;
}

void BenchGeneration(const Runtime& rt, Model& model, const Options& options, Json& result) {
  const auto requests = Requests(model, kGenBatch, 1, kGenPrompt, kGenNew);
  GenerateOptions generate;
  generate.max_batch = kGenBatch;
  const double seconds =
      MedianSeconds(options.repeat, [&] { Generate(rt, model, requests, generate); });
  result["generate_tokens_per_s"] = kGenBatch * kGenNew / seconds;
}

void BenchGrpoStep(const Runtime& rt, Model& model, AdamW& optimizer, Json& result) {
  const auto requests = Requests(model, kGrpoPrompts, kGrpoSamples, kGrpoPrompt, kGrpoNew);
  GenerateOptions generate;
  generate.max_batch = 256;
  double rollout_s = 0, update_s = 0;
  const auto step = [&] {
    const double begin = MonotonicSeconds();
    const auto samples = Generate(rt, model, requests, generate);
    rollout_s = MonotonicSeconds() - begin;
    std::vector<WeightedSequence> sequences;
    for (size_t i = 0; i < samples.size(); ++i) {
      WeightedSequence s{requests[i].prompt_ids, kGrpoPrompt, (i % 2 == 0 ? 1.0f : -1.0f) * 1e-4f};
      s.ids.insert(s.ids.end(), samples[i].token_ids.begin(), samples[i].token_ids.end());
      sequences.push_back(std::move(s));
    }
    TrainOn(rt, model, optimizer, sequences);
    update_s = MonotonicSeconds() - begin - rollout_s;
  };
  result["grpo_step_s"] = MedianSeconds(1, step);
  result["grpo_rollout_s"] = rollout_s;
  result["grpo_update_s"] = update_s;
}

void AddOptions(CLI::App& app, Options& options) {
  const std::map<std::string, Precision> precisions = {{"f32", Precision::kF32},
                                                       {"bf16", Precision::kBF16}};
  app.add_option("config", options.config, "config.json of the model")->required();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--repeat", options.repeat)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--precision", options.precision)->transform(CLI::CheckedTransformer(precisions));
  app.add_option("--only", options.only, "Of peak,train,generate,grpo")->capture_default_str();
}

void Run(const Options& options) {
  KeepFreedMemory();
  const RuntimeOwner runtime(options.threads, options.precision);
  const Runtime& rt = runtime.get();
  Model model(ParseModelConfig(ReadJsonFile(options.config), options.config));
  model.Initialize(0);
  AdamW optimizer(model.parameters(), AdamWConfig{});
  const auto wants = [&](const char* part) { return options.only.find(part) != std::string::npos; };
  Json result = {{"isa", rt.kernels->isa},
                 {"precision", options.precision == Precision::kBF16 ? "bf16" : "f32"},
                 {"threads", options.threads},
                 {"parameters", CountParameters(model.config()).total}};
  const double peak = wants("peak") ? GemmPeakGflops(rt) : 0;
  if (peak > 0) result["gemm_peak_gflops"] = peak;
  if (wants("train")) BenchTraining(rt, model, optimizer, options, peak, result);
  if (wants("generate")) BenchGeneration(rt, model, options, result);
  if (wants("grpo")) BenchGrpoStep(rt, model, optimizer, result);
  std::puts(result.dump().c_str());
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  CLI::App app("Training, sampling and a GRPO step on random weights");
  reckon::Options options;
  reckon::AddOptions(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    reckon::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
