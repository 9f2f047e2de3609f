// The transformer of every family, written once over operators that take a tape or none, and a
// cache or none. Training, sampling and evaluation all run this code.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/moe.h"
#include "ops/parameter.h"
#include "ops/runtime.h"
#include "ops/tape.h"

namespace reckon {

// Keys and values of one sequence in all layers.
class KvCache {
 public:
  KvCache(const ModelConfig& config, int64_t capacity);
  int64_t length() const { return layers_.empty() ? 0 : layers_[0].length(); }
  int64_t capacity() const { return layers_.empty() ? 0 : layers_[0].capacity(); }
  int64_t bytes() const;
  void Truncate(int64_t length);
  void CopyPrefix(const KvCache& other, int64_t length);
  LayerKvCache& layer(int64_t i) { return layers_[static_cast<size_t>(i)]; }

 private:
  std::vector<LayerKvCache> layers_;
};

// Sequences packed row after row. With a cache, a sequence's rows continue it.
struct Batch {
  struct Sequence {
    int64_t row_begin = 0, row_count = 0;
    KvCache* cache = nullptr;
  };
  std::vector<int32_t> token_ids;  // [rows]
  std::vector<int32_t> positions;  // [rows]
  std::vector<Sequence> sequences;
  int64_t rows() const { return static_cast<int64_t>(token_ids.size()); }
  // Appends a sequence at positions first_position, first_position + 1, ...
  void Append(std::span<const int32_t> ids, int64_t first_position = 0, KvCache* cache = nullptr);
};

struct ForwardOptions {
  // Weight of the sequence-wise balance loss of each sequence: alpha over the sequences of a step.
  float balance_alpha = 0;
};

// What a forward reports besides its result.
struct ForwardReport {
  bool keep_hidden = false;                         // in: fill `hidden` and `routing`
  std::vector<Variable> hidden;                     // embeddings, then each layer's output
  std::vector<std::vector<int64_t>> expert_counts;  // per MoE layer [n_routed_experts], added to
  std::vector<Routing> routing;                     // per MoE layer, when keep_hidden
  double balance_loss = 0;                          // added to
};

enum class WeightStorage {
  kF32,       // every weight has an f32 value and can be trained
  kAsStored,  // matrices are rows of a checkpoint (Parameter::stored), to be appended
  kNone,      // of a WeightSet: names and shapes only
};

class Model {
 public:
  // Weights uninitialised; see Initialize and model/weights.h.
  explicit Model(ModelConfig config, WeightStorage storage = WeightStorage::kF32);
  ~Model();
  Model(Model&&) noexcept;
  const ModelConfig& config() const;

  // Normal(0, initializer_range) per checkpoint tensor, norms 1, correction bias 0; a pure function
  // of (seed, tensor name).
  void Initialize(uint64_t seed);

  // States after model.norm: [rows, hidden_size].
  Variable Forward(const Runtime& rt, Tape* tape, const Batch& batch,
                   const ForwardOptions& options = {}, ForwardReport* report = nullptr);
  // lm_head: [rows, vocab_size].
  Variable Logits(const Runtime& rt, Tape* tape, const Variable& hidden);

  // MTP module `depth` (0-based; arXiv:2412.19437, eq. 21 to 25). `hidden` holds the states of
  // depth
  // - 1 (of Forward for depth 0) for the rows of `batch`; row i of `next` names the token that
  // follows row i's last known one: Emb(next[i]). Returns the block's output [rows, hidden_size]
  // before its shared_head.norm; MtpLogits applies norm and the shared head.
  Variable MtpForward(const Runtime& rt, Tape* tape, int64_t depth, const Variable& hidden,
                      std::span<const int32_t> next, const Batch& batch,
                      const ForwardOptions& options = {}, ForwardReport* report = nullptr);
  Variable MtpLogits(const Runtime& rt, Tape* tape, int64_t depth, const Variable& mtp_hidden);

  // In a fixed order; includes the MTP modules. Embedding and head appear once.
  const std::vector<Parameter*>& parameters();
  // Per MoE layer (MTP blocks last): the correction bias [n_routed_experts]; no gradient. Empty
  // where the router has none.
  std::vector<std::span<float>> correction_biases();
  // Where each checkpoint tensor lives: name, the float it begins at, shape. A fused parameter
  // (gate_up, stacked experts) appears as its parts under their released names.
  struct NamedTensor {
    std::string name;
    Shape shape;
    float* data;           // null where the weight is stored
    Parameter* parameter;  // null for the correction bias
    int64_t offset;        // elements into the parameter
  };
  std::vector<NamedTensor> named_tensors();
  void Changed();  // after writing weights through named_tensors or parameters
  void ZeroGrad();
  // Holds what stored weights borrow from.
  void KeepAlive(std::shared_ptr<const void> owner);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// b_i += update_speed * sign(mean(count) - count_i) for each MoE layer, once an optimiser step
// (arXiv:2408.15664).
void UpdateCorrectionBias(Model& model, const std::vector<std::vector<int64_t>>& expert_counts,
                          float update_speed);

}  // namespace reckon
