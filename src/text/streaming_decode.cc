#include "text/streaming_decode.h"

#include <string_view>

#include "text/utf8.h"

namespace reckon {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

}  // namespace

std::string StreamingDecoder::Push(int32_t id) {
  tokenizer_.AppendText(id, skip_special_tokens_, state_, pending_);
  std::string out;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Step step = FirstUtf8(rest);
    if (step.state == Utf8State::kIncomplete) break;
    if (step.state == Utf8State::kCharacter) {
      out += rest.substr(0, step.length);
    } else {
      AppendUtf8(kReplacement, out);
    }
    rest.remove_prefix(step.length);
  }
  pending_ = std::string(rest);
  return out;
}

std::string StreamingDecoder::Finish() {
  std::string out;
  if (!pending_.empty()) AppendUtf8(kReplacement, out);
  pending_.clear();
  return out;
}

}  // namespace reckon
