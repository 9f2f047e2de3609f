// A tokenizer.json and, after the marker, a text to encode and decode.
#include "formats/json.h"
#include "tests/fuzz/support.h"
#include "text/tokenizer.h"

namespace {

constexpr size_t kMaxText = 200;

void EncodeAndDecode(const reckon::Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const std::vector<int32_t> ids = tokenizer.Encode(text, special);
    for (const int32_t id : ids) {
      reckon::MustHold(id >= 0 && id < tokenizer.vocab_size(), "an id is one of the vocabulary");
    }
    tokenizer.Decode(ids, special);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parts = reckon::InputParts(reckon::InputText(data, size), 2);
  const std::string_view text = parts[1].substr(0, kMaxText);
  reckon::MustAnswer(size, [&] {
    const reckon::Json json = reckon::ParseJson(parts[0], "tokenizer.json");
    const reckon::Tokenizer tokenizer = reckon::Tokenizer::FromJson(json, "tokenizer.json");
    EncodeAndDecode(tokenizer, text);
    EncodeAndDecode(tokenizer, "Hi  <s>, it's 12\n\xE4\xBD\xA0\xFF");
  });
  return 0;
}
