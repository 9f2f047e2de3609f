#include "text/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/bpe.h"
#include "text/gguf_cuts.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr int kLastPieceType = 6;  // from 0, undefined, which some converters write

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
    if (!IsCutOutWhole(type) || text.empty()) continue;
    const bool special = type != PieceType::kUserDefined;
    parts.added.push_back({.content = text, .id = id, .special = special});
    parts.raw_texts.emplace_back(id, text);
  }
}

void MakeBytePairs(const GgufVocabulary& vocabulary, TokenizerParts& parts) {
  const GgufCut& cut = FindGgufCut(vocabulary.pre, parts.where);
  Vocabulary ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    ids.insert_or_assign(vocabulary.tokens[id], static_cast<int32_t>(id));
  }
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = cut.ignore_merges;
  parts.model = std::make_unique<BpeModel>(std::move(ids), MergesOf(vocabulary, parts.where),
                                           options, parts.where + ": merges");
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

PieceType TypeOf(const GgufVocabulary& vocabulary, size_t id) {
  if (vocabulary.token_types.empty()) return PieceType::kNormal;
  return static_cast<PieceType>(vocabulary.token_types[id]);
}

bool IsCutOutWhole(PieceType type) {
  return type == PieceType::kControl || type == PieceType::kUserDefined ||
         type == PieceType::kUnknown;
}

void CheckVocabulary(const GgufVocabulary& vocabulary, const std::string& where) {
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

std::vector<std::pair<std::string, std::string>> MergesOf(const GgufVocabulary& vocabulary,
                                                          const std::string& where) {
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(vocabulary.merges.size());
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ', 1);  // a token may begin with a space
    if (space == merge.npos || space + 1 == merge.size()) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: merge {}, \"{}\", is not two tokens", where, merges.size(), merge));
    }
    merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return merges;
}

SpecialFrame FrameOf(const GgufVocabulary& vocabulary, const std::string& where) {
  const std::string& model = vocabulary.model;
  const bool adds_bos =
      model == "llama" || (model == "gpt2" && FindGgufCut(vocabulary.pre, where).add_bos);
  const int32_t bos_id = ReadId(vocabulary.bos_id, "bos", vocabulary, where);
  const int32_t eos_id = ReadId(vocabulary.eos_id, "eos", vocabulary, where);
  SpecialFrame frame;
  if (vocabulary.add_bos.value_or(adds_bos) && bos_id >= 0) frame.before = {bos_id};
  if (vocabulary.add_eos.value_or(model == "t5") && eos_id >= 0) frame.after = {eos_id};
  return frame;
}

Tokenizer FromGgufVocab(const GgufVocabulary& vocabulary, const std::string& where) {
  CheckVocabulary(vocabulary, where);
  TokenizerParts parts;
  parts.where = where;
  parts.bos_id = ReadId(vocabulary.bos_id, "bos", vocabulary, where);
  parts.eos_id = ReadId(vocabulary.eos_id, "eos", vocabulary, where);
  ReadId(vocabulary.pad_id, "padding", vocabulary, where);
  const int32_t unk_id = ReadId(vocabulary.unk_id, "unknown", vocabulary, where);
  if (vocabulary.model == "gpt2") {
    MakeBytePairs(vocabulary, parts);
  } else if (vocabulary.model == "llama" || vocabulary.model == "t5") {
    // llama.cpp takes token 0 where the file names none.
    MakePieces(vocabulary, vocabulary.unk_id ? unk_id : 0, parts);
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: the tokenizer model \"{}\" is not supported (gpt2, llama and t5 are)",
                      where, vocabulary.model));
  }
  AddWhole(vocabulary, parts);
  parts.frame = FrameOf(vocabulary, where);
  return Tokenizer(std::move(parts));
}

}  // namespace reckon
