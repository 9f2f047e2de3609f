#include "text/tokenizer_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/bpe.h"
#include "text/gguf_cuts.h"
#include "text/normalizer.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace reckon {
namespace {

bool HasBytes(const GgufVocabulary& vocabulary) {
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (TypeOf(vocabulary, id) == PieceType::kByte) return true;
  }
  return false;
}

size_t CountCharacters(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(FirstUtf8(text).length);
  return count;
}

// Nothing where there is no such token.
std::optional<std::string> TokenAt(const GgufVocabulary& vocabulary, std::optional<int64_t> id) {
  if (!id || *id < 0 || static_cast<uint64_t>(*id) >= vocabulary.tokens.size()) return std::nullopt;
  return vocabulary.tokens[static_cast<size_t>(*id)];
}

// How many tokens are left without the unused ones at the end, which fill up an embedding.
size_t CountWithoutPadding(const GgufVocabulary& vocabulary) {
  size_t count = vocabulary.tokens.size();
  while (count > 0 && TypeOf(vocabulary, count - 1) == PieceType::kUnused &&
         vocabulary.tokens[count - 1] == fmt::format("[PAD{}]", count - 1)) {
    --count;
  }
  return count;
}

// Of tokens that are spelled alike the last is found, as in FromGgufVocab.
Vocabulary IdsOf(const GgufVocabulary& vocabulary, size_t count) {
  Vocabulary ids;
  ids.reserve(count);
  for (size_t id = 0; id < count; ++id) {
    ids.insert_or_assign(vocabulary.tokens[id], static_cast<int32_t>(id));
  }
  return ids;
}

// In order of id. The keys differ: ordered_json would search them all for each new one.
Json VocabJson(const GgufVocabulary& vocabulary, const Vocabulary& ids, size_t count) {
  Json::object_t json;
  json.reserve(count);
  for (size_t id = 0; id < count; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (IdOf(ids, token) == static_cast<int32_t>(id)) json.emplace_back(token, Json(id));
  }
  return Json(std::move(json));
}

Json AddedTokensJson(const GgufVocabulary& vocabulary, const Vocabulary& ids, size_t count) {
  Json added = Json::array();
  for (size_t id = 0; id < count; ++id) {
    const PieceType type = TypeOf(vocabulary, id);
    const std::string& token = vocabulary.tokens[id];
    if (!IsCutOutWhole(type) || token.empty() || IdOf(ids, token) != static_cast<int32_t>(id))
      continue;
    added.push_back(Json{{"id", id},
                         {"content", token},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", type != PieceType::kUserDefined}});
  }
  return added;
}

Json TemplateJson(const GgufVocabulary& vocabulary, const SpecialFrame& frame) {
  if (frame.before.empty() && frame.after.empty()) return nullptr;
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  const auto add_special = [&](Json& list, const std::vector<int32_t>& ids, int type_id) {
    for (const int32_t id : ids) {
      const std::string& token = vocabulary.tokens[static_cast<size_t>(id)];
      list.push_back(Json{{"SpecialToken", {{"id", token}, {"type_id", type_id}}}});
      tokens[token] = {{"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
    }
  };
  const auto add_text = [&](Json& list, const char* name, int type_id) {
    add_special(list, frame.before, type_id);
    list.push_back(Json{{"Sequence", {{"id", name}, {"type_id", type_id}}}});
    add_special(list, frame.after, type_id);
  };
  add_text(single, "A", 0);
  add_text(pair, "A", 0);
  add_text(pair, "B", 1);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

// Text for every reader, pairs where a token holds a space.
Json MergesJson(const std::vector<std::pair<std::string, std::string>>& merges) {
  const bool has_space = std::any_of(merges.begin(), merges.end(), [](const auto& merge) {
    return (merge.first + merge.second).find(' ') != std::string::npos;
  });
  Json json = Json::array();
  for (const auto& [left, right] : merges) {
    json.push_back(has_space ? Json::array({left, right}) : Json(left + " " + right));
  }
  return json;
}

Json BpeJson(const BpeOptions& options, Json unk_token, Json vocab, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", std::move(unk_token)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", options.fuse_unk},
          {"byte_fallback", options.byte_fallback},
          {"ignore_merges", options.ignore_merges},
          {"vocab", std::move(vocab)},
          {"merges", std::move(merges)}};
}

// The parts in which the kinds of model differ.
struct Parts {
  Json normalizer, pre_tokenizer, decoder, model;
};

Json ByteLevelJson() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", false}};
}

Parts ByteLevelParts(const GgufVocabulary& vocabulary, Json vocab, const std::string& where) {
  const GgufCut& cut = FindGgufCut(vocabulary.pre, where);
  Json steps = Json::array();
  for (const std::string& regex : cut.regexes) {
    steps.push_back(Json{{"type", "Split"},
                         {"pattern", {{"Regex", regex}}},
                         {"behavior", "Isolated"},
                         {"invert", false}});
  }
  steps.push_back(ByteLevelJson());
  Parts parts;
  parts.pre_tokenizer = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  parts.decoder = ByteLevelJson();
  BpeOptions options;
  options.ignore_merges = cut.ignore_merges;
  parts.model =
      BpeJson(options, nullptr, std::move(vocab), MergesJson(MergesOf(vocabulary, where)));
  return parts;
}

// Every way to make a piece of two others; the pieces of the best score first, then long lefts and
// long rights first (SentencePieceExtractor in transformers' convert_slow_tokenizer.py).
std::vector<std::pair<std::string, std::string>> MergesOfScores(const GgufVocabulary& vocabulary,
                                                                const Vocabulary& ids) {
  struct Merge {
    std::string_view left, right;
    int32_t left_id = 0, right_id = 0;
    float score = 0;
    size_t left_length = 0, right_length = 0;  // characters
  };
  const auto find = [&](std::string_view text) {
    const int32_t id = IdOf(ids, text);
    return id >= 0 && OccursInText(TypeOf(vocabulary, static_cast<size_t>(id))) ? id : -1;
  };
  std::vector<Merge> merges;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view piece = vocabulary.tokens[id];
    if (find(piece) != static_cast<int32_t>(id)) continue;
    const size_t first = merges.size(), characters = CountCharacters(piece);
    const float score = vocabulary.scores.empty() ? 0.0f : vocabulary.scores[id];
    size_t at = 0;
    for (size_t length = 1; length < characters; ++length) {
      at += FirstUtf8(piece.substr(at)).length;
      const std::string_view left = piece.substr(0, at), right = piece.substr(at);
      const int32_t left_id = find(left), right_id = find(right);
      if (left_id < 0 || right_id < 0) continue;
      merges.push_back({left, right, left_id, right_id, score, length, characters - length});
    }
    std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(),
              [](const Merge& a, const Merge& b) {
                return std::pair(a.left_id, a.right_id) < std::pair(b.left_id, b.right_id);
              });
  }
  std::stable_sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(a.score, a.left_length, a.right_length) >
           std::tuple(b.score, b.left_length, b.right_length);
  });
  std::vector<std::pair<std::string, std::string>> pairs;
  pairs.reserve(merges.size());
  for (const Merge& merge : merges) pairs.emplace_back(merge.left, merge.right);
  return pairs;
}

Json ReplaceJson(const char* kind, std::string_view pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

Parts PieceParts(const GgufVocabulary& vocabulary, const Vocabulary& ids, Json vocab,
                 const std::string& where) {
  if (!vocabulary.precompiled_charsmap.empty()) {
    Throw(ErrorKind::kUnsupported,
          where +
              ": a tokenizer of type llama that replaces characters cannot be written as a "
              "tokenizer.json");
  }
  const bool has_prefix = vocabulary.add_space_prefix.value_or(true);
  const bool has_bytes = HasBytes(vocabulary);
  Json normalizers = Json::array();
  if (vocabulary.remove_extra_whitespaces.value_or(false)) {
    normalizers.push_back(ReplaceJson("Regex", "^ +| +$", ""));
    normalizers.push_back(ReplaceJson("Regex", " {2,}", " "));
  }
  if (has_prefix) normalizers.push_back(Json{{"type", "Prepend"}, {"prepend", kSpaceSymbol}});
  normalizers.push_back(ReplaceJson("String", " ", kSpaceSymbol));
  Json decoders = Json::array({ReplaceJson("String", kSpaceSymbol, " ")});
  if (has_bytes) decoders.push_back(Json{{"type", "ByteFallback"}});
  decoders.push_back(Json{{"type", "Fuse"}});
  if (has_prefix) {
    decoders.push_back(Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  // llama.cpp takes token 0 where the file names none.
  const auto unk = TokenAt(vocabulary, vocabulary.unk_id.value_or(0));
  Parts parts;
  parts.normalizer = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  parts.decoder = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
  BpeOptions options;
  options.byte_fallback = has_bytes;
  options.fuse_unk = true;
  parts.model = BpeJson(options, unk ? Json(*unk) : Json(), std::move(vocab),
                        MergesJson(MergesOfScores(vocabulary, ids)));
  return parts;
}

Parts PartsOf(const GgufVocabulary& vocabulary, const Vocabulary& ids, Json vocab,
              const std::string& where) {
  if (vocabulary.model == "gpt2") return ByteLevelParts(vocabulary, std::move(vocab), where);
  if (vocabulary.model == "llama") return PieceParts(vocabulary, ids, std::move(vocab), where);
  Throw(
      ErrorKind::kUnsupported,
      fmt::format("{}: the tokenizer model \"{}\" cannot be written as a tokenizer.json (gpt2 and "
                  "llama can)",
                  where, vocabulary.model));
}

template <typename T>
void AddIf(GgufMetadata* metadata, const char* key, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_same_v<T, bool>) {
    metadata->AddBool(key, *value);
  } else if (*value >= 0 && *value <= int64_t{UINT32_MAX}) {
    metadata->AddU32(key, static_cast<uint32_t>(*value));
  }
}

void AddTexts(GgufMetadata* metadata, const char* key, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  metadata->AddStrings(key, views);
}

}  // namespace

Json TokenizerJsonOf(const GgufVocabulary& vocabulary, const std::string& where) {
  CheckVocabulary(vocabulary, where);
  const size_t count = CountWithoutPadding(vocabulary);
  const Vocabulary ids = IdsOf(vocabulary, count);
  Parts parts = PartsOf(vocabulary, ids, VocabJson(vocabulary, ids, count), where);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", AddedTokensJson(vocabulary, ids, count)},
          {"normalizer", std::move(parts.normalizer)},
          {"pre_tokenizer", std::move(parts.pre_tokenizer)},
          {"post_processor", TemplateJson(vocabulary, FrameOf(vocabulary, where))},
          {"decoder", std::move(parts.decoder)},
          {"model", std::move(parts.model)}};
}

Json TokenizerConfigOf(const GgufVocabulary& vocabulary, std::string_view chat_template) {
  const SpecialFrame frame = FrameOf(vocabulary, "tokenizer_config.json");
  Json config = {{"add_bos_token", !frame.before.empty()}, {"add_eos_token", !frame.after.empty()}};
  for (const auto& [key, id] :
       {std::pair("bos_token", vocabulary.bos_id), std::pair("eos_token", vocabulary.eos_id),
        std::pair("pad_token", vocabulary.pad_id), std::pair("unk_token", vocabulary.unk_id)}) {
    const auto token = TokenAt(vocabulary, id);
    config[key] = token ? Json(*token) : Json();
  }
  config["clean_up_tokenization_spaces"] = false;
  // LlamaTokenizerFast takes byte fallback for granted.
  const bool is_llama = vocabulary.model == "llama" && HasBytes(vocabulary);
  config["tokenizer_class"] = is_llama ? "LlamaTokenizerFast" : "PreTrainedTokenizerFast";
  if (is_llama) config["legacy"] = true;
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  return config;
}

void AddVocabulary(const GgufVocabulary& vocabulary, std::string_view chat_template,
                   GgufMetadata* metadata) {
  metadata->AddString("tokenizer.ggml.model", vocabulary.model);
  if (!vocabulary.pre.empty()) metadata->AddString("tokenizer.ggml.pre", vocabulary.pre);
  AddTexts(metadata, "tokenizer.ggml.tokens", vocabulary.tokens);
  if (!vocabulary.scores.empty()) metadata->AddFloats("tokenizer.ggml.scores", vocabulary.scores);
  if (!vocabulary.token_types.empty()) {
    metadata->AddInts("tokenizer.ggml.token_type", vocabulary.token_types);
  }
  if (!vocabulary.merges.empty()) AddTexts(metadata, "tokenizer.ggml.merges", vocabulary.merges);
  AddIf(metadata, "tokenizer.ggml.bos_token_id", vocabulary.bos_id);
  AddIf(metadata, "tokenizer.ggml.eos_token_id", vocabulary.eos_id);
  AddIf(metadata, "tokenizer.ggml.unknown_token_id", vocabulary.unk_id);
  AddIf(metadata, "tokenizer.ggml.padding_token_id", vocabulary.pad_id);
  AddIf(metadata, "tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  AddIf(metadata, "tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  AddIf(metadata, "tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  AddIf(metadata, "tokenizer.ggml.remove_extra_whitespaces", vocabulary.remove_extra_whitespaces);
  const std::string& charsmap = vocabulary.precompiled_charsmap;
  if (!charsmap.empty()) {  // llama.cpp wants bytes
    metadata->Add("tokenizer.ggml.precompiled_charsmap",
                  {GgufType::kArray, GgufType::kU8, charsmap.size(),
                   std::as_bytes(std::span(charsmap.data(), charsmap.size()))});
  }
  if (!chat_template.empty()) metadata->AddString("tokenizer.chat_template", chat_template);
}

}  // namespace reckon
