#include "text/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/bpe.h"
#include "text/sentencepiece.h"
#include "text/split_patterns.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr int kLastPieceType = 6;  // from 0, undefined, which some converters write

// A name of tokenizer.ggml.pre with the patterns that cut one after another.
struct NamedCut {
  std::string name;
  std::vector<std::string> regexes;
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool add_bos = false;        // where the file does not say
};

const std::vector<NamedCut>& NamedCuts() {
  static const std::vector<NamedCut> cuts = {
      {"default",
       {R"([\p{P}\$\+<=>\^~\|]+)",
        R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", R"(\p{N}+)",
        "[0-9][0-9][0-9]"}},
      {"gpt-2", RegexesOf(KnownSplit::kGpt2)},
      {"llama-bpe", RegexesOf(KnownSplit::kLlama3), true, true},
      {"qwen2", RegexesOf(KnownSplit::kQwen2)},
      {"deepseek-r1-qwen", RegexesOf(KnownSplit::kQwen2)},
      {"deepseek-v3", RegexesOf(KnownSplit::kDeepSeekV3)},
      // clang-format off
      {"deepseek-llm",
      {"[\r\n]",
       "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295"
       "-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-"
       "\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
       "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-"
       "\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
       "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u03b9\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-"
       "\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-"
       "\u211d\u2124\u03a9\u2128K-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e"
       "\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-"
       "\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
       "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-"
       "\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-"
       "\U0001e943]+",
       "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
       "\\s+$",
       "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
       "\\p{N}+"}},
      {"deepseek-coder",
      {"[\r\n]",
       "\\s?\\p{L}+",
       "\\s?\\p{P}+",
       "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
       "\\p{N}"}},
      // clang-format on
  };
  return cuts;
}

// Other names of the same cuts.
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"", "default"},      {"llama3", "llama-bpe"}, {"llama-v3", "llama-bpe"},
    {"qwen2.5", "qwen2"}, {"gpt2", "gpt-2"},       {"deepseek-r1", "deepseek-v3"},
};

const NamedCut& FindCut(const std::string& pre, const std::string& where) {
  std::string_view name = pre;
  for (const auto& [alias, meant] : kAliases) {
    if (name == alias) name = meant;
  }
  for (const NamedCut& cut : NamedCuts()) {
    if (cut.name == name) return cut;
  }
  Throw(ErrorKind::kUnsupported,
        fmt::format("{}: the pre-tokenizer \"{}\" is not supported ({} are)", where, pre,
                    fmt::join(GgufPreTokenizers(), ", ")));
}

PieceType TypeOf(const GgufVocabulary& vocabulary, size_t id) {
  if (vocabulary.token_types.empty()) return PieceType::kNormal;
  return static_cast<PieceType>(vocabulary.token_types[id]);
}

void CheckLists(const GgufVocabulary& vocabulary, const std::string& where) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0 || count > size_t{kMaxTokenId}) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} tokens", where, count));
  }
  for (const auto& [name, size] : {std::pair("scores", vocabulary.scores.size()),
                                   std::pair("token types", vocabulary.token_types.size())}) {
    if (size != 0 && size != count) {
      Throw(ErrorKind::kCorrupt, fmt::format("{}: {} {} for {} tokens", where, size, name, count));
    }
  }
  for (size_t id = 0; id < count; ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (ValidUtf8Prefix(token).size() != token.size()) {
      Throw(ErrorKind::kCorrupt, fmt::format("{}: token {} is not UTF-8", where, id));
    }
    const int type = static_cast<int>(TypeOf(vocabulary, id));
    if (type < 0 || type > kLastPieceType) {
      Throw(ErrorKind::kCorrupt, fmt::format("{}: token {} has the type {}", where, id, type));
    }
  }
}

int32_t ReadId(const std::optional<int64_t>& id, const char* name, const GgufVocabulary& vocabulary,
               const std::string& where) {
  if (!id) return -1;
  // Converters write -1 and 2^32 - 1 where there is none.
  if (*id == -1 || *id == int64_t{UINT32_MAX}) return -1;
  if (*id < 0 || static_cast<uint64_t>(*id) >= vocabulary.tokens.size()) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: the {} id is {} of {} tokens", where, name, *id,
                                           vocabulary.tokens.size()));
  }
  return static_cast<int32_t>(*id);
}

void AddWhole(const GgufVocabulary& vocabulary, TokenizerParts& parts) {
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const PieceType type = TypeOf(vocabulary, i);
    const auto id = static_cast<int32_t>(i);
    const std::string& text = vocabulary.tokens[i];
    if ((type != PieceType::kControl && type != PieceType::kUserDefined) || text.empty()) continue;
    parts.added.push_back({.content = text, .id = id, .special = type == PieceType::kControl});
    parts.raw_texts.emplace_back(id, text);
  }
}

void MakeBytePairs(const GgufVocabulary& vocabulary, TokenizerParts& parts) {
  const NamedCut& cut = FindCut(vocabulary.pre, parts.where);
  Vocabulary ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    ids.insert_or_assign(vocabulary.tokens[id], static_cast<int32_t>(id));
  }
  BpeModel::Merges merges;
  merges.reserve(vocabulary.merges.size());
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ', 1);  // a token may begin with a space
    if (space == merge.npos || space + 1 == merge.size()) {
      Throw(ErrorKind::kCorrupt, fmt::format("{}: merge {}, \"{}\", is not two tokens", parts.where,
                                             merges.size(), merge));
    }
    merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = cut.ignore_merges;
  parts.model =
      std::make_unique<BpeModel>(std::move(ids), merges, options, parts.where + ": merges");
  parts.pre_tokenizer = PreTokenizer::ByteLevelAfter(cut.regexes, parts.where);
  parts.decoder = Decoder::ByteLevel();
}

void MakePieces(const GgufVocabulary& vocabulary, int32_t unk_id, TokenizerParts& parts) {
  const bool is_unigram = vocabulary.model == "t5";
  std::vector<ScoredPiece> pieces;
  pieces.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const float score = vocabulary.scores.empty() ? 0.0f : vocabulary.scores[id];
    pieces.push_back({vocabulary.tokens[id], score, TypeOf(vocabulary, id)});
  }
  SentencePieceNormalizer normalizer;
  normalizer.add_dummy_prefix = vocabulary.add_space_prefix.value_or(true);
  normalizer.remove_extra_whitespaces = vocabulary.remove_extra_whitespaces.value_or(is_unigram);
  normalizer.charsmap = Charsmap::FromBytes(vocabulary.precompiled_charsmap, parts.where);
  normalizer.user_defined = UserDefinedOf(pieces);
  parts.decoder = Decoder::SentencePiece(normalizer.remove_extra_whitespaces
                                             ? std::numeric_limits<int32_t>::max()
                                             : static_cast<int>(normalizer.add_dummy_prefix));
  parts.normalizer = Normalizer::FromSentencePiece(std::move(normalizer));
  parts.model = MakePieceModel(pieces, is_unigram, unk_id, true, parts.where);
}

// Empty where the file has no such array.
std::vector<int64_t> IntsBetween(const GgufFile& file, const std::string& key, int64_t min,
                                 int64_t max) {
  std::vector<int64_t> values = file.Ints(key, true);
  for (const int64_t value : values) {
    if (value >= min && value <= max) continue;
    Throw(ErrorKind::kCorrupt, fmt::format("{}: key \"{}\" holds {}, which is not from {} to {}",
                                           file.path(), key, value, min, max));
  }
  return values;
}

}  // namespace

std::vector<std::string> GgufPreTokenizers() {
  std::vector<std::string> names;
  for (const NamedCut& cut : NamedCuts()) names.push_back(cut.name);
  return names;
}

GgufVocabulary VocabularyOf(const GgufFile& file) {
  constexpr std::string_view kPrefix = "tokenizer.ggml.";
  const auto key = [&](std::string_view name) { return std::string(kPrefix) + std::string(name); };
  const auto id = [&](std::string_view name) {
    return file.HasKey(key(name)) ? std::optional(file.Int(key(name))) : std::nullopt;
  };
  const auto flag = [&](std::string_view name) {
    return file.HasKey(key(name)) ? std::optional(file.Bool(key(name))) : std::nullopt;
  };
  GgufVocabulary v;
  v.model = file.String(key("model"));
  v.pre = file.String(key("pre"), "");
  for (const std::string_view token : file.Strings(key("tokens"))) v.tokens.emplace_back(token);
  for (const std::string_view merge : file.Strings(key("merges"), true)) {
    v.merges.emplace_back(merge);
  }
  v.scores = file.Floats(key("scores"), true);
  for (const int64_t type : IntsBetween(file, key("token_type"), 0, kLastPieceType)) {
    v.token_types.push_back(static_cast<int32_t>(type));
  }
  for (const int64_t byte : IntsBetween(file, key("precompiled_charsmap"), -128, 255)) {
    v.precompiled_charsmap.push_back(static_cast<char>(byte));
  }
  v.bos_id = id("bos_token_id");
  v.eos_id = id("eos_token_id");
  v.unk_id = id("unknown_token_id");
  v.pad_id = id("padding_token_id");
  v.add_bos = flag("add_bos_token");
  v.add_eos = flag("add_eos_token");
  v.add_space_prefix = flag("add_space_prefix");
  v.remove_extra_whitespaces = flag("remove_extra_whitespaces");
  return v;
}

Tokenizer FromGgufVocab(const GgufVocabulary& vocabulary, const std::string& where) {
  CheckLists(vocabulary, where);
  TokenizerParts parts;
  parts.where = where;
  parts.bos_id = ReadId(vocabulary.bos_id, "bos", vocabulary, where);
  parts.eos_id = ReadId(vocabulary.eos_id, "eos", vocabulary, where);
  ReadId(vocabulary.pad_id, "padding", vocabulary, where);
  const int32_t unk_id = ReadId(vocabulary.unk_id, "unknown", vocabulary, where);
  bool adds_bos = false;
  if (vocabulary.model == "gpt2") {
    MakeBytePairs(vocabulary, parts);
    adds_bos = FindCut(vocabulary.pre, where).add_bos;
  } else if (vocabulary.model == "llama" || vocabulary.model == "t5") {
    // llama.cpp takes token 0 where the file names none.
    MakePieces(vocabulary, vocabulary.unk_id ? unk_id : 0, parts);
    adds_bos = vocabulary.model == "llama";
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: the tokenizer model \"{}\" is not supported (gpt2, llama and t5 are)",
                      where, vocabulary.model));
  }
  AddWhole(vocabulary, parts);
  if (vocabulary.add_bos.value_or(adds_bos) && parts.bos_id >= 0) {
    parts.frame.before = {parts.bos_id};
  }
  const bool adds_eos = vocabulary.model == "t5";
  if (vocabulary.add_eos.value_or(adds_eos) && parts.eos_id >= 0) {
    parts.frame.after = {parts.eos_id};
  }
  return Tokenizer(std::move(parts));
}

}  // namespace reckon
