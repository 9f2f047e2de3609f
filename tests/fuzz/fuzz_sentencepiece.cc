// A SentencePiece .model.
#include "tests/fuzz/support.h"
#include "text/sentencepiece.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = reckon::InputText(data, size);
  reckon::MustAnswer(size, [&] {
    const reckon::Tokenizer tokenizer = reckon::TokenizerOfSentencePiece(input, "x.model");
    const std::vector<int32_t> ids = tokenizer.Encode("Hi  <s> ab 12\n\xE4\xBD\xA0\xFF", true);
    for (const int32_t id : ids) {
      reckon::MustHold(id >= 0 && id < tokenizer.vocab_size(), "an id is one of the vocabulary");
    }
    tokenizer.Decode(ids);
  });
  return 0;
}
