// A config.json of any family, a generation_config.json or a tokenizer_config.json. What is
// accepted is written and read again, has a size, and where it can be converted becomes GGUF
// metadata.
#include "cost/flops.h"
#include "formats/gguf_config.h"
#include "formats/json.h"
#include "model/config.h"
#include "model/generation_config.h"
#include "tests/fuzz/support.h"
#include "text/chat_template.h"

namespace {

void ReadOthers(const reckon::Json& json) {
  reckon::EosTokenIds(json, "config.json");
  reckon::ParseGenerationConfig(json, "generation_config.json");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input = reckon::InputText(data, size);
  reckon::MustAnswer(size, [&] {
    const reckon::Json json = reckon::ParseJson(input, "config.json");
    const reckon::ModelConfig config = reckon::ParseModelConfig(json, "config.json");
    const reckon::Json written = reckon::ToJson(config);
    const reckon::Json again = reckon::ToJson(reckon::ParseModelConfig(written, "written"));
    reckon::MustHold(written.dump() == again.dump(), "a config is read as it was written");
    reckon::MustHold(reckon::CountParameters(config).total > 0, "a model has parameters");
    reckon::MetadataFromConfig(written, "x");
    reckon::MetadataFromConfig(json, "x");
  });
  reckon::MustAnswer(size, [&] { ReadOthers(reckon::ParseJson(input, "config.json")); });
  reckon::MustAnswer(
      size,
      [&] {
        const reckon::Json json = reckon::ParseJson(input, "tokenizer_config.json");
        reckon::ChatTemplate::FromTokenizerConfig(json, "tokenizer_config.json");
      },
      200 * size);
  return 0;
}
