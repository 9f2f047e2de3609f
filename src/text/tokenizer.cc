#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// Words repeat: most pieces of a long text were encoded before. The bound keeps the memory of one
// call small.
constexpr size_t kMaxRemembered = 1 << 16;

enum class Decoder { kByteLevel, kFuse };

const Json& Member(const Json& json, const char* key) {
  static const Json null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

const Json& List(ObjectReader& reader, const char* key) {
  const Json& list = reader.Get(key);
  if (!list.is_array()) {
    Throw(ErrorKind::kInvalidArgument, reader.PathOf(key) + ": expected an array");
  }
  return list;
}

void ReadDecoder(const Json& json, const std::string& where, Decoder& decoder) {
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (type == "Sequence") {
    const Json& list = List(reader, "decoders");
    for (size_t i = 0; i < list.size(); ++i) {
      ReadDecoder(list[i], fmt::format("{}.decoders[{}]", where, i), decoder);
    }
  } else if (type == "ByteLevel") {
    decoder = Decoder::kByteLevel;
  } else if (type != "Fuse") {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: decoder \"{}\" is not supported (ByteLevel, Fuse and Sequence are)",
                      where, type));
  }
}

// Post-processors add tokens around a text (bos) and move offsets. Encode does neither, so only
// their types are looked at.
void CheckPostProcessor(const Json& json, const std::string& where) {
  if (json.is_null()) return;
  ObjectReader reader(json, where);
  const std::string type = reader.String("type");
  if (type == "Sequence") {
    const Json& list = List(reader, "processors");
    for (size_t i = 0; i < list.size(); ++i) {
      CheckPostProcessor(list[i], fmt::format("{}.processors[{}]", where, i));
    }
  } else if (type != "ByteLevel" && type != "TemplateProcessing") {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: post-processor \"{}\" is not supported", where, type));
  }
}

struct WordLevel {
  Vocabulary vocabulary;
  int32_t unk_id = -1;
};

WordLevel ReadWordLevel(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.Get("type");
  WordLevel model;
  model.vocabulary = ReadVocabulary(reader.Get("vocab"), reader.PathOf("vocab"));
  const auto unk = model.vocabulary.find(reader.String("unk_token", ""));
  if (unk != model.vocabulary.end()) model.unk_id = unk->second;
  reader.Finish();
  return model;
}

}  // namespace

struct Tokenizer::Impl {
  // Exactly one of the two models is used.
  bool is_bpe = false;
  BpeModel bpe;
  WordLevel words;

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens added_raw, added_normalized;  // matched before and after normalisation
  Vocabulary added_ids;
  std::vector<int32_t> special_ids;
  std::vector<std::string> text_of_id;  // decoded bytes
  std::vector<bool> is_special;

  void ReadModel(const Json& json, const std::string& where);
  void ReadAddedTokens(const Json& json, const std::string& where);
  void SetText(int32_t id, std::string text);
  const Vocabulary& vocabulary() const { return is_bpe ? bpe.vocabulary() : words.vocabulary; }

  using Memory = std::unordered_map<std::string_view, std::pair<size_t, size_t>>;
  void EncodePiece(std::string_view piece, std::vector<int32_t>& ids) const;
  void EncodeText(std::string_view text, std::vector<int32_t>& ids) const;
};

void Tokenizer::Impl::SetText(int32_t id, std::string text) {
  const auto index = static_cast<size_t>(id);
  if (index >= text_of_id.size()) {
    text_of_id.resize(index + 1);
    is_special.resize(index + 1);
  }
  text_of_id[index] = std::move(text);
}

void Tokenizer::Impl::ReadModel(const Json& json, const std::string& where) {
  if (!json.is_object()) Throw(ErrorKind::kInvalidArgument, where + ": missing");
  const Json& type_json = Member(json, "type");
  // Files of before 2020 leave the type out; merges tell what they are.
  const std::string type = type_json.is_string()     ? type_json.get<std::string>()
                           : json.contains("merges") ? "BPE"
                                                     : "none";
  if (type == "BPE") {
    if (!pre_tokenizer.byte_level()) {
      Throw(ErrorKind::kUnsupported,
            where + ": BPE without a ByteLevel pre-tokenizer is not supported");
    }
    is_bpe = true;
    bpe = BpeModel::FromJson(json, where);
  } else if (type == "WordLevel") {
    if (pre_tokenizer.byte_level()) {
      Throw(ErrorKind::kUnsupported,
            where + ": WordLevel with a ByteLevel pre-tokenizer is not supported");
    }
    words = ReadWordLevel(json, where);
  } else {
    Throw(ErrorKind::kUnsupported,
          fmt::format("{}: model \"{}\" is not supported (BPE and WordLevel are)", where, type));
  }
}

void Tokenizer::Impl::ReadAddedTokens(const Json& json, const std::string& where) {
  if (json.is_null()) return;
  if (!json.is_array()) Throw(ErrorKind::kInvalidArgument, where + ": expected an array");
  for (size_t i = 0; i < json.size(); ++i) {
    ObjectReader reader(json[i], fmt::format("{}[{}]", where, i));
    const std::string content = reader.String("content");
    const auto id = static_cast<int32_t>(reader.Int("id", 0, (1 << 24) - 1));
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      if (reader.Bool(key, false)) {
        Throw(ErrorKind::kUnsupported, reader.PathOf(key) + ": true is not supported");
      }
    }
    const bool special = reader.Bool("special", false);
    const bool normalized = reader.Bool("normalized", !special);
    reader.Finish();
    const auto in_model = vocabulary().find(content);
    if (content.empty() || (in_model != vocabulary().end() && in_model->second != id)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: \"{}\" with id {} is empty or has another id in the vocabulary",
                        reader.path(), content, id));
    }
    (normalized ? added_normalized : added_raw).Add(content, id);
    added_ids[content] = id;
    if (special) special_ids.push_back(id);
  }
}

Tokenizer Tokenizer::FromJson(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  auto impl = std::make_unique<Impl>();
  reader.Find("version");
  reader.Find("padding");  // concerns batches
  if (!Member(json, "truncation").is_null()) {
    Throw(ErrorKind::kUnsupported, reader.PathOf("truncation") + ": must be null");
  }
  reader.Find("truncation");
  impl->normalizer = Normalizer::FromJson(Member(json, "normalizer"), reader.PathOf("normalizer"));
  impl->pre_tokenizer =
      PreTokenizer::FromJson(Member(json, "pre_tokenizer"), reader.PathOf("pre_tokenizer"));
  impl->ReadModel(Member(json, "model"), reader.PathOf("model"));
  impl->ReadAddedTokens(Member(json, "added_tokens"), reader.PathOf("added_tokens"));
  CheckPostProcessor(Member(json, "post_processor"), reader.PathOf("post_processor"));
  Decoder decoder = Decoder::kFuse;
  ReadDecoder(reader.Get("decoder"), reader.PathOf("decoder"), decoder);
  for (const char* key :
       {"normalizer", "pre_tokenizer", "model", "added_tokens", "post_processor"}) {
    reader.Find(key);
  }
  reader.Finish();

  const auto decoded = [&](const std::string& token) {
    // A token with a character outside the byte alphabet stands for itself.
    return decoder == Decoder::kByteLevel ? FromByteAlphabet(token).value_or(token) : token;
  };
  for (const auto& [token, id] : impl->vocabulary()) impl->SetText(id, decoded(token));
  for (const auto& [token, id] : impl->added_ids) impl->SetText(id, decoded(token));
  for (int32_t id : impl->special_ids) impl->is_special[static_cast<size_t>(id)] = true;
  return Tokenizer(std::move(impl));
}

Tokenizer Tokenizer::FromFile(const std::string& path) {
  return FromJson(ReadJsonFile(path), path);
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

void Tokenizer::Impl::EncodePiece(std::string_view piece, std::vector<int32_t>& ids) const {
  if (is_bpe) {
    bpe.Encode(piece, ids);
    return;
  }
  const auto found = words.vocabulary.find(std::string(piece));
  if (found == words.vocabulary.end() && words.unk_id < 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("the tokenizer has no token for \"{}\" and none for the unknown", piece));
  }
  ids.push_back(found == words.vocabulary.end() ? words.unk_id : found->second);
}

void Tokenizer::Impl::EncodeText(std::string_view text, std::vector<int32_t>& ids) const {
  Pieces pieces;
  // Bytes that are not UTF-8 are pieces of their own: patterns match characters.
  while (!text.empty()) {
    const std::string_view valid = ValidUtf8Prefix(text);
    pre_tokenizer.Split(valid, pieces);
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    if (!is_bpe) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("byte 0x{:02X} in the text is not UTF-8", static_cast<uint8_t>(text[0])));
    }
    const size_t length = FirstUtf8(text).length;
    pieces.views.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  Memory memory;
  for (std::string_view piece : pieces.views) {
    if (!is_bpe) {
      EncodePiece(piece, ids);
      continue;
    }
    const auto known = memory.find(piece);
    if (known != memory.end()) {
      const auto [begin, count] = known->second;
      for (size_t i = begin; i < begin + count; ++i) ids.push_back(ids[i]);
      continue;
    }
    const size_t begin = ids.size();
    EncodePiece(piece, ids);
    if (memory.size() < kMaxRemembered) memory.emplace(piece, std::pair(begin, ids.size() - begin));
  }
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  const auto add = [&](int32_t id) { ids.push_back(id); };
  const auto encode = [&](std::string_view part) { impl_->EncodeText(part, ids); };
  const auto normalize = [&](std::string_view part) {
    impl_->normalizer.Check(part);
    if (impl_->added_normalized.empty()) {
      encode(part);
    } else {
      impl_->added_normalized.Split(part, encode, add);
    }
  };
  impl_->added_raw.Split(text, normalize, add);
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string text;
  for (int32_t id : ids) {
    const auto index = static_cast<size_t>(id);  // negative ones become huge
    if (index >= impl_->text_of_id.size()) continue;
    if (skip_special_tokens && impl_->is_special[index]) continue;
    text += impl_->text_of_id[index];
  }
  return text;
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->text_of_id.size()); }

std::optional<int32_t> Tokenizer::TokenId(std::string_view token) const {
  const std::string name(token);
  const auto added = impl_->added_ids.find(name);
  if (added != impl_->added_ids.end()) return added->second;
  const auto found = impl_->vocabulary().find(name);
  if (found != impl_->vocabulary().end()) return found->second;
  return {};
}

std::string Tokenizer::TokenText(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  return index < impl_->text_of_id.size() ? impl_->text_of_id[index] : "";
}

bool Tokenizer::IsSpecial(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  return index < impl_->is_special.size() && impl_->is_special[index];
}

}  // namespace reckon
