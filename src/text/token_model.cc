#include "text/token_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/bpe.h"
#include "text/unigram.h"

namespace reckon {
namespace {

// What a character without a token costs beyond the worst token, in Unigram models.
constexpr double kUnknownPenalty = 10;

class WordLevelModel : public TokenModel {
 public:
  WordLevelModel(Vocabulary vocabulary, int32_t unk_id)
      : TokenModel(std::move(vocabulary)), unk_id_(unk_id) {}

  void Encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    const int32_t id = IdOf(vocabulary_, piece);
    if (id < 0 && unk_id_ < 0) {
      Throw(ErrorKind::kInvalidArgument, fmt::format("the tokenizer has no token for \"{}\"{}",
                                                     piece, KnownCharacters(vocabulary_)));
    }
    ids.push_back(id < 0 ? unk_id_ : id);
  }

 private:
  int32_t unk_id_;
};

// Options that change what BPE does; at these values they change nothing.
void RefuseOtherVariants(ObjectReader& reader) {
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = reader.Find(key);
    const bool inert = value == nullptr || value->is_null() || *value == Json("") ||
                       (value->is_number() && value->get<double>() == 0);
    if (!inert) {
      Throw(ErrorKind::kUnsupported,
            fmt::format("{}: {} is not supported", reader.PathOf(key), value->dump()));
    }
  }
}

std::pair<std::string, std::string> ReadMerge(const Json& json, const std::string& where,
                                              size_t index) {
  std::pair<std::string, std::string> merge;
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos) {
      merge = {text.substr(0, space), text.substr(space + 1)};
    }
  } else if (json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string()) {
    merge = {json[0].get<std::string>(), json[1].get<std::string>()};
  }
  if (merge.first.empty() || merge.second.empty()) {
    Throw(ErrorKind::kCorrupt,
          fmt::format("{}[{}]: {} is not two tokens", where, index,
                      json.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80)));
  }
  return merge;
}

int32_t ReadUnkToken(ObjectReader& reader, const Vocabulary& vocabulary) {
  return IdOf(vocabulary, reader.String("unk_token", ""));
}

std::unique_ptr<TokenModel> ReadBpe(const Json& json, bool byte_level, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Find("type");
  RefuseOtherVariants(reader);
  BpeOptions options;
  options.byte_level = byte_level;
  options.ignore_merges = reader.Bool("ignore_merges", false);
  options.byte_fallback = reader.Bool("byte_fallback", false);
  options.fuse_unk = reader.Bool("fuse_unk", false);
  Vocabulary vocabulary = ReadVocabulary(reader.Get("vocab"), reader.PathOf("vocab"));
  options.unk_id = ReadUnkToken(reader, vocabulary);
  const Json& list = reader.Get("merges");
  const std::string merges_where = reader.PathOf("merges");
  if (!list.is_array()) Throw(ErrorKind::kCorrupt, merges_where + ": expected an array");
  BpeModel::Merges merges;
  merges.reserve(list.size());
  for (const Json& merge : list) merges.push_back(ReadMerge(merge, merges_where, merges.size()));
  reader.Finish();
  return std::make_unique<BpeModel>(std::move(vocabulary), merges, options, merges_where);
}

std::unique_ptr<TokenModel> ReadUnigram(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Find("type");
  const Json& list = reader.Get("vocab");
  const std::string vocab_where = reader.PathOf("vocab");
  if (!list.is_array() || list.size() > size_t{kMaxTokenId}) {
    Throw(ErrorKind::kCorrupt, vocab_where + ": expected an array of tokens with scores");
  }
  std::vector<UnigramToken> tokens;
  tokens.reserve(list.size());
  double lowest = std::numeric_limits<double>::infinity();
  for (const Json& pair : list) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_number()) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}[{}]: expected a token and its score", vocab_where, tokens.size()));
    }
    tokens.push_back({pair[0].get<std::string>(), pair[1].get<double>(), true});
    lowest = std::min(lowest, tokens.back().score);
  }
  UnigramOptions options;
  options.unk_score = lowest - kUnknownPenalty;
  options.byte_fallback = reader.Bool("byte_fallback", false);
  options.unk_id =
      static_cast<int32_t>(reader.Int("unk_id", 0, static_cast<int64_t>(tokens.size()) - 1, -1));
  reader.Finish();
  return std::make_unique<UnigramModel>(tokens, options, vocab_where);
}

std::unique_ptr<TokenModel> ReadWordLevel(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Find("type");
  Vocabulary vocabulary = ReadVocabulary(reader.Get("vocab"), reader.PathOf("vocab"));
  const int32_t unk_id = ReadUnkToken(reader, vocabulary);
  reader.Finish();
  return std::make_unique<WordLevelModel>(std::move(vocabulary), unk_id);
}

}  // namespace

std::unique_ptr<TokenModel> ReadTokenModel(const Json& json, bool byte_level,
                                           const std::string& where) {
  if (!json.is_object()) Throw(ErrorKind::kInvalidArgument, where + ": missing");
  const auto type_json = json.find("type");
  // Files of before 2020 leave the type out; merges tell what they are.
  const std::string type = type_json != json.end() && type_json->is_string()
                               ? type_json->get<std::string>()
                           : json.contains("merges") ? "BPE"
                                                     : "none";
  if (type == "BPE") return ReadBpe(json, byte_level, where);
  if (byte_level) {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: {} with a ByteLevel pre-tokenizer is not supported", where, type));
  }
  if (type == "Unigram") return ReadUnigram(json, where);
  if (type == "WordLevel") return ReadWordLevel(json, where);
  Throw(ErrorKind::kUnsupported,
        fmt::format("{}: model \"{}\" is not supported (BPE, Unigram and WordLevel are)", where,
                    type));
}

}  // namespace reckon
