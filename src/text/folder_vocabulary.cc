// The vocabulary of a Hugging Face folder, as llama.cpp's converter would write it.

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "text/gguf_cuts.h"
#include "text/normalizer.h"
#include "text/sentencepiece.h"
#include "text/split_patterns.h"
#include "text/tokenizer_export.h"
#include "text/vocabulary.h"

namespace reckon {
namespace {

constexpr float kAddedScore = -1000, kPadScore = -10000;  // as llama.cpp's converter sets them

// Files of a folder; null where they are not there.
struct Files {
  std::string folder;
  Json tokenizer, tokenizer_config, special_tokens_map, generation_config, config;

  explicit Files(const std::string& path) : folder(path) {
    tokenizer = Read("tokenizer.json");
    tokenizer_config = Read("tokenizer_config.json");
    special_tokens_map = Read("special_tokens_map.json");
    generation_config = Read("generation_config.json");
    config = Read("config.json");
  }
  std::string PathOf(const char* name) const { return folder + "/" + name; }

 private:
  Json Read(const char* name) const {
    return FileExists(PathOf(name)) ? ReadJsonFile(PathOf(name)) : Json();
  }
};

// Null where `json` is no object or has no such key.
const Json& Member(const Json& json, const char* key) {
  static const Json null;
  if (!json.is_object()) return null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

std::string TypeName(const Json& step) {
  const Json& type = Member(step, "type");
  return type.is_string() ? type.get<std::string>() : "";
}

// The steps of a normalizer or pre-tokenizer, Sequences taken apart.
void AppendSteps(const Json& json, const char* list, std::vector<Json>& steps) {
  if (json.is_null()) return;
  if (TypeName(json) != "Sequence") {
    steps.push_back(json);
    return;
  }
  for (const Json& step : Member(json, list)) AppendSteps(step, list, steps);
}

bool Has(const std::vector<Json>& steps, const char* type) {
  return std::any_of(steps.begin(), steps.end(),
                     [&](const Json& step) { return TypeName(step) == type; });
}

[[noreturn]] void RefuseStep(const Json& step, const std::string& where) {
  Throw(ErrorKind::kUnsupported,
        fmt::format("{}: {} has no place in a GGUF file; the ids would change", where,
                    step.dump().substr(0, 200)));
}

// The patterns that a byte-level tokenizer cuts with, as gguf_cuts.h has them.
std::vector<std::string> RegexesOf(const std::vector<Json>& steps, const std::string& where) {
  std::vector<std::string> regexes;
  for (const Json& step : steps) {
    const std::string type = TypeName(step);
    const Json& regex = Member(Member(step, "pattern"), "Regex");
    if (type == "Split" && Member(step, "behavior") == "Isolated" &&
        Member(step, "invert") != Json(true) && regex.is_string()) {
      regexes.push_back(regex.get<std::string>());
    } else if (type == "Digits") {
      const bool single = Member(step, "individual_digits") == Json(true);
      regexes.emplace_back(single ? "\\p{N}" : "\\p{N}+");
    } else if (type == "ByteLevel" && Member(step, "add_prefix_space") == Json(false)) {
      if (Member(step, "use_regex") != Json(false)) {
        regexes.push_back(reckon::RegexesOf(KnownSplit::kGpt2)[0]);
      }
    } else {
      RefuseStep(step, where + ": pre_tokenizer");
    }
  }
  return regexes;
}

std::string PreOf(const std::vector<Json>& steps, const std::string& where) {
  const std::vector<std::string> regexes = RegexesOf(steps, where);
  const GgufCut* cut = FindGgufCutOf(regexes);
  if (cut == nullptr) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: pre_tokenizer: GGUF files have no name that is known here for the "
                      "patterns \"{}\" ({} are known)",
                      where, fmt::join(regexes, "\", \""), fmt::join(GgufPreTokenizers(), ", ")));
  }
  return cut->name;
}

// Tokens that the converter takes for special whatever the file says: texts like <|this|>.
bool LooksSpecial(std::string_view token) {
  const auto between = [&](std::string_view begin, std::string_view end) {
    return token.size() > begin.size() + end.size() && token.starts_with(begin) &&
           token.ends_with(end);
  };
  return between("<|", "|>") || between("<\uFF5C", "\uFF5C>") || token == "<pad>" ||
         token == "<mask>";
}

void SetToken(GgufVocabulary& vocabulary, int64_t id, const std::string& text, PieceType type) {
  const auto index = static_cast<size_t>(id);
  if (index >= vocabulary.tokens.size()) {
    CheckLargestId(static_cast<int32_t>(id), vocabulary.tokens.size() + 1, "tokenizer");
    vocabulary.tokens.resize(index + 1);
    vocabulary.token_types.resize(index + 1, static_cast<int32_t>(PieceType::kUnused));
  }
  vocabulary.tokens[index] = text;
  vocabulary.token_types[index] = static_cast<int32_t>(type);
}

void AddToken(GgufVocabulary& vocabulary, int64_t id, const std::string& text, bool special) {
  if (id < 0 || id > kMaxTokenId) {
    Throw(ErrorKind::kCorrupt, fmt::format("added token \"{}\" has the id {}", text, id));
  }
  const bool control = special || LooksSpecial(text);
  SetToken(vocabulary, id, text, control ? PieceType::kControl : PieceType::kUserDefined);
}

// The tokens of a tokenizer.json that Tokenizer::FromJson has found good.
void SetTokens(const Json& json, GgufVocabulary& vocabulary) {
  const Json& vocab = json["model"]["vocab"];
  vocabulary.tokens.reserve(vocab.size());
  for (const auto& [token, id] : vocab.items()) {
    SetToken(vocabulary, id.get<int64_t>(), token, PieceType::kNormal);
  }
  for (const Json& token : Member(json, "added_tokens")) {
    AddToken(vocabulary, token["id"].get<int64_t>(), token["content"].get<std::string>(),
             Member(token, "special") == Json(true));
  }
}

void Pad(GgufVocabulary& vocabulary, int64_t vocab_size, const std::string& where) {
  const auto size = static_cast<size_t>(std::max<int64_t>(vocab_size, 0));
  if (vocabulary.tokens.size() > size) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} tokens, more than the model's vocab_size {}",
                                           where, vocabulary.tokens.size(), vocab_size));
  }
  vocabulary.tokens.resize(size);
  vocabulary.token_types.resize(size, static_cast<int32_t>(PieceType::kUnused));
  if (!vocabulary.scores.empty()) vocabulary.scores.resize(size, kPadScore);
  for (size_t id = 0; id < size; ++id) {
    if (vocabulary.tokens[id].empty()) vocabulary.tokens[id] = fmt::format("[PAD{}]", id);
  }
}

std::vector<std::pair<std::string, std::string>> ReadMerges(const Json& list) {
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(list.size());
  for (const Json& merge : list) {
    if (merge.is_array()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

GgufVocabulary ByteLevelVocabulary(const Json& json, const std::vector<Json>& normalizers,
                                   const std::vector<Json>& pre_tokenizers,
                                   const std::string& where) {
  for (const Json& step : normalizers) {
    if (TypeName(step) != "NFC") RefuseStep(step, where + ": normalizer");
  }
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = PreOf(pre_tokenizers, where);
  SetTokens(json, vocabulary);
  for (const auto& [left, right] : ReadMerges(json["model"]["merges"])) {
    vocabulary.merges.push_back(left + " " + right);
  }
  return vocabulary;
}

// Whether spaces become "▁", and whether one is put in front.
struct SpaceRule {
  bool replaces = false, prepends = false;
};

SpaceRule SpaceRuleOf(const std::vector<Json>& normalizers,
                      const std::vector<Json>& pre_tokenizers) {
  SpaceRule rule;
  for (const Json& step : normalizers) {
    const std::string type = TypeName(step);
    if (type == "Prepend") rule.prepends = Member(step, "prepend") == Json(kSpaceSymbol);
    if (type == "Replace" && Member(step, "content") == Json(kSpaceSymbol)) rule.replaces = true;
  }
  for (const Json& step : pre_tokenizers) {
    if (TypeName(step) != "Metaspace") continue;
    rule.replaces = true;
    rule.prepends = Member(step, "prepend_scheme") != Json("never") &&
                    Member(step, "add_prefix_space") != Json(false);
  }
  return rule;
}

// The scores of tokenizer.model, else minus the rank of the first merge that makes the token; a
// token that no merge makes comes after all that one does.
void SetScores(const Files& files, const Json& merges_json, GgufVocabulary& vocabulary) {
  const auto merges = ReadMerges(merges_json);
  std::unordered_map<std::string, size_t> rank_of;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    rank_of.try_emplace(merges[rank].first + merges[rank].second, rank);
  }
  SentencePieceModel model;
  const std::string path = files.PathOf("tokenizer.model");
  if (FileExists(path)) model = ParseSentencePiece(ReadFile(path), path);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    const auto rank = rank_of.find(token);
    if (id < model.pieces.size() && model.pieces[id].text == token) {
      vocabulary.scores.push_back(model.pieces[id].score);
    } else if (TypeOf(vocabulary, id) != PieceType::kNormal) {
      vocabulary.scores.push_back(kAddedScore);
    } else {
      const size_t place = rank != rank_of.end() ? rank->second : merges.size();
      vocabulary.scores.push_back(-static_cast<float>(place));
    }
  }
}

GgufVocabulary PieceVocabulary(const Files& files, const std::vector<Json>& normalizers,
                               const std::vector<Json>& pre_tokenizers, const std::string& where) {
  for (const Json& step : normalizers) {
    const std::string type = TypeName(step);
    if (type != "Prepend" && type != "Replace") RefuseStep(step, where + ": normalizer");
  }
  const Json& model = files.tokenizer["model"];
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  SetTokens(files.tokenizer, vocabulary);
  const Json& unk = Member(model, "unk_token");
  const bool byte_fallback = Member(model, "byte_fallback") == Json(true);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    PieceType type = TypeOf(vocabulary, id);
    if (byte_fallback && type == PieceType::kNormal && ByteOfToken(token) >= 0) {
      type = PieceType::kByte;
    }
    if (unk.is_string() && unk == Json(token)) {
      type = PieceType::kUnknown;
      vocabulary.unk_id = static_cast<int64_t>(id);
    }
    vocabulary.token_types[id] = static_cast<int32_t>(type);
  }
  SetScores(files, model["merges"], vocabulary);
  vocabulary.add_space_prefix = SpaceRuleOf(normalizers, pre_tokenizers).prepends;
  return vocabulary;
}

std::optional<GgufVocabulary> OfTokenizerJson(const Files& files, const std::string& where) {
  Tokenizer::FromJson(files.tokenizer, where);  // throws for a file that is not good
  const Json& model = Member(files.tokenizer, "model");
  const std::string type = TypeName(model);
  if (!Member(model, "merges").is_array() || (type != "BPE" && !type.empty())) return std::nullopt;
  std::vector<Json> normalizers, pre_tokenizers;
  AppendSteps(Member(files.tokenizer, "normalizer"), "normalizers", normalizers);
  AppendSteps(Member(files.tokenizer, "pre_tokenizer"), "pretokenizers", pre_tokenizers);
  if (Has(pre_tokenizers, "ByteLevel")) {
    return ByteLevelVocabulary(files.tokenizer, normalizers, pre_tokenizers, where);
  }
  if (!SpaceRuleOf(normalizers, pre_tokenizers).replaces) return std::nullopt;
  return PieceVocabulary(files, normalizers, pre_tokenizers, where);
}

std::optional<GgufVocabulary> OfSentencePiece(const Files& files, const std::string& where) {
  const SentencePieceModel model = ParseSentencePiece(ReadFile(where), where);
  if (model.is_unigram) return std::nullopt;
  if (!model.normalizer.charsmap.empty()) {
    Throw(ErrorKind::kUnsupported,
          where + ": replaces characters, which a GGUF file of type llama does not do");
  }
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    SetToken(vocabulary, static_cast<int64_t>(id), model.pieces[id].text, model.pieces[id].type);
    vocabulary.scores.push_back(model.pieces[id].score);
  }
  const Json& added = Member(files.tokenizer_config, "added_tokens_decoder");
  for (const auto& [id, token] : added.items()) {
    const auto index = static_cast<int64_t>(std::strtoll(id.c_str(), nullptr, 10));
    const Json& content = Member(token, "content");
    if (!content.is_string() || index < static_cast<int64_t>(model.pieces.size())) continue;
    AddToken(vocabulary, index, content.get<std::string>(), Member(token, "special") == Json(true));
  }
  vocabulary.scores.resize(vocabulary.tokens.size(), kAddedScore);
  vocabulary.unk_id = model.unk_id;
  if (model.bos_id >= 0) vocabulary.bos_id = model.bos_id;
  if (model.eos_id >= 0) vocabulary.eos_id = model.eos_id;
  vocabulary.add_bos = model.bos_id >= 0;
  vocabulary.add_space_prefix = model.normalizer.add_dummy_prefix;
  vocabulary.remove_extra_whitespaces = model.normalizer.remove_extra_whitespaces;
  return vocabulary;
}

// As transformers and llama.cpp's converter look for it: by text, then by number.
std::optional<int64_t> FindSpecial(const Files& files, const Vocabulary& ids, size_t num_tokens,
                                   const std::string& name) {
  for (const Json* source : {&files.tokenizer_config, &files.special_tokens_map}) {
    Json token = Member(*source, name.c_str());
    if (token.is_object()) token = Json(Member(token, "content"));
    if (!token.is_string()) continue;
    const int32_t id = IdOf(ids, token.get<std::string>());
    if (id >= 0) return id;
  }
  for (const Json* source : {&files.generation_config, &files.config}) {
    Json id = Member(*source, (name + "_id").c_str());
    if (id.is_array() && !id.empty()) id = Json(id[0]);
    if (id.is_number_unsigned() && id.get<uint64_t>() < num_tokens) return id.get<int64_t>();
  }
  return std::nullopt;
}

void SetSpecialTokens(const Files& files, GgufVocabulary& vocabulary) {
  Vocabulary ids;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    ids.try_emplace(vocabulary.tokens[id], static_cast<int32_t>(id));
  }
  const auto set = [&](const char* name, std::optional<int64_t>& id) {
    const auto found = FindSpecial(files, ids, vocabulary.tokens.size(), name);
    if (found) id = found;
  };
  set("bos_token", vocabulary.bos_id);
  set("eos_token", vocabulary.eos_id);
  set("pad_token", vocabulary.pad_id);
  if (!vocabulary.unk_id) set("unk_token", vocabulary.unk_id);
}

// The post-processor says what stands around a text; where it says nothing, tokenizer_config.json
// does.
void SetFrame(const Files& files, GgufVocabulary& vocabulary) {
  const SpecialFrame frame =
      ReadPostProcessor(Member(files.tokenizer, "post_processor"), "post_processor");
  const auto adds = [&](const std::vector<int32_t>& around, std::optional<int64_t>& id,
                        const char* key, std::optional<bool> otherwise) {
    if (around.size() == 1) {
      id = around[0];
      return true;
    }
    const Json& flag = Member(files.tokenizer_config, key);
    return flag.is_boolean() ? flag.get<bool>() : otherwise.value_or(false);
  };
  vocabulary.add_bos = adds(frame.before, vocabulary.bos_id, "add_bos_token", vocabulary.add_bos);
  vocabulary.add_eos = adds(frame.after, vocabulary.eos_id, "add_eos_token", vocabulary.add_eos);
}

}  // namespace

std::optional<GgufVocabulary> VocabularyOfFolder(const std::string& folder, int64_t vocab_size) {
  const Files files(folder);
  const bool has_json = !files.tokenizer.is_null();
  const std::string where = files.PathOf(has_json ? "tokenizer.json" : "tokenizer.model");
  if (!FileExists(where)) return std::nullopt;
  std::optional<GgufVocabulary> vocabulary =
      has_json ? OfTokenizerJson(files, where) : OfSentencePiece(files, where);
  if (!vocabulary) return std::nullopt;
  Pad(*vocabulary, vocab_size, where);
  SetSpecialTokens(files, *vocabulary);
  SetFrame(files, *vocabulary);
  CheckVocabulary(*vocabulary, where);
  return vocabulary;
}

}  // namespace reckon
