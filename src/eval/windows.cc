#include "eval/windows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace reckon {

std::vector<std::span<const int32_t>> CutPieces(std::span<const int32_t> ids,
                                                const WindowOptions& options) {
  const bool has_bos = options.bos_token_id >= 0;
  const auto size = static_cast<size_t>(options.context - (has_bos ? 1 : 0));
  const size_t shortest = has_bos ? 1 : 2;
  std::vector<std::span<const int32_t>> pieces;
  for (size_t at = 0; at < ids.size(); at += size) {
    const auto piece = ids.subspan(at, std::min(size, ids.size() - at));
    if (options.max_windows > 0 && static_cast<int64_t>(pieces.size()) == options.max_windows) {
      break;
    }
    if (piece.size() >= shortest) pieces.push_back(piece);
  }
  return pieces;
}

std::vector<int32_t> WindowOf(std::span<const int32_t> piece, const WindowOptions& options) {
  std::vector<int32_t> window(piece.begin(), piece.end());
  if (options.bos_token_id >= 0) window.insert(window.begin(), options.bos_token_id);
  return window;
}

void CheckContext(const char* what, int64_t context, int64_t max_position_embeddings) {
  if (context >= 2 && context <= max_position_embeddings) return;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{}: a context of {} tokens; give one from 2 to the model's "
                    "max_position_embeddings, {}",
                    what, context, max_position_embeddings));
}

}  // namespace reckon
