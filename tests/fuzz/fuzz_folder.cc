// A model folder: config.json, model.safetensors.index.json (model.safetensors where it is empty)
// and two shards, each its header up to a NUL and its data.
#include "model/weights.h"
#include "tests/fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const reckon::FuzzFolder folder;
  const auto parts = reckon::InputParts(reckon::InputText(data, size), 4);
  const bool sharded = !parts[1].empty();
  folder.Remove("model.safetensors");
  folder.Write("config.json", parts[0]);
  folder.Write("model.safetensors.index.json", parts[1]);
  folder.Write(sharded ? "a.safetensors" : "model.safetensors", reckon::SafetensorsOf(parts[2]));
  folder.Write("b.safetensors", reckon::SafetensorsOf(parts[3]));
  reckon::MustAnswer(size, [&] { reckon::LoadModel(folder.path()); });
  reckon::MustAnswer(size, [&] { reckon::OpenModel(folder.path()); });
  return 0;
}
