#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/interrupt.h"
#include "ops/elementwise.h"
#include "ops/log_prob.h"

namespace reckon {
namespace {

constexpr int64_t kLogitsAtOnce = int64_t{1} << 24;  // 64 MiB of them

using Ids = std::span<const int32_t>;

class Scorer {
 public:
  Scorer(const Runtime& rt, Model& model, const PerplexityOptions& options)
      : rt_(rt), model_(model), options_(options) {}

  // Windows are scored together while they fit one forward; a longer one is fed in chunks.
  void Add(Ids piece) {
    const std::vector<int32_t> window = WindowOf(piece, options_);
    const auto rows = static_cast<int64_t>(window.size()) - 1;
    if (batch_.rows() + rows > options_.rows_per_forward) Flush();
    if (rows > options_.rows_per_forward) {
      AddInChunks(window);
    } else {
      Append(window, 0, rows, nullptr);
    }
  }

  void Flush() {
    if (batch_.rows() == 0) return;
    const Variable hidden = model_.Forward(rt_, nullptr, batch_);
    const int64_t at_once = std::max<int64_t>(1, kLogitsAtOnce / model_.config().vocab_size);
    for (int64_t begin = 0; begin < hidden.rows(); begin += at_once) {
      ScoreRows(hidden, begin, std::min(at_once, hidden.rows() - begin));
    }
    done_ += hidden.rows();
    batch_ = Batch();
    targets_.clear();
  }

  int64_t done() const { return done_; }
  double nll() const { return nll_; }

 private:
  void Append(Ids window, int64_t first, int64_t rows, KvCache* cache) {
    const auto begin = static_cast<size_t>(first), count = static_cast<size_t>(rows);
    batch_.Append(window.subspan(begin, count), first, cache);
    const Ids next = window.subspan(begin + 1, count);
    targets_.insert(targets_.end(), next.begin(), next.end());
  }

  void AddInChunks(Ids window) {
    const auto rows = static_cast<int64_t>(window.size()) - 1;
    KvCache cache(model_.config(), rows);
    for (int64_t first = 0; first < rows; first += options_.rows_per_forward) {
      Append(window, first, std::min(options_.rows_per_forward, rows - first), &cache);
      Flush();
    }
  }

  void ScoreRows(const Variable& hidden, int64_t begin, int64_t count) {
    std::vector<int64_t> rows(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), begin);
    const bool all = count == hidden.rows();
    const Variable logits =
        model_.Logits(rt_, nullptr, all ? hidden : GatherRows(rt_, nullptr, hidden, rows));
    const LogProbs log_probs = TokenLogProbs(
        rt_, nullptr, logits,
        Ids(targets_).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)));
    for (int64_t r = 0; r < count; ++r) nll_ -= double{log_probs.values.value().row(r)[0]};
  }

  const Runtime& rt_;
  Model& model_;
  const PerplexityOptions& options_;
  Batch batch_;
  std::vector<int32_t> targets_;  // one a row of the batch
  int64_t done_ = 0;
  double nll_ = 0;  // in the order of the text
};

void CheckOptions(const PerplexityOptions& options, const ModelConfig& config) {
  CheckContext("perplexity", options.context, config.max_position_embeddings);
  if (options.max_windows < 0 || options.rows_per_forward < 1) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("perplexity: max_windows is {} and rows_per_forward is {}; give at least 0 "
                      "and 1",
                      options.max_windows, options.rows_per_forward));
  }
}

}  // namespace

PerplexityResult MeasurePerplexity(const Runtime& rt, Model& model, std::span<const int32_t> ids,
                                   const PerplexityOptions& options) {
  CheckOptions(options, model.config());
  const std::vector<Ids> pieces = CutPieces(ids, options);
  const int64_t not_predicted = options.bos_token_id >= 0 ? 0 : 1;  // of a piece
  PerplexityResult result;
  result.n_windows = static_cast<int64_t>(pieces.size());
  for (const Ids piece : pieces) {
    result.n_predicted += static_cast<int64_t>(piece.size()) - not_predicted;
  }
  if (result.n_predicted == 0) {
    Throw(
        ErrorKind::kInvalidArgument,
        fmt::format("perplexity: a text of {} tokens leaves nothing to predict; give a longer one",
                    ids.size()));
  }
  Scorer scorer(rt, model, options);
  const auto report = [&] {
    if (options.on_progress) options.on_progress(scorer.done(), result.n_predicted);
  };
  report();
  for (const Ids piece : pieces) {
    if (Interrupted()) Throw(ErrorKind::kCancelled, "perplexity: interrupted; nothing is kept");
    scorer.Add(piece);
    report();
  }
  scorer.Flush();
  report();
  result.mean_nll = scorer.nll() / static_cast<double>(result.n_predicted);
  result.perplexity = std::exp(result.mean_nll);
  return result;
}

}  // namespace reckon
