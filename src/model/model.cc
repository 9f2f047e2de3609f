#include "model/model.h"

#include "base/error.h"
#include "base/rng.h"
#include "model/layers.h"
#include "model/rope.h"
#include "ops/linear.h"

namespace reckon {
namespace {

// The latents' norms use this eps whatever rms_norm_eps says, as the released code does.
constexpr float kLatentNormEps = 1e-6f;

// What one forward shares between its layers.
struct Pass {
  const Runtime& rt;
  Tape* tape;
  const Batch& batch;
  const ForwardOptions& options;
  ForwardReport* report;
  std::shared_ptr<const RopeTable> rope;
};

RouterShape MakeRouterShape(const ModelConfig& c) {
  RouterShape shape;
  shape.n_routed_experts = c.n_routed_experts;
  shape.num_experts_per_tok = c.num_experts_per_tok;
  shape.n_group = c.n_group;
  shape.topk_group = c.topk_group;
  shape.routed_scaling_factor = static_cast<float>(c.routed_scaling_factor);
  shape.norm_topk_prob = c.norm_topk_prob;
  // DeepSeek-V2's gate normalises or scales, never both (its released modeling code).
  if (c.model_type == "deepseek_v2" && c.norm_topk_prob && c.num_experts_per_tok > 1) {
    shape.routed_scaling_factor = 1;
  }
  shape.scoring_func = c.scoring_func;
  shape.topk_method = c.topk_method;
  return shape;
}

std::vector<RowSpan> Spans(const Batch& batch) {
  std::vector<RowSpan> spans;
  for (const Batch::Sequence& s : batch.sequences) spans.push_back({s.row_begin, s.row_count});
  return spans;
}

void AddCounts(ForwardReport& report, size_t index, const std::vector<int64_t>& offsets) {
  if (report.expert_counts.size() <= index) report.expert_counts.resize(index + 1);
  std::vector<int64_t>& counts = report.expert_counts[index];
  counts.resize(offsets.size() - 1, 0);
  for (size_t e = 0; e < counts.size(); ++e) counts[e] += offsets[e + 1] - offsets[e];
}

}  // namespace

struct Model::Impl {
  ModelConfig config;
  WeightSet weights;
  std::vector<float> inv_freq;
  MlaShape mla_shape;
  GqaShape gqa_shape;
  RouterShape router_shape;
  std::vector<std::shared_ptr<const void>> owners;

  Impl(ModelConfig c, WeightStorage storage)
      : config(std::move(c)),
        weights(config, storage),
        inv_freq(InverseFrequencies(config)),
        mla_shape{config.num_attention_heads, config.qk_nope_head_dim, config.qk_rope_head_dim,
                  config.v_head_dim, SoftmaxScale(config)},
        gqa_shape{config.num_attention_heads, config.num_key_value_heads, config.head_dim,
                  SoftmaxScale(config)},
        router_shape(MakeRouterShape(config)) {}

  float eps() const { return static_cast<float>(config.rms_norm_eps); }

  Pass Begin(const Runtime& rt, Tape* tape, const Batch& batch, const ForwardOptions& options,
             ForwardReport* report) const {
    return {rt,
            tape,
            batch,
            options,
            report,
            std::make_shared<RopeTable>(MakeRopeTable(rt, batch.positions, inv_freq,
                                                      RopeScale(config), config.uses_mla()))};
  }

  // `cache_layer` is the layer's index in the caches of the batch, or -1 where caches are refused.
  static std::vector<SequenceRows> Sequences(const Batch& batch, int64_t cache_layer) {
    std::vector<SequenceRows> sequences;
    for (const Batch::Sequence& s : batch.sequences) {
      Check(s.cache == nullptr || cache_layer >= 0, "MTP modules run without a cache");
      sequences.push_back(
          {s.row_begin, s.row_count, s.cache == nullptr ? nullptr : &s.cache->layer(cache_layer)});
    }
    return sequences;
  }

  Variable LatentAttention(const Pass& pass, const AttentionWeights& w, const Variable& h,
                           const std::vector<SequenceRows>& sequences) const {
    const Runtime& rt = pass.rt;
    Variable q = w.q_proj != nullptr
                     ? Linear(rt, pass.tape, h, *w.q_proj)
                     : Linear(rt, pass.tape,
                              RmsNorm(rt, pass.tape, Linear(rt, pass.tape, h, *w.q_a_proj),
                                      *w.q_a_layernorm, kLatentNormEps),
                              *w.q_b_proj);
    q = Rope(rt, pass.tape, q, 0, config.num_attention_heads, config.qk_head_dim(), pass.rope);
    const Variable latent = Linear(rt, pass.tape, h, *w.kv_a_proj_with_mqa);
    const Variable k_rope =
        Rope(rt, pass.tape, latent, config.kv_lora_rank, 1, config.qk_rope_head_dim, pass.rope);
    const Variable kv = Linear(
        rt, pass.tape, RmsNormColumns(rt, pass.tape, latent, 0, *w.kv_a_layernorm, kLatentNormEps),
        *w.kv_b_proj);
    return MlaAttention(rt, pass.tape, mla_shape, q, k_rope, kv, sequences);
  }

  Variable GroupedAttention(const Pass& pass, const AttentionWeights& w, const Variable& h,
                            const std::vector<SequenceRows>& sequences) const {
    const Runtime& rt = pass.rt;
    const Variable q = Rope(rt, pass.tape, Linear(rt, pass.tape, h, *w.q_proj, w.q_bias), 0,
                            config.num_attention_heads, config.head_dim, pass.rope);
    const Variable k = Rope(rt, pass.tape, Linear(rt, pass.tape, h, *w.k_proj, w.k_bias), 0,
                            config.num_key_value_heads, config.head_dim, pass.rope);
    const Variable v = Linear(rt, pass.tape, h, *w.v_proj, w.v_bias);
    return GroupedQueryAttention(rt, pass.tape, gqa_shape, q, k, v, sequences);
  }

  Variable Attention(const Pass& pass, const AttentionWeights& w, const Variable& h,
                     int64_t cache_layer) const {
    const std::vector<SequenceRows> sequences = Sequences(pass.batch, cache_layer);
    const Variable attended = config.uses_mla() ? LatentAttention(pass, w, h, sequences)
                                                : GroupedAttention(pass, w, h, sequences);
    return Linear(pass.rt, pass.tape, attended, *w.o_proj, w.o_bias);
  }

  static Variable Mlp(const Pass& pass, const MlpWeights& w, const Variable& h) {
    return Linear(pass.rt, pass.tape,
                  SwiGlu(pass.rt, pass.tape, Linear(pass.rt, pass.tape, h, *w.gate_up)), *w.down);
  }

  std::span<const float> CorrectionBias(const MoeWeights& w) {
    if (!config.has_correction_bias()) return {};
    return weights.correction_biases[w.index].floats();
  }

  Variable Moe(const Pass& pass, const MoeWeights& w, const Variable& h) {
    const Runtime& rt = pass.rt;
    const Variable logits = LinearF32(rt, pass.tape, h, *w.gate);
    const float alpha = pass.options.balance_alpha;
    const Routing routing = Route(rt, pass.tape, logits, CorrectionBias(w), router_shape, alpha,
                                  alpha > 0 ? Spans(pass.batch) : std::vector<RowSpan>());
    if (pass.report != nullptr) {
      AddCounts(*pass.report, w.index, *routing.offsets);
      pass.report->balance_loss += routing.balance_loss;
      if (pass.report->keep_hidden) pass.report->routing.push_back(routing);
    }
    const Variable rows = Dispatch(rt, pass.tape, h, routing);
    const Variable inner =
        SwiGlu(rt, pass.tape, GroupedLinear(rt, pass.tape, rows, *w.gate_up, *routing.offsets));
    const Variable outer = GroupedLinear(rt, pass.tape, inner, *w.down, *routing.offsets);
    const Variable routed = Combine(rt, pass.tape, outer, routing);
    return w.shared.down == nullptr ? routed : Add(rt, pass.tape, routed, Mlp(pass, w.shared, h));
  }

  Variable Layer(const Pass& pass, const LayerWeights& w, const Variable& x, int64_t cache_layer) {
    const Runtime& rt = pass.rt;
    const Variable attended = Attention(
        pass, w.attention, RmsNorm(rt, pass.tape, x, *w.input_layernorm, eps()), cache_layer);
    const Variable middle = Add(rt, pass.tape, x, attended);
    const Variable h = RmsNorm(rt, pass.tape, middle, *w.post_attention_layernorm, eps());
    return Add(rt, pass.tape, middle, w.is_moe ? Moe(pass, w.moe, h) : Mlp(pass, w.mlp, h));
  }
};

KvCache::KvCache(const ModelConfig& config, int64_t capacity) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.emplace_back(config.kv_heads(), config.qk_head_dim(), config.value_head_dim(),
                         capacity);
  }
}

int64_t KvCache::bytes() const {
  int64_t bytes = 0;
  for (const LayerKvCache& layer : layers_) bytes += layer.bytes();
  return bytes;
}

void KvCache::Truncate(int64_t length) {
  for (LayerKvCache& layer : layers_) layer.Truncate(length);
}

void KvCache::CopyPrefix(const KvCache& other, int64_t length) {
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].CopyPrefix(other.layers_[i], length);
}

void Batch::Append(std::span<const int32_t> ids, int64_t first_position, KvCache* cache) {
  sequences.push_back({rows(), static_cast<int64_t>(ids.size()), cache});
  for (size_t i = 0; i < ids.size(); ++i) {
    token_ids.push_back(ids[i]);
    positions.push_back(static_cast<int32_t>(first_position + static_cast<int64_t>(i)));
  }
}

Model::Model(ModelConfig config, WeightStorage storage)
    : impl_(std::make_unique<Impl>(std::move(config), storage)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
const ModelConfig& Model::config() const { return impl_->config; }

void Model::Initialize(uint64_t seed) {
  for (const NamedTensor& tensor : impl_->weights.named) {
    const int64_t count = NumElements(tensor.shape);
    if (tensor.parameter == nullptr || !tensor.parameter->decay()) {
      const bool zero = tensor.parameter == nullptr || tensor.name.ends_with(".bias");
      std::fill_n(tensor.data, count, zero ? 0.0f : 1.0f);
      continue;
    }
    Rng rng(seed, {StreamName("weights"), StreamName(tensor.name)});
    for (int64_t i = 0; i < count; ++i) {
      tensor.data[i] = static_cast<float>(rng.Normal() * impl_->config.initializer_range);
    }
  }
  Changed();
}

Variable Model::Forward(const Runtime& rt, Tape* tape, const Batch& batch,
                        const ForwardOptions& options, ForwardReport* report) {
  Check(batch.rows() > 0 && batch.positions.size() == batch.token_ids.size(),
        "Forward: a batch needs rows, and a position for each");
  const Pass pass = impl_->Begin(rt, tape, batch, options, report);
  WeightSet& w = impl_->weights;
  Variable x = Embedding(rt, tape, batch.token_ids, *w.embed_tokens);
  const bool keep = report != nullptr && report->keep_hidden;
  if (keep) report->hidden.push_back(x);
  for (size_t i = 0; i < w.layers.size(); ++i) {
    x = impl_->Layer(pass, w.layers[i], x, static_cast<int64_t>(i));
    if (keep) report->hidden.push_back(x);
  }
  return RmsNorm(rt, tape, x, *w.norm, impl_->eps());
}

Variable Model::Logits(const Runtime& rt, Tape* tape, const Variable& hidden) {
  return Linear(rt, tape, hidden, *impl_->weights.lm_head);
}

Variable Model::MtpForward(const Runtime& rt, Tape* tape, int64_t depth, const Variable& hidden,
                           std::span<const int32_t> next, const Batch& batch,
                           const ForwardOptions& options, ForwardReport* report) {
  Check(depth >= 0 && depth < static_cast<int64_t>(impl_->weights.mtp.size()),
        "MtpForward: the model has no such MTP module");
  Check(hidden.rows() == batch.rows() && static_cast<int64_t>(next.size()) == batch.rows(),
        "MtpForward: a state and a next token for each row");
  const Pass pass = impl_->Begin(rt, tape, batch, options, report);
  const MtpWeights& w = impl_->weights.mtp[static_cast<size_t>(depth)];
  const Variable embedded = Embedding(rt, tape, next, *impl_->weights.embed_tokens);
  const Variable both = ConcatColumns(rt, tape, RmsNorm(rt, tape, embedded, *w.enorm, impl_->eps()),
                                      RmsNorm(rt, tape, hidden, *w.hnorm, impl_->eps()));
  return impl_->Layer(pass, w.layer, Linear(rt, tape, both, *w.eh_proj), -1);
}

Variable Model::MtpLogits(const Runtime& rt, Tape* tape, int64_t depth,
                          const Variable& mtp_hidden) {
  Check(depth >= 0 && depth < static_cast<int64_t>(impl_->weights.mtp.size()),
        "MtpLogits: the model has no such MTP module");
  const MtpWeights& w = impl_->weights.mtp[static_cast<size_t>(depth)];
  return Logits(rt, tape, RmsNorm(rt, tape, mtp_hidden, *w.shared_head_norm, impl_->eps()));
}

const std::vector<Parameter*>& Model::parameters() { return impl_->weights.parameters; }

std::vector<std::span<float>> Model::correction_biases() {
  std::vector<std::span<float>> spans;
  for (Tensor& bias : impl_->weights.correction_biases) spans.push_back(bias.floats());
  return spans;
}

std::vector<Model::NamedTensor> Model::named_tensors() { return impl_->weights.named; }

void Model::Changed() {
  for (Parameter* parameter : impl_->weights.parameters) parameter->Changed();
}

void Model::ZeroGrad() {
  for (Parameter* parameter : impl_->weights.parameters) parameter->ZeroGrad();
}

void Model::KeepAlive(std::shared_ptr<const void> owner) {
  impl_->owners.push_back(std::move(owner));
}

void UpdateCorrectionBias(Model& model, const std::vector<std::vector<int64_t>>& expert_counts,
                          float update_speed) {
  const std::vector<std::span<float>> biases = model.correction_biases();
  for (size_t layer = 0; layer < std::min(biases.size(), expert_counts.size()); ++layer) {
    const std::vector<int64_t>& counts = expert_counts[layer];
    if (counts.empty()) continue;
    int64_t total = 0;
    for (int64_t count : counts) total += count;
    const int64_t experts = static_cast<int64_t>(counts.size());
    for (size_t e = 0; e < counts.size(); ++e) {
      // mean - count, times the number of experts: exact in integers.
      const int64_t below = total - counts[e] * experts;
      if (below != 0) biases[layer][e] += below > 0 ? update_speed : -update_speed;
    }
  }
}

}  // namespace reckon
