#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/files.h"
#include "text/gguf_vocabulary.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"
#include "text/word_cache.h"

namespace reckon {
namespace {

// A decoder that made more of the tokens than this would be an attack on memory.
constexpr size_t kMaxTextGrowth = 64, kMaxShort = 1 << 16;

const Json& Member(const Json& json, const char* key) {
  static const Json null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

std::vector<AddedToken> ReadAddedTokens(const Json& json, const Vocabulary& vocabulary,
                                        const std::string& where) {
  std::vector<AddedToken> tokens;
  if (json.is_null()) return tokens;
  if (!json.is_array()) Throw(ErrorKind::kInvalidArgument, where + ": expected an array");
  for (size_t i = 0; i < json.size(); ++i) {
    ObjectReader reader(json[i], fmt::format("{}[{}]", where, i));
    AddedToken token;
    token.content = reader.String("content");
    token.id = static_cast<int32_t>(reader.Int("id", 0, kMaxTokenId));
    token.single_word = reader.Bool("single_word", false);
    token.lstrip = reader.Bool("lstrip", false);
    token.rstrip = reader.Bool("rstrip", false);
    token.special = reader.Bool("special", false);
    token.normalized = reader.Bool("normalized", !token.special);
    reader.Finish();
    const int32_t in_model = IdOf(vocabulary, token.content);
    if (token.content.empty() || (in_model >= 0 && in_model != token.id)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: \"{}\" with id {} is empty or has another id in the vocabulary",
                        reader.path(), token.content, token.id));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view valid = ValidUtf8Prefix(text);
    out += valid;
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    AppendUtf8(0xFFFD, out);
    text.remove_prefix(FirstUtf8(text).length);
  }
  return out;
}

}  // namespace

struct Tokenizer::Impl {
  std::unique_ptr<TokenModel> model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens added_raw, added_normalized;  // matched before and after normalisation
  Vocabulary added_ids;
  SpecialFrame frame;
  int32_t bos_id = -1, eos_id = -1;
  int strip_left = 0;
  std::string stripped;

  // The texts of all tokens one after another; that of an id begins at its place and ends at the
  // next one's.
  struct Texts {
    std::string bytes;
    std::vector<size_t> places = {0};
    std::string_view Of(int32_t id) const {
      const auto index = static_cast<size_t>(id);
      if (id < 0 || index + 1 >= places.size()) return "";
      return std::string_view(bytes).substr(places[index], places[index + 1] - places[index]);
    }
  };
  Texts texts, first_texts;  // the latter where the first token of a text differs
  bool first_differs = false;
  std::vector<bool> is_special, is_raw;  // raw: the decoder leaves it alone

  explicit Impl(TokenizerParts parts);
  Texts MakeTexts(const TokenizerParts& parts, bool first, int64_t num_ids) const;
  struct Run;
};

// One text on its way to ids.
struct Tokenizer::Impl::Run {
  const Impl& impl;
  std::vector<int32_t>& ids;
  WordCache cache;

  void Text(std::string_view text);
  void ValidText(std::string_view text, bool at_start);
  void Between(std::string_view text, bool at_start);
  void Piece(std::string_view piece);
};

Tokenizer::Impl::Texts Tokenizer::Impl::MakeTexts(const TokenizerParts& parts, bool first,
                                                  int64_t num_ids) const {
  std::vector<std::string> of_id(static_cast<size_t>(num_ids));
  size_t token_bytes = 0, text_bytes = 0;
  const auto set = [&](int32_t id, std::string text) {
    std::string& place = of_id[static_cast<size_t>(id)];
    text_bytes += text.size();
    if (text_bytes > kMaxTextGrowth * token_bytes + kMaxShort) {
      Throw(ErrorKind::kUnsupported, parts.where + ": the decoder makes very long texts of tokens");
    }
    place = std::move(text);
  };
  const auto decode = [&](std::string_view token, int32_t id) {
    token_bytes += token.size();
    set(id, parts.decoder.Text(token, first));
  };
  for (const auto& [token, id] : model->vocabulary()) decode(token, id);
  for (const auto& [token, id] : added_ids) decode(token, id);
  for (const auto& [id, text] : parts.raw_texts) {
    token_bytes += text.size();
    set(id, text);
  }
  Texts made;
  made.bytes.reserve(text_bytes);
  made.places.reserve(of_id.size() + 1);
  for (const std::string& text : of_id) {
    made.bytes += text;
    made.places.push_back(made.bytes.size());
  }
  return made;
}

Tokenizer::Impl::Impl(TokenizerParts parts)
    : model(std::move(parts.model)),
      normalizer(std::move(parts.normalizer)),
      pre_tokenizer(std::move(parts.pre_tokenizer)),
      frame(std::move(parts.frame)),
      bos_id(parts.bos_id),
      eos_id(parts.eos_id),
      strip_left(parts.decoder.strip_left()),
      stripped(parts.decoder.stripped()),
      first_differs(parts.decoder.first_differs()) {
  int32_t largest = -1;
  for (const auto& [token, id] : model->vocabulary()) largest = std::max(largest, id);
  for (const AddedToken& token : parts.added) largest = std::max(largest, token.id);
  for (const auto& [id, text] : parts.raw_texts) largest = std::max(largest, id);
  CheckLargestId(largest, model->vocabulary().size() + parts.added.size() + parts.raw_texts.size(),
                 parts.where);
  is_special.resize(static_cast<size_t>(largest) + 1);
  is_raw.resize(is_special.size());
  std::vector<AddedToken> raw, normalized;
  for (AddedToken& token : parts.added) {
    added_ids[token.content] = token.id;
    if (token.special) is_special[static_cast<size_t>(token.id)] = true;
    if (!token.normalized) {
      raw.push_back(std::move(token));
      continue;
    }
    token.content = normalizer.Normalize(token.content);
    if (!token.content.empty()) normalized.push_back(std::move(token));
  }
  added_raw = AddedTokens(std::move(raw));
  added_normalized = AddedTokens(std::move(normalized));
  for (const auto& [id, text] : parts.raw_texts) is_raw[static_cast<size_t>(id)] = true;
  texts = MakeTexts(parts, false, int64_t{largest} + 1);
  if (first_differs) first_texts = MakeTexts(parts, true, int64_t{largest} + 1);
}

Tokenizer Tokenizer::FromJson(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  TokenizerParts parts;
  parts.where = where;
  reader.Find("version");
  reader.Find("padding");  // concerns batches
  if (!Member(json, "truncation").is_null()) {
    Throw(ErrorKind::kUnsupported, reader.PathOf("truncation") + ": must be null");
  }
  reader.Find("truncation");
  parts.normalizer = Normalizer::FromJson(Member(json, "normalizer"), reader.PathOf("normalizer"));
  parts.pre_tokenizer =
      PreTokenizer::FromJson(Member(json, "pre_tokenizer"), reader.PathOf("pre_tokenizer"));
  parts.model = ReadTokenModel(Member(json, "model"), parts.pre_tokenizer.byte_level(),
                               reader.PathOf("model"));
  parts.added = ReadAddedTokens(Member(json, "added_tokens"), parts.model->vocabulary(),
                                reader.PathOf("added_tokens"));
  parts.frame = ReadPostProcessor(Member(json, "post_processor"), reader.PathOf("post_processor"));
  if (!parts.frame.before.empty()) parts.bos_id = parts.frame.before[0];
  parts.decoder = Decoder::FromJson(Member(json, "decoder"), reader.PathOf("decoder"));
  for (const char* key :
       {"normalizer", "pre_tokenizer", "model", "added_tokens", "post_processor", "decoder"}) {
    reader.Find(key);
  }
  reader.Finish();
  return Tokenizer(std::move(parts));
}

Tokenizer Tokenizer::FromFile(const std::string& path) {
  const std::filesystem::path given(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(given, ignored)) {
    const std::string json = (given / "tokenizer.json").string();
    const std::string model = (given / "tokenizer.model").string();
    return FromFile(!FileExists(json) && FileExists(model) ? model : json);
  }
  if (given.extension() == ".model") return TokenizerOfSentencePiece(ReadFile(path), path);
  if (given.extension() == ".gguf") {
    return FromGgufVocab(VocabularyOf(GgufModel(path).metadata()), path);
  }
  return FromJson(ReadJsonFile(path), path);
}

Tokenizer::Tokenizer(TokenizerParts parts)
    : impl_(std::make_unique<const Impl>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

void Tokenizer::Impl::Run::Piece(std::string_view piece) {
  const uint64_t hash = WordCache::Hash(piece);
  if (const WordCache::Slot* known = cache.Find(piece, hash)) {
    const size_t begin = ids.size();
    ids.resize(begin + known->num_ids);
    std::copy_n(ids.data() + known->ids, known->num_ids, ids.data() + begin);
    return;
  }
  const size_t begin = ids.size();
  impl.model->Encode(piece, ids);
  cache.Remember(piece, hash, begin, ids.size() - begin);
}

void Tokenizer::Impl::Run::Between(std::string_view text, bool at_start) {
  std::string storage;
  if (!impl.normalizer.empty()) {
    storage = impl.normalizer.Normalize(text);
    text = storage;
  }
  impl.added_normalized.Split(
      text,
      [&](std::string_view part, size_t begin) {
        impl.pre_tokenizer.Split(part, at_start && begin == 0,
                                 [&](std::string_view piece) { Piece(piece); });
      },
      [&](int32_t id) { ids.push_back(id); });
}

void Tokenizer::Impl::Run::ValidText(std::string_view text, bool at_start) {
  impl.added_raw.Split(
      text, [&](std::string_view part, size_t begin) { Between(part, at_start && begin == 0); },
      [&](int32_t id) { ids.push_back(id); });
}

void Tokenizer::Impl::Run::Text(std::string_view text) {
  // Bytes that are not UTF-8 are pieces of their own: patterns match characters.
  for (bool at_start = true; !text.empty(); at_start = false) {
    const std::string_view valid = ValidUtf8Prefix(text);
    if (valid.size() < text.size() && !impl.pre_tokenizer.byte_level()) {
      return ValidText(ReplaceInvalidUtf8(text), at_start);
    }
    ValidText(valid, at_start);
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    const size_t length = FirstUtf8(text).length;
    Piece(text.substr(0, length));
    text.remove_prefix(length);
  }
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special_tokens) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  if (add_special_tokens) ids = impl_->frame.before;
  Impl::Run{*impl_, ids, WordCache(text.size())}.Text(text);
  if (add_special_tokens) {
    ids.insert(ids.end(), impl_->frame.after.begin(), impl_->frame.after.end());
  }
  return ids;
}

void Tokenizer::AppendText(int32_t id, bool skip_special_tokens, DecodeState& state,
                           std::string& text) const {
  const auto index = static_cast<size_t>(id);
  if (id < 0 || index >= impl_->is_special.size()) return;
  if (skip_special_tokens && impl_->is_special[index]) return;
  const bool first = state.at_begin && impl_->first_differs;
  std::string_view token = (first ? impl_->first_texts : impl_->texts).Of(id);
  state.at_begin = false;
  if (impl_->is_raw[index]) state.stripping = false;
  const std::string_view stripped = impl_->stripped;
  while (state.stripping && state.stripped < impl_->strip_left &&
         token.substr(0, stripped.size()) == stripped) {
    token.remove_prefix(stripped.size());
    ++state.stripped;
  }
  if (!token.empty()) state.stripping = false;
  text += token;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string text;
  DecodeState state;
  for (int32_t id : ids) AppendText(id, skip_special_tokens, state, text);
  return text;
}

int64_t Tokenizer::vocab_size() const { return static_cast<int64_t>(impl_->is_special.size()); }

std::optional<int32_t> Tokenizer::TokenId(std::string_view token) const {
  int32_t id = IdOf(impl_->added_ids, token);
  if (id < 0) id = IdOf(impl_->model->vocabulary(), token);
  return id < 0 ? std::nullopt : std::optional(id);
}

std::string Tokenizer::TokenText(int32_t id) const { return std::string(impl_->texts.Of(id)); }

bool Tokenizer::IsSpecial(int32_t id) const {
  const auto index = static_cast<size_t>(id);
  return id >= 0 && index < impl_->is_special.size() && impl_->is_special[index];
}

std::optional<int32_t> Tokenizer::bos_id() const {
  return impl_->bos_id < 0 ? std::nullopt : std::optional(impl_->bos_id);
}

std::optional<int32_t> Tokenizer::eos_id() const {
  return impl_->eos_id < 0 ? std::nullopt : std::optional(impl_->eos_id);
}

}  // namespace reckon
