#include "cost/flops.h"

namespace reckon {
namespace {

// Weights of the attention block that every token meets.
int64_t AttentionWeights(const ModelConfig& c) {
  const int64_t heads = c.num_attention_heads;
  const int64_t query = heads * c.qk_head_dim();
  if (!c.uses_mla()) {
    return 2 * c.hidden_size * (query + c.num_key_value_heads * c.head_dim);
  }
  const int64_t q =
      c.q_lora_rank > 0 ? c.q_lora_rank * (c.hidden_size + query) : c.hidden_size * query;
  const int64_t kv_a = c.hidden_size * (c.kv_lora_rank + c.qk_rope_head_dim);
  const int64_t kv_b = c.kv_lora_rank * heads * (c.qk_nope_head_dim + c.v_head_dim);
  return q + kv_a + kv_b + heads * c.v_head_dim * c.hidden_size;
}

// The vectors of a layer: norms, two of the residual stream and one or two of the latents; biases.
int64_t VectorWeights(const ModelConfig& c) {
  int64_t count = 2 * c.hidden_size + c.kv_lora_rank + c.q_lora_rank;
  if (c.attention_bias) {
    count += (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim;
  }
  return count + (c.attention_o_bias ? c.hidden_size : 0);
}

// The router's correction bias.
int64_t BiasWeights(const ModelConfig& c, int64_t layer) {
  return c.is_moe_layer(layer) && c.has_correction_bias() ? c.n_routed_experts : 0;
}

int64_t MlpWeights(const ModelConfig& c, int64_t intermediate) {
  return 3 * c.hidden_size * intermediate;
}

// Feed-forward weights of a layer: all of them, or those one token meets.
int64_t FeedForwardWeights(const ModelConfig& c, int64_t layer, bool active_only) {
  if (!c.is_moe_layer(layer)) return MlpWeights(c, c.intermediate_size);
  const int64_t routed = active_only ? c.num_experts_per_tok : c.n_routed_experts;
  return c.hidden_size * c.n_routed_experts +
         (routed + c.n_shared_experts) * MlpWeights(c, c.moe_intermediate_size);
}

// Of the block of MTP module `depth`.
int64_t MtpWeights(const ModelConfig& c, int64_t depth, bool active_only) {
  return 2 * c.hidden_size * c.hidden_size + AttentionWeights(c) +
         FeedForwardWeights(c, c.num_hidden_layers + depth, active_only);
}

double PairFlops(const ModelConfig& c) {
  return 2.0 * static_cast<double>(c.num_attention_heads * (c.qk_head_dim() + c.value_head_dim()));
}

Flops Scaled(const Flops& f, double factor) {
  return {f.linear * factor, f.attention * factor, f.head * factor, f.mtp * factor};
}

}  // namespace

Work& Work::operator+=(const Work& other) {
  tokens += other.tokens;
  attention_pairs += other.attention_pairs;
  head_rows += other.head_rows;
  mtp_rows += other.mtp_rows;
  mtp_pairs += other.mtp_pairs;
  return *this;
}

Work SequenceWork(int64_t first, int64_t count, int64_t head_rows) {
  Work work;
  work.tokens = count;
  work.attention_pairs = count * first + count * (count + 1) / 2;
  work.head_rows = head_rows;
  return work;
}

ParameterCount CountParameters(const ModelConfig& c) {
  ParameterCount count;
  count.embedding = c.vocab_size * c.hidden_size;
  const int64_t head = c.vocab_size * c.hidden_size;
  count.total = count.embedding + (c.tie_word_embeddings ? 0 : head) + c.hidden_size;
  count.active = head;
  int64_t passed_by = 0;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const int64_t all = FeedForwardWeights(c, layer, false);
    const int64_t met = FeedForwardWeights(c, layer, true);
    count.total += AttentionWeights(c) + all + VectorWeights(c) + BiasWeights(c, layer);
    count.active += AttentionWeights(c) + met;
    passed_by += all - met;
  }
  count.activated = count.total - passed_by;
  for (int64_t depth = 0; depth < c.num_nextn_predict_layers; ++depth) {
    // enorm, hnorm and shared_head.norm beside the block's own norms.
    count.mtp_total += MtpWeights(c, depth, false) + VectorWeights(c) +
                       BiasWeights(c, c.num_hidden_layers + depth) + 3 * c.hidden_size;
  }
  return count;
}

Flops ForwardFlops(const ModelConfig& c, const Work& work) {
  const ParameterCount count = CountParameters(c);
  const double head_weights = static_cast<double>(c.vocab_size * c.hidden_size);
  Flops flops;
  flops.linear =
      2.0 * (static_cast<double>(count.active) - head_weights) * static_cast<double>(work.tokens);
  flops.attention = PairFlops(c) * static_cast<double>(c.num_hidden_layers) *
                    static_cast<double>(work.attention_pairs);
  flops.head = 2.0 * head_weights * static_cast<double>(work.head_rows);
  flops.mtp = 2.0 * (static_cast<double>(MtpWeights(c, 0, true)) + head_weights) *
                  static_cast<double>(work.mtp_rows) +
              PairFlops(c) * static_cast<double>(work.mtp_pairs);
  return flops;
}

Flops TrainingFlops(const ModelConfig& config, const Work& work) {
  return Scaled(ForwardFlops(config, work), 3.0);
}

}  // namespace reckon
