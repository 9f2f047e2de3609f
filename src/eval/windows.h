// A text cut into the windows that a model reads one by one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reckon {

struct WindowOptions {
  int64_t context = 512;      // tokens of a window, bos included
  int64_t max_windows = 0;    // 0: all of the text
  int32_t bos_token_id = -1;  // -1: none
};

// Consecutive pieces of context - 1 ids, each to stand behind one bos (of context, where there is
// none). The last may be shorter, but not so short that a window of it has no second token.
std::vector<std::span<const int32_t>> CutPieces(std::span<const int32_t> ids,
                                                const WindowOptions& options);
// bos, where there is one, and the piece.
std::vector<int32_t> WindowOf(std::span<const int32_t> piece, const WindowOptions& options);

// Throws kInvalidArgument, beginning with `what`, for a context below 2 or above the model's
// max_position_embeddings.
void CheckContext(const char* what, int64_t context, int64_t max_position_embeddings);

}  // namespace reckon
