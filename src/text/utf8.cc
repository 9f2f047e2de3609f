#include "text/utf8.h"

#include <cstring>

namespace reckon {

Utf8Step FirstUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {Utf8State::kCharacter, 1, lead};
  if (lead < 0xC2 || lead > 0xF4) return {Utf8State::kInvalid, 1, 0};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  const uint32_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint32_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t code_point = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {Utf8State::kIncomplete, i, 0};
    const uint32_t next = byte(i);
    if (next < (i == 1 ? low : 0x80u) || next > (i == 1 ? high : 0xBFu)) {
      return {Utf8State::kInvalid, i, 0};
    }
    code_point = code_point << 6 | (next & 0x3F);
  }
  return {Utf8State::kCharacter, length, code_point};
}

void AppendUtf8(uint32_t code_point, std::string& text) {
  const auto add = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | code_point >> 6);
    add(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    add(0xE0 | code_point >> 12);
    add(0x80 | (code_point >> 6 & 0x3F));
    add(0x80 | (code_point & 0x3F));
  } else {
    add(0xF0 | code_point >> 18);
    add(0x80 | (code_point >> 12 & 0x3F));
    add(0x80 | (code_point >> 6 & 0x3F));
    add(0x80 | (code_point & 0x3F));
  }
}

std::string_view ValidUtf8Prefix(std::string_view text) {
  size_t end = 0;
  while (end < text.size()) {
    uint64_t eight = 0;
    if (text.size() - end >= sizeof(eight)) {  // most bytes are ASCII: look at eight at once
      std::memcpy(&eight, text.data() + end, sizeof(eight));
      if ((eight & 0x8080808080808080ull) == 0) {
        end += sizeof(eight);
        continue;
      }
    }
    if (static_cast<uint8_t>(text[end]) < 0x80) {
      ++end;
      continue;
    }
    const Utf8Step step = FirstUtf8(text.substr(end));
    if (step.state != Utf8State::kCharacter) break;
    end += step.length;
  }
  return text.substr(0, end);
}

}  // namespace reckon
