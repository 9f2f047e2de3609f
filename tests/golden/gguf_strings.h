// The tokenizer keys of a GGUF file (version 3), for tests: a reader that trusts its file.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/gguf_vocabulary.h"

namespace reckon {

class GgufStrings {
 public:
  static GgufVocabulary ReadVocabularyOf(const std::string& path) {
    GgufStrings reader(ReadFile(path));
    GgufVocabulary vocabulary;
    reader.at_ = 16;  // magic, version, number of tensors
    for (auto count = reader.Number<uint64_t>(); count > 0; --count) reader.Pair(vocabulary);
    return vocabulary;
  }

 private:
  enum Type : uint32_t { kBool = 7, kString = 8, kArray = 9 };
  explicit GgufStrings(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string String() {
    const auto size = Number<uint64_t>();
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  static size_t SizeOf(uint32_t type) {
    constexpr size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return sizes[type];
  }
  template <typename T>
  void Array(std::vector<T>& values) {
    Number<uint32_t>();
    for (auto count = Number<uint64_t>(); count > 0; --count) {
      if constexpr (std::is_same_v<T, std::string>) {
        values.push_back(String());
      } else {
        values.push_back(Number<T>());
      }
    }
  }
  void Pair(GgufVocabulary& vocabulary) {
    const std::string key = String();
    const auto type = Number<uint32_t>();
    const auto is = [&](const char* name) { return key == std::string("tokenizer.ggml.") + name; };
    if (is("model")) {
      vocabulary.model = String();
    } else if (is("pre")) {
      vocabulary.pre = String();
    } else if (is("tokens")) {
      Array(vocabulary.tokens);
    } else if (is("merges")) {
      Array(vocabulary.merges);
    } else if (is("scores")) {
      Array(vocabulary.scores);
    } else if (is("token_type")) {
      Array(vocabulary.token_types);
    } else if (is("bos_token_id")) {
      vocabulary.bos_id = Number<uint32_t>();
    } else if (is("eos_token_id")) {
      vocabulary.eos_id = Number<uint32_t>();
    } else if (is("unknown_token_id")) {
      vocabulary.unk_id = Number<uint32_t>();
    } else if (is("add_bos_token")) {
      vocabulary.add_bos = Number<uint8_t>() != 0;
    } else if (is("add_space_prefix")) {
      vocabulary.add_space_prefix = Number<uint8_t>() != 0;
    } else if (type == kString) {
      String();
    } else if (type == kArray) {
      const auto element = Number<uint32_t>();
      for (auto count = Number<uint64_t>(); count > 0; --count) {
        if (element == kString) {
          String();
        } else {
          at_ += SizeOf(element);
        }
      }
    } else {
      at_ += SizeOf(type);
    }
  }

  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace reckon
