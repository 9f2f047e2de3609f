#include "rl/grpo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/rng.h"
#include "model/weights.h"
#include "rl/policy_update.h"
#include "rl/rollout.h"
#include "train/supervised.h"

namespace reckon {
namespace {

constexpr const char* kReferenceFolder = "reference";

// Weights and correction biases of one model into another of the same shape.
void CopyWeights(Model& from, Model& to) {
  std::vector<Model::NamedTensor> sources = from.named_tensors(), targets = to.named_tensors();
  Check(sources.size() == targets.size(), "CopyWeights: the models differ");
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto count = static_cast<size_t>(NumElements(sources[i].shape));
    std::memcpy(targets[i].data, sources[i].data, count * sizeof(float));
  }
  to.Changed();
}

double Ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

// What all updates of a step add up to.
struct StepUpdates {
  PolicyUpdateStats sum;
  int64_t updates = 0, mismatched_tokens = 0;
};

class GrpoRun {
 public:
  GrpoRun(StageContext& context, Model& model, const Tokenizer& tokenizer, const GrpoConfig& config)
      : context_(context),
        model_(model),
        tokenizer_(tokenizer),
        config_(config),
        optimizer_(model.parameters(), config.optimizer) {}
  GrpoResult Run();

 private:
  void Resume();
  void Save();
  Json State() const;
  void SyncReference();
  void Step(MetricsWriter& writer);
  std::vector<PolicySequence> MakeSequences(const Rollout& rollout) const;
  StepUpdates Update(std::vector<PolicySequence>& sequences);
  void AddUpdate(const PolicyUpdateStats& stats, bool first, StepUpdates& updates) const;
  Metrics StepMetrics(const RolloutTotals& totals, const StepUpdates& updates, double rollout_s,
                      double update_s) const;
  void CountAccuracy(double accuracy);
  [[noreturn]] void StopInterrupted();

  StageContext& context_;
  Model& model_;
  const Tokenizer& tokenizer_;
  const GrpoConfig& config_;
  AdamW optimizer_;
  std::unique_ptr<Model> reference_;  // with beta > 0
  GrpoResult result_;                 // result_.steps is the next step
  std::vector<double> accuracies_;    // of the last target_window_steps steps
  double started_s_ = 0, seconds_before_ = 0;
  int64_t saved_step_ = -1;
};

GrpoResult GrpoRun::Run() {
  if (config_.loss.beta > 0) {
    reference_ = std::make_unique<Model>(model_.config());
    CopyWeights(model_, *reference_);
  }
  Resume();
  started_s_ = MonotonicSeconds();
  seconds_before_ = result_.seconds;
  MetricsWriter writer(context_.folder, result_.steps);
  while (result_.steps < config_.steps && !result_.reached_target) {
    if (Interrupted()) StopInterrupted();
    SyncReference();
    Step(writer);
    const int64_t every = context_.checkpoint_every_steps;
    if (every > 0 && result_.steps % every == 0) {
      writer.Flush();
      Save();
    }
  }
  writer.Flush();
  Save();
  return result_;
}

void GrpoRun::Resume() {
  const auto load_reference = [&](const std::string& folder) {
    if (reference_ == nullptr) return;
    const std::unique_ptr<Model> saved = LoadModel(folder + "/" + kReferenceFolder);
    CopyWeights(*saved, *reference_);
  };
  const std::optional<Json> saved =
      LoadStageCheckpoint(context_, model_, optimizer_, load_reference);
  if (!saved) return;
  ObjectReader state(*saved, context_.folder + "/checkpoint/state.json");
  constexpr int64_t kMax = int64_t{1} << 60;
  result_.steps = state.Int("step", 0, kMax);
  result_.seconds = state.Number("seconds", 0, 1e12);
  result_.rollout_seconds = state.Number("rollout_seconds", 0, 1e12);
  result_.update_seconds = state.Number("update_seconds", 0, 1e12);
  result_.response_tokens = state.Int("response_tokens", 0, kMax);
  result_.sampled = ParseWork(state.Get("sampled"));
  result_.reference = ParseWork(state.Get("reference"));
  result_.trained = ParseWork(state.Get("trained"));
  result_.mismatched_tokens = state.Int("mismatched_tokens", 0, kMax);
  result_.reached_target = state.Bool("reached_target");
  accuracies_ = state.Get("accuracies").get<std::vector<double>>();
  CountAccuracy(-1);
  saved_step_ = result_.steps;
}

Json GrpoRun::State() const {
  return {{"step", result_.steps},
          {"seconds", result_.seconds},
          {"rollout_seconds", result_.rollout_seconds},
          {"update_seconds", result_.update_seconds},
          {"response_tokens", result_.response_tokens},
          {"sampled", ToJson(result_.sampled)},
          {"reference", ToJson(result_.reference)},
          {"trained", ToJson(result_.trained)},
          {"mismatched_tokens", result_.mismatched_tokens},
          {"reached_target", result_.reached_target},
          {"accuracies", accuracies_}};
}

void GrpoRun::Save() {
  result_.seconds = seconds_before_ + MonotonicSeconds() - started_s_;
  if (saved_step_ == result_.steps) return;
  SaveStageCheckpoint(context_, model_, optimizer_, State(), [&](const std::string& folder) {
    if (reference_ == nullptr) return;
    const std::string reference_folder = folder + "/" + kReferenceFolder;
    MakeFolders(reference_folder);
    SaveModel(*reference_, reference_folder);
  });
  saved_step_ = result_.steps;
}

void GrpoRun::StopInterrupted() {
  Save();
  Throw(ErrorKind::kCancelled,
        fmt::format("{}: interrupted after step {} of {}; the checkpoint is written, the same "
                    "command goes on from there",
                    context_.name, result_.steps, config_.steps));
}

void GrpoRun::SyncReference() {
  const int64_t every = config_.ref_model_sync_steps;
  if (reference_ == nullptr || every == 0 || result_.steps == 0) return;
  if (result_.steps % every == 0) CopyWeights(model_, *reference_);
}

void GrpoRun::Step(MetricsWriter& writer) {
  const double begin_s = MonotonicSeconds();
  const Rollout rollout = SampleRollout(context_.rt, model_, tokenizer_, config_, result_.steps);
  if (rollout.cancelled) StopInterrupted();
  const double rollout_s = MonotonicSeconds() - begin_s;
  std::vector<PolicySequence> sequences = MakeSequences(rollout);
  const StepUpdates updates = Update(sequences);
  const double update_s = MonotonicSeconds() - begin_s - rollout_s;

  result_.rollout_seconds += rollout_s;
  result_.update_seconds += update_s;
  result_.sampled += rollout.totals.work;
  result_.response_tokens += rollout.totals.response_tokens;
  result_.trained += updates.sum.work;
  result_.mismatched_tokens += updates.mismatched_tokens;
  CountAccuracy(Ratio(static_cast<double>(rollout.totals.correct),
                      static_cast<double>(rollout.totals.samples)));
  const Metrics metrics = StepMetrics(rollout.totals, updates, rollout_s, update_s);
  writer.Write(result_.steps, metrics);
  ++result_.steps;
  result_.seconds = seconds_before_ + MonotonicSeconds() - started_s_;
  if (!context_.on_step) return;
  StageProgress progress;
  progress.stage = context_.name;
  progress.step = result_.steps;
  progress.total_steps = config_.steps;
  progress.seconds = result_.seconds;
  progress.tokens_per_s =
      static_cast<double>(rollout.totals.response_tokens) / (rollout_s + update_s);
  progress.metrics = &metrics;
  context_.on_step(progress);
}

// Moves the window; a negative accuracy only refreshes the mean.
void GrpoRun::CountAccuracy(double accuracy) {
  if (accuracy >= 0) accuracies_.push_back(accuracy);
  const auto window = static_cast<size_t>(config_.target_window_steps);
  if (accuracies_.size() > window) accuracies_.erase(accuracies_.begin());
  if (accuracies_.empty()) return;
  result_.accuracy = std::accumulate(accuracies_.begin(), accuracies_.end(), 0.0) /
                     static_cast<double>(accuracies_.size());
  if (config_.target_accuracy > 0 && accuracies_.size() == window &&
      result_.accuracy >= config_.target_accuracy) {
    result_.reached_target = true;
  }
}

std::vector<PolicySequence> GrpoRun::MakeSequences(const Rollout& rollout) const {
  std::vector<float> rewards;
  for (const RolloutGroup& group : rollout.groups) {
    for (const RolloutSample& sample : group.samples) rewards.push_back(sample.reward);
  }
  const std::vector<float> advantages = GroupAdvantages(
      rewards, config_.num_generations, config_.scale_rewards, config_.advantage_epsilon);
  std::vector<PolicySequence> sequences;
  for (const RolloutGroup& group : rollout.groups) {
    for (const RolloutSample& sample : group.samples) {
      PolicySequence sequence;
      sequence.prompt_ids = group.prompt_ids;
      sequence.response_ids = sample.response.token_ids;
      sequence.old_logprobs = sample.response.logprobs;
      sequence.advantage = advantages[sequences.size()];
      sequences.push_back(std::move(sequence));
    }
  }
  return sequences;
}

StepUpdates GrpoRun::Update(std::vector<PolicySequence>& sequences) {
  StepUpdates updates;
  if (sequences.empty()) return updates;  // every group was dropped
  if (reference_ != nullptr) {
    result_.reference += FillReference(context_.rt, *reference_, config_, sequences);
  }
  const double learning_rate = config_.schedule.At(result_.steps);
  std::vector<const PolicySequence*> order;
  for (const PolicySequence& sequence : sequences) order.push_back(&sequence);
  const size_t parts = std::min(order.size(), static_cast<size_t>(config_.num_mini_batches));
  for (int64_t iteration = 0; iteration < config_.num_iterations; ++iteration) {
    if (parts > 1) {
      Rng rng(config_.seed, {StreamName("grpo-mini-batches"), static_cast<uint64_t>(result_.steps),
                             static_cast<uint64_t>(iteration)});
      for (size_t i = order.size() - 1; i > 0; --i) {
        std::swap(order[i], order[static_cast<size_t>(rng.Below(static_cast<int64_t>(i + 1)))]);
      }
    }
    for (size_t part = 0; part < parts; ++part) {
      const auto begin = order.begin() + static_cast<int64_t>(order.size() * part / parts);
      const auto end = order.begin() + static_cast<int64_t>(order.size() * (part + 1) / parts);
      const PolicyUpdateStats stats =
          UpdatePolicy(context_.rt, model_, optimizer_, {begin, end}, config_, learning_rate);
      AddUpdate(stats, iteration == 0 && part == 0, updates);
    }
  }
  return updates;
}

void GrpoRun::AddUpdate(const PolicyUpdateStats& stats, bool first, StepUpdates& updates) const {
  // Only before the first update is the policy the one that was sampled.
  if (first) updates.mismatched_tokens = stats.mismatched_tokens;
  ++updates.updates;
  updates.sum.loss += stats.loss;
  updates.sum.balance_loss += stats.balance_loss;
  updates.sum.kl += stats.kl;
  updates.sum.kl_sampler += stats.kl_sampler;
  updates.sum.tokens += stats.tokens;
  updates.sum.clipped_tokens += stats.clipped_tokens;
  updates.sum.work += stats.work;
  updates.sum.grad_norm += stats.grad_norm;
}

Metrics GrpoRun::StepMetrics(const RolloutTotals& totals, const StepUpdates& updates,
                             double rollout_s, double update_s) const {
  const auto samples = static_cast<double>(totals.samples);
  const auto tokens = static_cast<double>(totals.response_tokens);
  const auto trained = static_cast<double>(updates.sum.tokens);
  const auto steps = static_cast<double>(updates.updates);
  const auto share = [&](int64_t count) { return Ratio(static_cast<double>(count), samples); };
  return {{"reward_mean", Ratio(totals.reward, samples)},
          {"accuracy", share(totals.correct)},
          {"format_rate", share(totals.well_formed)},
          {"response_tokens_mean", Ratio(tokens, samples)},
          {"long_share", share(totals.has_reasoning)},
          {"truncated_share", share(totals.truncated)},
          {"entropy", Ratio(totals.entropy, tokens)},
          {"loss", Ratio(updates.sum.loss, steps)},
          {"balance_loss", Ratio(updates.sum.balance_loss, steps)},
          {"kl", Ratio(updates.sum.kl, trained)},
          {"kl_sampler", Ratio(updates.sum.kl_sampler, trained)},
          {"clip_fraction", Ratio(static_cast<double>(updates.sum.clipped_tokens), trained)},
          {"grad_norm", Ratio(updates.sum.grad_norm, steps)},
          {"learning_rate", config_.schedule.At(result_.steps)},
          {"groups_dropped", static_cast<double>(totals.groups_dropped)},
          {"rollout_seconds", rollout_s},
          {"update_seconds", update_s},
          {"tokens_per_s", Ratio(tokens, rollout_s + update_s)},
          {"sampler_trainer_mismatch_tokens", static_cast<double>(updates.mismatched_tokens)}};
}

void CheckConfig(const GrpoConfig& config, const Model& model) {
  const ModelConfig& shape = model.config();
  if (config.tasks.empty()) {
    Throw(ErrorKind::kInvalidArgument, "GRPO: no task is given");
  }
  if (shape.eos_token_id < 0 || shape.bos_token_id < 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("GRPO: the model's config.json has bos_token_id {} and eos_token_id {}; both "
                      "are needed to begin and end a response",
                      shape.bos_token_id, shape.eos_token_id));
  }
}

}  // namespace

GrpoResult RunGrpo(StageContext& context, Model& model, const Tokenizer& tokenizer,
                   const GrpoConfig& config) {
  CheckConfig(config, model);
  return GrpoRun(context, model, tokenizer, config).Run();
}

}  // namespace reckon
