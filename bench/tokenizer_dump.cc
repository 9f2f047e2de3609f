// The ids and the decoded bytes of many short texts, for bench/peers/tokenizer_fuzz.py. Reads
// batches: their number of texts, then each one's size and bytes; writes for each the number of
// ids, the ids, and the size and bytes of what they decode to. Numbers are 32 bits, little endian.
//
// usage: tokenizer_dump TOKENIZER

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace {

bool ReadNumber(uint32_t& number) { return std::fread(&number, sizeof(number), 1, stdin) == 1; }

void Append(std::string& out, const void* data, size_t bytes) {
  out.append(static_cast<const char*>(data), bytes);
}

void AppendNumber(std::string& out, size_t value) {
  const auto number = static_cast<uint32_t>(value);
  Append(out, &number, sizeof(number));
}

void Run(const char* path) {
  const reckon::Tokenizer tokenizer = reckon::Tokenizer::FromFile(path);
  for (uint32_t count = 0; ReadNumber(count);) {
    std::string out;
    for (uint32_t i = 0; i < count; ++i) {
      uint32_t size = 0;
      if (!ReadNumber(size)) reckon::Throw(reckon::ErrorKind::kCorrupt, "the batch ends early");
      std::string text(size, '\0');
      if (std::fread(text.data(), 1, size, stdin) != size) {
        reckon::Throw(reckon::ErrorKind::kCorrupt, "the text ends early");
      }
      const std::vector<int32_t> ids = tokenizer.Encode(text);
      const std::string decoded = tokenizer.Decode(ids);
      AppendNumber(out, ids.size());
      Append(out, ids.data(), ids.size() * sizeof(int32_t));
      AppendNumber(out, decoded.size());
      out += decoded;
    }
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizer_dump TOKENIZER\n");
    return 2;
  }
  try {
    Run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenizer_dump: %s\n", error.what());
    return 1;
  }
}
