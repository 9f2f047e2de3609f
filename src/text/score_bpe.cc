#include "text/score_bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <queue>

#include "text/unicode.h"

namespace reckon {

bool OccursInText(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined ||
         type == PieceType::kUnused;
}

Vocabulary VocabularyOf(const std::vector<ScoredPiece>& pieces) {
  Vocabulary vocabulary;
  vocabulary.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    vocabulary.insert_or_assign(pieces[id].text, static_cast<int32_t>(id));
  }
  return vocabulary;
}

ByteTrie UserDefinedOf(const std::vector<ScoredPiece>& pieces) {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type != PieceType::kUserDefined) continue;
    keys.emplace_back(pieces[id].text, static_cast<int32_t>(id));
  }
  return ByteTrie(std::move(keys));
}

ScoreBpeModel::ScoreBpeModel(const std::vector<ScoredPiece>& pieces, int32_t unk_id,
                             bool byte_fallback, const std::string& where)
    : TokenModel(VocabularyOf(pieces)), user_defined_(UserDefinedOf(pieces)), unk_id_(unk_id) {
  id_of_byte_.fill(-1);
  for (size_t id = 0; id < pieces.size(); ++id) {
    const ScoredPiece& piece = pieces[id];
    if (std::isnan(piece.score)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: the score of piece \"{}\" is not a number", where, piece.text));
    }
    scores_.push_back(piece.score);
    const int byte = piece.type == PieceType::kByte && byte_fallback ? ByteOfToken(piece.text) : -1;
    if (byte >= 0) id_of_byte_[static_cast<size_t>(byte)] = static_cast<int32_t>(id);
    if (!OccursInText(piece.type)) continue;
    pieces_.insert_or_assign(piece.text, std::pair(static_cast<int32_t>(id), piece.type));
    longest_ = std::max(longest_, piece.text.size());
  }
}

std::vector<ScoreBpeModel::Symbol> ScoreBpeModel::SymbolsOf(std::string_view text) const {
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < text.size();) {
    auto [length, user_defined] = user_defined_.LongestPrefix(text.substr(at));
    if (user_defined < 0) ValidCodePoint(text.data() + at, length);
    const auto index = static_cast<int64_t>(symbols.size());
    symbols.push_back({at, length, index - 1, index + 1, user_defined >= 0});
    at += length;
  }
  if (!symbols.empty()) symbols.back().next = -1;
  return symbols;
}

const std::pair<int32_t, PieceType>* ScoreBpeModel::FindPiece(std::string_view text) const {
  if (text.size() > longest_) return nullptr;
  const auto found = pieces_.find(text);
  return found == pieces_.end() ? nullptr : &found->second;
}

void ScoreBpeModel::Encode(std::string_view text, std::vector<int32_t>& ids) const {
  struct Candidate {
    float score;
    int64_t left, right;
    size_t size;
    bool operator<(const Candidate& other) const {  // on top: the highest score, then leftmost
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  std::vector<Symbol> symbols = SymbolsOf(text);
  const auto at = [&](int64_t index) -> Symbol& { return symbols[static_cast<size_t>(index)]; };
  std::priority_queue<Candidate> queue;
  Parts parts;
  const auto consider = [&](int64_t left, int64_t right) {
    if (left < 0 || right < 0 || at(left).is_frozen || at(right).is_frozen) return;
    const std::string_view joined = text.substr(at(left).begin, at(left).size + at(right).size);
    const auto* piece = FindPiece(joined);
    if (piece == nullptr) return;
    queue.push({scores_[static_cast<size_t>(piece->first)], left, right, joined.size()});
    if (piece->second == PieceType::kUnused) parts[joined] = at(left).size;
  };
  const auto count = static_cast<int64_t>(symbols.size());
  for (int64_t i = 1; i < count; ++i) consider(i - 1, i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol &left = at(best.left), &right = at(best.right);
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.size += right.size;
    left.next = right.next;
    if (right.next >= 0) at(right.next).previous = best.left;
    right.size = 0;
    consider(left.previous, best.left);
    consider(best.left, left.next);
  }
  bool after_unknown = false;
  for (const Symbol& symbol : symbols) {
    if (symbol.size > 0) Append(text.substr(symbol.begin, symbol.size), parts, after_unknown, ids);
  }
}

void ScoreBpeModel::Append(std::string_view symbol, const Parts& parts, bool& after_unknown,
                           std::vector<int32_t>& ids) const {
  std::vector<std::string_view> todo = {symbol};
  while (!todo.empty()) {
    const std::string_view part = todo.back();
    todo.pop_back();
    const auto* piece = FindPiece(part);
    if (piece == nullptr) {
      AppendUnknown(part, after_unknown, ids);
      continue;
    }
    const auto halves = piece->second == PieceType::kUnused ? parts.find(part) : parts.end();
    if (halves != parts.end()) {
      todo.push_back(part.substr(halves->second));
      todo.push_back(part.substr(0, halves->second));
      continue;
    }
    ids.push_back(piece->first);
    after_unknown = false;
  }
}

void ScoreBpeModel::AppendUnknown(std::string_view symbol, bool& after_unknown,
                                  std::vector<int32_t>& ids) const {
  const auto has_token = [&](char c) { return id_of_byte_[static_cast<uint8_t>(c)] >= 0; };
  if (std::all_of(symbol.begin(), symbol.end(), has_token)) {
    for (char c : symbol) ids.push_back(id_of_byte_[static_cast<uint8_t>(c)]);
    after_unknown = false;
    return;
  }
  if (unk_id_ < 0) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("the tokenizer has no token for \"{}\" and none for the unknown", symbol));
  }
  if (!after_unknown) ids.push_back(unk_id_);
  after_unknown = true;
}

}  // namespace reckon
