// A GGUF file: header and tensor plan, the model, the vocabulary and the chat template in it.
#include "formats/gguf.h"
#include "formats/gguf_weights.h"
#include "model/weights.h"
#include "tests/fuzz/support.h"
#include "text/chat_template.h"
#include "text/gguf_vocabulary.h"
#include "text/tokenizer.h"

namespace {

// What the budget of a rendering lets it make.
constexpr size_t kRenderingBytes = size_t{512} << 20;

void ReadVocabulary(const std::string& path) {
  const reckon::GgufFile file(path);
  const reckon::Tokenizer tokenizer = reckon::FromGgufVocab(reckon::VocabularyOf(file), path);
  tokenizer.Decode(tokenizer.Encode("Hi <s> 12 \xE4\xBD\xA0\xFF", true));
}

void ReadTemplate(const std::string& path) {
  const auto chat = reckon::ChatTemplate::FromGguf(reckon::GgufFile(path));
  if (!chat) return;
  reckon::ChatRequest request;
  request.messages.push_back({{"role", "user"}, {"content", "Hi"}});
  chat->Render(request, {});
}

void ReadWeights(const std::string& path) {
  const reckon::GgufModel model(path);
  const reckon::GgufWeights weights(model);
  for (const std::string& name : weights.names()) weights.Get(name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const reckon::FuzzFolder folder;
  const std::string path = folder.Write("x.gguf", reckon::InputText(data, size));
  reckon::MustAnswer(size, [&] { const reckon::GgufModel model(path); });
  reckon::MustAnswer(size, [&] { ReadVocabulary(path); });
  reckon::MustAnswer(
      size, [&] { ReadTemplate(path); }, kRenderingBytes + 200 * size);
  reckon::MustAnswer(size, [&] { ReadWeights(path); });
  reckon::MustAnswer(size, [&] { reckon::OpenModel(path); });
  return 0;
}
