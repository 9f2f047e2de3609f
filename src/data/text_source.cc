#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "data/source.h"

namespace reckon {
namespace {

// A permutation of [0, count), a function of (seed, epoch): Fisher-Yates.
std::vector<int64_t> Permutation(int64_t count, uint64_t seed, uint64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  Rng rng(seed, {StreamName("text-order"), epoch});
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[static_cast<size_t>(rng.Below(static_cast<int64_t>(i)))]);
  }
  return order;
}

class TextSource : public ExampleSource {
 public:
  TextSource(const TextSourceConfig& config, const Tokenizer& tokenizer, int32_t eos_token_id)
      : config_(config) {
    if (config.files.empty())
      Throw(ErrorKind::kInvalidArgument, "a text source needs at least one file");
    Sha256 hash;
    for (const std::string& file : config.files) {
      const std::string text = ReadFile(file);
      if (text.empty())
        Throw(ErrorKind::kInvalidArgument, file + ": is empty, there is nothing to learn");
      hash.Update(text);
      const std::vector<int32_t> ids = tokenizer.Encode(text);
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      if (eos_token_id >= 0) ids_.push_back(eos_token_id);
    }
    hash_ = hash.HexDigest();
    const int64_t all = (static_cast<int64_t>(ids_.size()) - 1) / config.seq_len;
    const int64_t held =
        static_cast<int64_t>(static_cast<double>(all) * config.validation_fraction);
    first_window_ = config.validation ? all - held : 0;
    windows_ = config.validation ? held : all - held;
    if (windows_ < 1) {
      Throw(
          ErrorKind::kInvalidArgument,
          fmt::format("{}: {} tokens are too few for one {} window of seq_len {}", config.files[0],
                      ids_.size(), config.validation ? "validation" : "training", config.seq_len));
    }
  }

  std::vector<Example> Step(int64_t step) const override {
    std::vector<Example> examples;
    int64_t epoch = -1;
    std::vector<int64_t> order;
    for (int64_t i = 0; i < config_.batch_size; ++i) {
      const int64_t position = step * config_.batch_size + i;
      int64_t window = position % windows_;
      if (!config_.validation) {
        if (position / windows_ != epoch) {
          epoch = position / windows_;
          order = Permutation(windows_, config_.seed, static_cast<uint64_t>(epoch));
        }
        window = order[static_cast<size_t>(window)];
      }
      examples.push_back(Window(first_window_ + window));
    }
    return examples;
  }

  std::string ContentHash() const override { return hash_; }

 private:
  // seq_len + 1 tokens: the last one is a target only.
  Example Window(int64_t index) const {
    const auto begin = ids_.begin() + index * config_.seq_len;
    Example example;
    example.token_ids.assign(begin, begin + config_.seq_len + 1);
    example.loss_mask.assign(example.token_ids.size(), 1);
    example.loss_mask[0] = 0;
    return example;
  }

  TextSourceConfig config_;
  std::vector<int32_t> ids_;
  std::string hash_;
  int64_t first_window_ = 0, windows_ = 0;
};

}  // namespace

std::unique_ptr<ExampleSource> MakeTextSource(const TextSourceConfig& config,
                                              const Tokenizer& tokenizer, int32_t eos_token_id) {
  return std::make_unique<TextSource>(config, tokenizer, eos_token_id);
}

}  // namespace reckon
