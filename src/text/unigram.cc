#include "text/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/unicode.h"

namespace reckon {
namespace {

Vocabulary VocabularyOf(const std::vector<UnigramToken>& tokens) {
  Vocabulary vocabulary;
  vocabulary.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    vocabulary.insert_or_assign(tokens[id].text, static_cast<int32_t>(id));
  }
  return vocabulary;
}

ByteTrie TrieOf(const std::vector<UnigramToken>& tokens) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (tokens[id].matches) keys.emplace_back(tokens[id].text, static_cast<int32_t>(id));
  }
  return ByteTrie(std::move(keys));
}

}  // namespace

UnigramModel::UnigramModel(const std::vector<UnigramToken>& tokens, const UnigramOptions& options,
                           const std::string& where)
    : TokenModel(VocabularyOf(tokens)), options_(options), trie_(TrieOf(tokens)) {
  scores_.reserve(tokens.size());
  for (const UnigramToken& token : tokens) {
    if (!std::isfinite(token.score)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: the score of token \"{}\" is {}", where, token.text, token.score));
    }
    scores_.push_back(token.score);
  }
  for (int byte = 0; byte < 256; ++byte) {
    id_of_byte_.push_back(IdOf(vocabulary_, TokenOfByte(static_cast<uint8_t>(byte))));
  }
}

void UnigramModel::Extend(Node& node, double score, size_t begin, int32_t id) const {
  if (node.begin != SIZE_MAX && !(score > node.score)) return;
  node = {options_.float_sums ? static_cast<double>(static_cast<float>(score)) : score, begin, id};
}

void UnigramModel::AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const {
  const auto has_token = [&](char c) { return id_of_byte_[static_cast<uint8_t>(c)] >= 0; };
  if (options_.byte_fallback && std::all_of(text.begin(), text.end(), has_token)) {
    for (char c : text) ids.push_back(id_of_byte_[static_cast<uint8_t>(c)]);
    return;
  }
  if (options_.unk_id < 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("the tokenizer has no token for \"{}\" and none for the unknown",
                      text.substr(0, 40)));
  }
  ids.push_back(options_.unk_id);
}

void UnigramModel::Encode(std::string_view piece, std::vector<int32_t>& ids) const {
  std::vector<Node> best(piece.size() + 1);
  for (size_t at = 0, length = 0; at < piece.size(); at += length) {
    ValidCodePoint(piece.data() + at, length);
    const double score_here = best[at].score;
    bool has_character = false;
    uint32_t node = ByteTrie::kRoot;
    for (size_t end = at; end < piece.size();) {
      node = trie_.Child(node, static_cast<uint8_t>(piece[end++]));
      if (node == ByteTrie::kNone) break;
      const int32_t id = trie_.value(node);
      if (id < 0) continue;
      Extend(best[end], scores_[static_cast<size_t>(id)] + score_here, at, id);
      has_character = has_character || end - at == length;
    }
    if (!has_character) Extend(best[at + length], options_.unk_score + score_here, at, -1);
  }
  std::vector<size_t> begins;  // of the tokens, last first
  for (size_t end = piece.size(); end > 0; end = best[end].begin) begins.push_back(end);
  std::reverse(begins.begin(), begins.end());
  size_t begin = 0;
  for (size_t i = 0; i < begins.size(); ++i) {
    const auto unknown = [&](size_t end) {
      return best[end].id < 0 || best[end].id == options_.unk_id;
    };
    if (!unknown(begins[i])) {
      ids.push_back(best[begins[i]].id);
      begin = begins[i];
      continue;
    }
    while (i + 1 < begins.size() && unknown(begins[i + 1])) ++i;  // neighbours are one unknown
    AppendUnknown(piece.substr(begin, begins[i] - begin), ids);
    begin = begins[i];
  }
}

}  // namespace reckon
