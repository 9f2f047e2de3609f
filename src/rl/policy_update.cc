#include "rl/policy_update.h"

#include <bit>

#include "base/error.h"
#include "base/math.h"
#include "data/source.h"
#include "ops/log_prob.h"

namespace reckon {
namespace {

Example ToExample(const PolicySequence& sequence) {
  Example example;
  example.token_ids.assign(sequence.prompt_ids.begin(), sequence.prompt_ids.end());
  example.token_ids.insert(example.token_ids.end(), sequence.response_ids.begin(),
                           sequence.response_ids.end());
  example.loss_mask.assign(sequence.prompt_ids.size(), 0);
  example.loss_mask.resize(example.token_ids.size(), 1);
  return example;
}

template <typename Sequences, typename Get>
std::vector<PackedRows> PackSequences(const Sequences& sequences, int64_t max_rows, Get get) {
  std::vector<Example> examples;
  examples.reserve(sequences.size());
  for (const auto& sequence : sequences) examples.push_back(ToExample(get(sequence)));
  return Pack(examples, max_rows);
}

// Log-probabilities of the response tokens of a pack, in order.
LogProbs PackLogProbs(const Runtime& rt, Tape* tape, Model& model, const PackedRows& pack,
                      double temperature, const ForwardOptions& options, ForwardReport* report) {
  Batch batch;
  for (const PackedRows::Span& span : pack.spans) {
    batch.Append({pack.token_ids.data() + span.begin, static_cast<size_t>(span.count)});
  }
  const Variable hidden = model.Forward(rt, tape, batch, options, report);
  const Variable logits = model.Logits(rt, tape, GatherRows(rt, tape, hidden, pack.target_rows));
  return TokenLogProbs(rt, tape, logits, pack.targets, static_cast<float>(temperature));
}

Work PackWork(const PackedRows& pack) {
  Work work;
  for (const PackedRows::Span& span : pack.spans) work += SequenceWork(0, span.count, 0);
  work.head_rows = static_cast<int64_t>(pack.targets.size());
  return work;
}

// Walks the tokens of sequences one after another, across packs.
struct Cursor {
  size_t sequence = 0, token = 0;
  void Advance(size_t length) {
    if (++token == length) {
      token = 0;
      ++sequence;
    }
  }
};

// Loss and gradient of the tokens of one pack; d_logprobs [tokens, 1].
void SeedGradient(const LogProbs& logprobs, const std::vector<const PolicySequence*>& sequences,
                  const std::vector<double>& weights, const GrpoConfig& config, Cursor& cursor,
                  PolicyUpdateStats& stats) {
  const Matrix values = logprobs.values.value(), grad = logprobs.values.grad();
  for (int64_t row = 0; row < values.rows; ++row) {
    const PolicySequence& sequence = *sequences[cursor.sequence];
    const float new_logprob = values.row(row)[0];
    const float old_logprob = sequence.old_logprobs[cursor.token];
    const float ref_logprob =
        sequence.ref_logprobs.empty() ? 0.0f : sequence.ref_logprobs[cursor.token];
    const TokenPolicyLoss token =
        PolicyLossOfToken(new_logprob, old_logprob, ref_logprob, sequence.advantage, config.loss);
    const double weight = weights[cursor.sequence];
    grad.row(row)[0] = static_cast<float>(weight * token.d_logprob);
    const double difference = static_cast<double>(old_logprob) - new_logprob;
    stats.loss += weight * token.loss;
    stats.kl += token.k3;
    stats.kl_sampler += Exp(difference) - difference - 1;
    stats.clipped_tokens += token.clipped ? 1 : 0;
    stats.mismatched_tokens +=
        std::bit_cast<uint32_t>(new_logprob) != std::bit_cast<uint32_t>(old_logprob) ? 1 : 0;
    ++stats.tokens;
    cursor.Advance(sequence.response_ids.size());
  }
}

}  // namespace

PolicyUpdateStats UpdatePolicy(const Runtime& rt, Model& model, AdamW& optimizer,
                               const std::vector<const PolicySequence*>& sequences,
                               const GrpoConfig& config, double learning_rate) {
  std::vector<int64_t> lengths;
  for (const PolicySequence* s : sequences) {
    lengths.push_back(static_cast<int64_t>(s->response_ids.size()));
  }
  const std::vector<double> weights =
      AggregationWeights(lengths, config.loss_type, config.max_completion_length);
  const std::vector<PackedRows> packs =
      PackSequences(sequences, config.max_rows_per_micro_batch,
                    [](const PolicySequence* s) -> const PolicySequence& { return *s; });
  PolicyUpdateStats stats;
  ForwardReport report;
  Cursor cursor;
  for (const PackedRows& pack : packs) {
    ForwardOptions options;
    options.balance_alpha =
        static_cast<float>(config.balance_alpha / static_cast<double>(sequences.size()));
    Tape tape;
    const LogProbs logprobs =
        PackLogProbs(rt, &tape, model, pack, config.temperature, options, &report);
    SeedGradient(logprobs, sequences, weights, config, cursor, stats);
    tape.Backward();
    stats.work += PackWork(pack);
  }
  Check(cursor.sequence == sequences.size(), "UpdatePolicy: the packs lost response tokens");
  stats.balance_loss = report.balance_loss;
  stats.grad_norm = optimizer.Step(rt, learning_rate);
  model.ZeroGrad();
  if (config.bias_update_speed > 0) {
    UpdateCorrectionBias(model, report.expert_counts, static_cast<float>(config.bias_update_speed));
  }
  return stats;
}

Work FillReference(const Runtime& rt, Model& reference, const GrpoConfig& config,
                   std::vector<PolicySequence>& sequences) {
  const std::vector<PackedRows> packs =
      PackSequences(sequences, config.max_rows_per_micro_batch,
                    [](const PolicySequence& s) -> const PolicySequence& { return s; });
  Work work;
  Cursor cursor;
  for (const PackedRows& pack : packs) {
    const LogProbs logprobs =
        PackLogProbs(rt, nullptr, reference, pack, config.temperature, {}, nullptr);
    const Matrix values = logprobs.values.value();
    for (int64_t row = 0; row < values.rows; ++row) {
      PolicySequence& sequence = sequences[cursor.sequence];
      sequence.ref_logprobs.push_back(values.row(row)[0]);
      cursor.Advance(sequence.response_ids.size());
    }
    work += PackWork(pack);
  }
  return work;
}

}  // namespace reckon
