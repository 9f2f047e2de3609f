#include "train/supervised.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "ops/log_prob.h"
#include "train/optimizer_config.h"

namespace reckon {
namespace {

Batch AsBatch(const PackedRows& pack) {
  Batch batch;
  batch.token_ids = pack.token_ids;
  batch.positions = pack.positions;
  for (const PackedRows::Span& span : pack.spans) {
    batch.sequences.push_back({span.begin, span.count, nullptr});
  }
  return batch;
}

// The rows of a pack that MTP depth d (0-based) is fed with: those whose token at distance d + 2
// exists. Row i takes the embedding of the token at distance d + 1 and predicts the one at d + 2.
struct MtpRows {
  Batch batch;
  std::vector<int32_t> next;       // [rows]: the token whose embedding is fed
  std::vector<int64_t> from_rows;  // rows of the previous depth's states
  std::vector<int64_t> target_rows;
  std::vector<int32_t> targets;
};

MtpRows MakeMtpRows(const PackedRows& pack, int64_t depth) {
  MtpRows rows;
  int64_t previous_begin = 0;  // of the span in the previous depth's rows
  for (const PackedRows::Span& span : pack.spans) {
    const int64_t previous_count = std::max<int64_t>(span.count - depth, 0);
    const int64_t count = span.count - depth - 1;
    const int64_t begin = rows.batch.rows();
    for (int64_t i = 0; i < count; ++i) {
      const size_t fed = static_cast<size_t>(span.begin + i + depth), target = fed + 1;
      rows.batch.token_ids.push_back(pack.token_ids[static_cast<size_t>(span.begin + i)]);
      rows.batch.positions.push_back(static_cast<int32_t>(i));
      rows.next.push_back(pack.next[fed]);
      rows.from_rows.push_back(previous_begin + i);
      if (pack.learnt[target] == 0) continue;
      rows.target_rows.push_back(begin + i);
      rows.targets.push_back(pack.next[target]);
    }
    if (count > 0) rows.batch.sequences.push_back({begin, count, nullptr});
    previous_begin += previous_count;
  }
  return rows;
}

// Sum of the negative log-probabilities; seeds their gradient with -weight.
double SeedLoss(const LogProbs& logprobs, double weight) {
  double sum = 0;
  const Matrix values = logprobs.values.value(), grad = logprobs.values.grad();
  for (int64_t i = 0; i < values.rows; ++i) {
    sum -= values.row(i)[0];
    grad.row(i)[0] = static_cast<float>(-weight);
  }
  return sum;
}

struct StepTotals {
  double loss = 0, mtp_loss = 0, balance_loss = 0;  // loss: sum over targets; then means
  int64_t targets = 0, rows = 0, sequences = 0;
  std::vector<int64_t> mtp_targets;  // per depth
  std::vector<std::vector<int64_t>> expert_counts;
};

// Busiest expert over the mean, the largest over all layers.
double MaxViolation(const std::vector<std::vector<int64_t>>& expert_counts) {
  double worst = 0;
  for (const std::vector<int64_t>& counts : expert_counts) {
    int64_t total = 0, most = 0;
    for (int64_t count : counts) {
      total += count;
      most = std::max(most, count);
    }
    if (total > 0) {
      worst = std::max(worst, static_cast<double>(most) * static_cast<double>(counts.size()) /
                                  static_cast<double>(total));
    }
  }
  return worst;
}

class SupervisedRun {
 public:
  SupervisedRun(StageContext& context, Model& model, const ExampleSource& source,
                const ExampleSource* validation, const SupervisedConfig& config)
      : context_(context),
        model_(model),
        source_(source),
        validation_(validation),
        config_(config),
        optimizer_(model.parameters(), config.optimizer) {}

  SupervisedResult Run() {
    Resume();
    started_s_ = MonotonicSeconds();
    seconds_before_ = result_.seconds;
    MetricsWriter writer(context_.folder, result_.steps);
    while (result_.steps < config_.steps && !OutOfTime()) {
      if (Interrupted()) StopInterrupted(writer);
      Step(writer);
      const int64_t every = context_.checkpoint_every_steps;
      if (every > 0 && result_.steps % every == 0) Save(writer);
    }
    Save(writer);
    return result_;
  }

 private:
  bool OutOfTime() const { return config_.time_limit_s > 0 && Seconds() >= config_.time_limit_s; }
  double Seconds() const { return seconds_before_ + MonotonicSeconds() - started_s_; }

  void Resume() {
    const std::optional<Json> saved = LoadStageCheckpoint(context_, model_, optimizer_);
    if (!saved) return;
    ObjectReader state(*saved, context_.folder + "/checkpoint/state.json");
    result_.steps = state.Int("step", 0, int64_t{1} << 60);
    result_.seconds = state.Number("seconds", 0, 1e12);
    result_.loss = state.Number("loss", -1e12, 1e12);
    result_.validation_loss = state.Number("validation_loss", -1e12, 1e12);
    result_.trained = ParseWork(state.Get("trained"));
    result_.evaluated = ParseWork(state.Get("evaluated"));
    saved_step_ = result_.steps;
  }

  void Save(MetricsWriter& writer) {
    result_.seconds = Seconds();
    writer.Flush();
    if (saved_step_ == result_.steps) return;
    SaveStageCheckpoint(context_, model_, optimizer_,
                        {{"step", result_.steps},
                         {"seconds", result_.seconds},
                         {"loss", result_.loss},
                         {"validation_loss", result_.validation_loss},
                         {"trained", ToJson(result_.trained)},
                         {"evaluated", ToJson(result_.evaluated)}});
    saved_step_ = result_.steps;
  }

  [[noreturn]] void StopInterrupted(MetricsWriter& writer) {
    Save(writer);
    Throw(ErrorKind::kCancelled,
          fmt::format("{}: interrupted after step {} of {}; the checkpoint is written, the same "
                      "command goes on from there",
                      context_.name, result_.steps, config_.steps));
  }

  void Step(MetricsWriter& writer) {
    const double begin_s = MonotonicSeconds();
    const std::vector<PackedRows> packs =
        Pack(source_.Step(result_.steps), config_.max_rows_per_micro_batch);
    StepTotals totals = CountTargets(packs);
    if (totals.targets == 0) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: step {} has no token to learn", context_.name, result_.steps));
    }
    for (const PackedRows& pack : packs) Accumulate(pack, totals);
    const double learning_rate = config_.schedule.At(result_.steps);
    const double grad_norm = optimizer_.Step(context_.rt, learning_rate);
    model_.ZeroGrad();
    if (config_.bias_update_speed > 0) {
      UpdateCorrectionBias(model_, totals.expert_counts,
                           static_cast<float>(config_.bias_update_speed));
    }
    Report(writer, totals, learning_rate, grad_norm, MonotonicSeconds() - begin_s);
  }

  int64_t Depths() const {
    return config_.mtp_loss_weight > 0 ? model_.config().num_nextn_predict_layers : 0;
  }

  // The denominators: tokens of the whole step, however it is cut into micro-batches.
  StepTotals CountTargets(const std::vector<PackedRows>& packs) const {
    StepTotals totals;
    totals.mtp_targets.assign(static_cast<size_t>(Depths()), 0);
    for (const PackedRows& pack : packs) {
      totals.rows += static_cast<int64_t>(pack.token_ids.size());
      totals.targets += static_cast<int64_t>(pack.targets.size());
      totals.sequences += static_cast<int64_t>(pack.spans.size());
      for (int64_t d = 0; d < Depths(); ++d) {
        totals.mtp_targets[static_cast<size_t>(d)] +=
            static_cast<int64_t>(MakeMtpRows(pack, d).targets.size());
      }
    }
    return totals;
  }

  // Forward and backward of one micro-batch.
  void Accumulate(const PackedRows& pack, StepTotals& totals) {
    const Runtime& rt = context_.rt;
    Tape tape;
    ForwardOptions options;
    options.balance_alpha =
        static_cast<float>(config_.balance_alpha / static_cast<double>(totals.sequences));
    ForwardReport report;
    report.expert_counts = std::move(totals.expert_counts);
    const Variable hidden = model_.Forward(rt, &tape, AsBatch(pack), options, &report);
    if (!pack.targets.empty()) {
      const bool all = pack.targets.size() == pack.token_ids.size();
      const Variable rows = all ? hidden : GatherRows(rt, &tape, hidden, pack.target_rows);
      const LogProbs logprobs =
          TokenLogProbs(rt, &tape, model_.Logits(rt, &tape, rows), pack.targets);
      totals.loss += SeedLoss(logprobs, 1.0 / static_cast<double>(totals.targets));
    }
    AccumulateMtp(tape, pack, hidden, options, report, totals);
    tape.Backward();
    totals.balance_loss += report.balance_loss;
    totals.expert_counts = std::move(report.expert_counts);
    for (const PackedRows::Span& span : pack.spans) {
      result_.trained += SequenceWork(0, span.count, 0);
    }
    result_.trained.head_rows += static_cast<int64_t>(pack.targets.size());
  }

  void AccumulateMtp(Tape& tape, const PackedRows& pack, const Variable& hidden,
                     const ForwardOptions& options, ForwardReport& report, StepTotals& totals) {
    const Runtime& rt = context_.rt;
    Variable state = hidden;
    for (int64_t d = 0; d < Depths(); ++d) {
      const MtpRows rows = MakeMtpRows(pack, d);
      if (rows.targets.empty()) return;
      const Variable from = GatherRows(rt, &tape, state, rows.from_rows);
      state = model_.MtpForward(rt, &tape, d, from, rows.next, rows.batch, options, &report);
      const Variable chosen = GatherRows(rt, &tape, state, rows.target_rows);
      const LogProbs logprobs =
          TokenLogProbs(rt, &tape, model_.MtpLogits(rt, &tape, d, chosen), rows.targets);
      const double count = static_cast<double>(totals.mtp_targets[static_cast<size_t>(d)]);
      const double depths = static_cast<double>(Depths());
      totals.mtp_loss +=
          SeedLoss(logprobs, config_.mtp_loss_weight / depths / count) / count / depths;
      for (const Batch::Sequence& s : rows.batch.sequences) {
        result_.trained.mtp_rows += s.row_count;
        result_.trained.mtp_pairs += s.row_count * (s.row_count + 1) / 2;
      }
    }
  }

  void Report(MetricsWriter& writer, const StepTotals& totals, double learning_rate,
              double grad_norm, double step_s) {
    result_.loss = totals.loss / static_cast<double>(totals.targets);
    Metrics metrics = {{"loss", result_.loss},
                       {"grad_norm", grad_norm},
                       {"learning_rate", learning_rate},
                       {"tokens", static_cast<double>(totals.rows)},
                       {"tokens_per_s", static_cast<double>(totals.rows) / step_s}};
    if (Depths() > 0) metrics.emplace_back("mtp_loss", totals.mtp_loss);
    if (config_.balance_alpha > 0) metrics.emplace_back("balance_loss", totals.balance_loss);
    if (!totals.expert_counts.empty()) {
      metrics.emplace_back("max_violation", MaxViolation(totals.expert_counts));
    }
    const int64_t step = result_.steps++;
    const int64_t every = config_.validate_every_steps;
    if (validation_ != nullptr && every > 0 && (step + 1) % every == 0) {
      result_.validation_loss =
          MeanLoss(context_.rt, model_, *validation_, config_.validation_batches,
                   config_.max_rows_per_micro_batch, &result_.evaluated);
      metrics.emplace_back("validation_loss", result_.validation_loss);
    }
    writer.Write(step, metrics);
    result_.seconds = Seconds();
    if (!context_.on_step) return;
    StageProgress progress;
    progress.stage = context_.name;
    progress.step = result_.steps;
    progress.total_steps = config_.steps;
    progress.time_limit_s = config_.time_limit_s;
    progress.seconds = result_.seconds;
    progress.tokens_per_s = static_cast<double>(totals.rows) / step_s;
    progress.metrics = &metrics;
    context_.on_step(progress);
  }

  StageContext& context_;
  Model& model_;
  const ExampleSource& source_;
  const ExampleSource* validation_;
  const SupervisedConfig& config_;
  AdamW optimizer_;
  SupervisedResult result_;  // result_.steps is the next step
  double started_s_ = 0, seconds_before_ = 0;
  int64_t saved_step_ = -1;
};

}  // namespace

SupervisedConfig ParseSupervisedConfig(ObjectReader& reader) {
  constexpr int64_t kManySteps = 100'000'000;
  SupervisedConfig c;
  c.steps = reader.Int("steps", 1, kManySteps);
  ReadOptimizer(reader, c.steps, c.optimizer, c.schedule);
  c.mtp_loss_weight = reader.Number("mtp_loss_weight", 0, 100, c.mtp_loss_weight);
  c.balance_alpha = reader.Number("balance_alpha", 0, 100, c.balance_alpha);
  c.bias_update_speed = reader.Number("bias_update_speed", 0, 1, c.bias_update_speed);
  c.validate_every_steps =
      reader.Int("validate_every_steps", 0, kManySteps, c.validate_every_steps);
  c.validation_batches = reader.Int("validation_batches", 1, 1 << 20, c.validation_batches);
  c.max_rows_per_micro_batch =
      reader.Int("max_rows_per_micro_batch", 1, 1 << 24, c.max_rows_per_micro_batch);
  c.time_limit_s = reader.Number("time_limit_s", 0, 1e9, c.time_limit_s);
  return c;
}

SupervisedResult RunSupervised(StageContext& context, Model& model, const ExampleSource& source,
                               const ExampleSource* validation, const SupervisedConfig& config) {
  return SupervisedRun(context, model, source, validation, config).Run();
}

double MeanLoss(const Runtime& rt, Model& model, const ExampleSource& source, int64_t batches,
                int64_t max_rows, Work* work) {
  double sum = 0;
  int64_t count = 0;
  for (int64_t step = 0; step < batches; ++step) {
    for (const PackedRows& pack : Pack(source.Step(step), max_rows)) {
      if (pack.targets.empty()) continue;
      const Variable hidden = model.Forward(rt, nullptr, AsBatch(pack));
      const Variable rows = GatherRows(rt, nullptr, hidden, pack.target_rows);
      const LogProbs logprobs =
          TokenLogProbs(rt, nullptr, model.Logits(rt, nullptr, rows), pack.targets);
      for (int64_t i = 0; i < rows.rows(); ++i) sum -= logprobs.values.value().row(i)[0];
      count += rows.rows();
      if (work == nullptr) continue;
      for (const PackedRows::Span& span : pack.spans) *work += SequenceWork(0, span.count, 0);
      work->head_rows += rows.rows();
    }
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

Json ToJson(const Work& work) {
  return {{"tokens", work.tokens},
          {"attention_pairs", work.attention_pairs},
          {"head_rows", work.head_rows},
          {"mtp_rows", work.mtp_rows},
          {"mtp_pairs", work.mtp_pairs}};
}

Work ParseWork(const Json& json) {
  constexpr int64_t kMax = int64_t{1} << 62;
  ObjectReader reader(json, "work");
  Work work;
  work.tokens = reader.Int("tokens", 0, kMax);
  work.attention_pairs = reader.Int("attention_pairs", 0, kMax);
  work.head_rows = reader.Int("head_rows", 0, kMax);
  work.mtp_rows = reader.Int("mtp_rows", 0, kMax);
  work.mtp_pairs = reader.Int("mtp_pairs", 0, kMax);
  return work;
}

}  // namespace reckon
