// A safetensors file. The first byte says whether the rest is the file as it is, or its header
// (up to a NUL) and its data.
#include "base/error.h"
#include "formats/safetensors.h"
#include "tests/fuzz/support.h"

namespace {

void ReadAll(const std::string& path) {
  const reckon::SafetensorsFile file(path);
  for (const auto& [name, view] : file.tensors()) {
    const auto load = [&, &tensor = name] { file.LoadF32(tensor); };
    const auto load_ints = [&, &tensor = name] { file.LoadInts(tensor); };
    reckon::MustAnswer(view.bytes.size(), load);
    reckon::MustAnswer(view.bytes.size(), load_ints);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const reckon::FuzzFolder folder;
  if (size == 0) return 0;
  const std::string_view input = reckon::InputText(data, size).substr(1);
  const bool raw = data[0] == 'r';
  const std::string path =
      folder.Write("x.safetensors", raw ? std::string(input) : reckon::SafetensorsOf(input));
  reckon::MustAnswer(size, [&] { const reckon::SafetensorsFile file(path); });
  try {
    ReadAll(path);
  } catch (const reckon::Error&) {
  }
  return 0;
}
