#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "text/byte_alphabet.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace reckon {
namespace {

// Up to so many symbols the smallest rank is looked for among all pairs, which for words is faster
// than a heap; beyond it the quadratic number of steps would show.
constexpr size_t kMaxShort = 48;

struct Symbol {
  int32_t id = 0, previous = 0, next = 0;  // neighbours, -1 at the ends; id -1: joined away
};
struct Candidate {
  int32_t rank = 0, position = 0, left = 0, right = 0;
};

// A heap of lowest rank, then leftmost.
bool Later(const Candidate& a, const Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

MergeTable::MergeTable(size_t num_merges) {
  int bits = 4;
  while ((size_t{1} << bits) * 5 < num_merges * 8) ++bits;  // at most five eighths full
  slots_.resize(size_t{1} << bits);
  mask_ = slots_.size() - 1;
  shift_ = 64 - bits;
}

void MergeTable::Add(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = KeyOf(left, right);
  size_t at = PlaceOf(key);
  while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

BpeModel::BpeModel(Vocabulary vocabulary, const Merges& merges, const BpeOptions& options,
                   const std::string& where)
    : TokenModel(std::move(vocabulary)), options_(options), merges_(merges.size()) {
  if (merges.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} merges", where, merges.size()));
  }
  for (int byte = 0; byte < 256; ++byte) {
    std::string token;
    if (options_.byte_level) {
      AppendUtf8(CodePointOfByte(static_cast<uint8_t>(byte)), token);
    } else {
      token = TokenOfByte(static_cast<uint8_t>(byte));
    }
    id_of_byte_[static_cast<size_t>(byte)] = IdOf(vocabulary_, token);
  }
  for (const auto& [token, id] : vocabulary_) {
    if (token.empty()) continue;
    const Utf8Step first = FirstUtf8(token);
    if (first.state != Utf8State::kCharacter || first.length != token.size()) continue;
    id_of_character_.emplace(first.code_point, id);
  }
  for (size_t i = 0; i < merges.size(); ++i) AddMerge(merges[i], static_cast<int32_t>(i), where);
}

void BpeModel::AddMerge(const std::pair<std::string, std::string>& merge, int32_t rank,
                        const std::string& where) {
  const std::string joined = merge.first + merge.second;
  for (const std::string* token : {&merge.first, &merge.second, &joined}) {
    if (vocabulary_.find(*token) == vocabulary_.end()) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}[{}]: token \"{}\" is not in the vocabulary", where, rank, *token));
    }
  }
  merges_.Add(IdOf(vocabulary_, merge.first), IdOf(vocabulary_, merge.second),
              {rank, IdOf(vocabulary_, joined)});
}

void BpeModel::BytesToSymbols(std::string_view piece, std::vector<int32_t>& symbols) const {
  for (char c : piece) {
    const auto byte = static_cast<uint8_t>(c);
    if (id_of_byte_[byte] >= 0) {
      symbols.push_back(id_of_byte_[byte]);
    } else if (options_.unk_id >= 0) {
      symbols.push_back(options_.unk_id);
    } else {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the tokenizer's vocabulary has no token for byte 0x{:02X}", byte));
    }
  }
}

// The order of known, fallback and unknown symbols is that of Hugging Face's tokenizers: an unknown
// one waits for the next known one, since others may join it.
void BpeModel::CharactersToSymbols(std::string_view piece, std::vector<int32_t>& symbols) const {
  bool unknown_waits = false;
  for (size_t at = 0, length = 0; at < piece.size(); at += length) {
    const uint32_t code_point = ValidCodePoint(piece.data() + at, length);
    const auto found = id_of_character_.find(code_point);
    if (found != id_of_character_.end()) {
      if (unknown_waits) symbols.push_back(options_.unk_id);
      unknown_waits = false;
      symbols.push_back(found->second);
      continue;
    }
    const std::string_view bytes = piece.substr(at, length);
    const auto has_token = [&](char c) { return id_of_byte_[static_cast<uint8_t>(c)] >= 0; };
    if (options_.byte_fallback && std::all_of(bytes.begin(), bytes.end(), has_token)) {
      for (char c : bytes) symbols.push_back(id_of_byte_[static_cast<uint8_t>(c)]);
      continue;
    }
    if (options_.unk_id < 0) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the tokenizer has no token for U+{:04X} and none for the unknown{}",
                        code_point, KnownCharacters(vocabulary_)));
    }
    if (unknown_waits && !options_.fuse_unk) symbols.push_back(options_.unk_id);
    unknown_waits = true;
  }
  if (unknown_waits) symbols.push_back(options_.unk_id);
}

void BpeModel::JoinShort(std::vector<int32_t>& symbols, size_t begin) const {
  constexpr int32_t kNoMerge = std::numeric_limits<int32_t>::max();
  int32_t ids[kMaxShort], ranks[kMaxShort], joined[kMaxShort];  // of the pair that begins at i
  size_t size = symbols.size() - begin;
  std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(begin), symbols.end(), ids);
  const auto look_up = [&](size_t i) {
    const MergeTable::Merge* merge = i + 1 < size ? merges_.Find(ids[i], ids[i + 1]) : nullptr;
    ranks[i] = merge == nullptr ? kNoMerge : merge->rank;
    joined[i] = merge == nullptr ? 0 : merge->id;
  };
  for (size_t i = 0; i < size; ++i) look_up(i);
  while (size > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < size; ++i) best = ranks[i] < ranks[best] ? i : best;
    if (ranks[best] == kNoMerge) break;
    ids[best] = joined[best];
    for (size_t i = best + 1; i + 1 < size; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
      joined[i] = joined[i + 1];
    }
    --size;
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
  symbols.resize(begin);
  symbols.insert(symbols.end(), ids, ids + size);
}

void BpeModel::JoinLong(std::vector<int32_t>& ids, size_t begin) const {
  const auto size = static_cast<int32_t>(ids.size() - begin);
  std::vector<Symbol> symbols(static_cast<size_t>(size));
  for (int32_t i = 0; i < size; ++i) {
    symbols[static_cast<size_t>(i)] = {ids[begin + static_cast<size_t>(i)], i - 1,
                                       i + 1 < size ? i + 1 : -1};
  }
  std::vector<Candidate> heap;
  const auto consider = [&](int32_t position) {
    if (position < 0) return false;
    const Symbol& left = symbols[static_cast<size_t>(position)];
    if (left.next < 0) return false;
    const int32_t right_id = symbols[static_cast<size_t>(left.next)].id;
    const MergeTable::Merge* merge = merges_.Find(left.id, right_id);
    if (merge != nullptr) heap.push_back({merge->rank, position, left.id, right_id});
    return merge != nullptr;
  };
  for (int32_t i = 0; i < size; ++i) consider(i);
  std::make_heap(heap.begin(), heap.end(), Later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), Later);
    const Candidate best = heap.back();
    heap.pop_back();
    // Entries that a later join made stale are told by their ids, which no longer stand there.
    Symbol& left = symbols[static_cast<size_t>(best.position)];
    if (left.id != best.left || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = merges_.Find(best.left, best.right)->id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    if (consider(left.previous)) std::push_heap(heap.begin(), heap.end(), Later);
    if (consider(best.position)) std::push_heap(heap.begin(), heap.end(), Later);
  }
  ids.resize(begin);
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

void BpeModel::Encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges) {
    const int32_t whole =
        options_.byte_level ? IdOf(vocabulary_, ToByteAlphabet(piece)) : IdOf(vocabulary_, piece);
    if (whole >= 0) {
      ids.push_back(whole);
      return;
    }
  }
  if (piece.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("a word of {} bytes is too long for the tokenizer", piece.size()));
  }
  const size_t begin = ids.size();
  if (options_.byte_level) {
    BytesToSymbols(piece, ids);
  } else {
    CharactersToSymbols(piece, ids);
  }
  if (ids.size() - begin <= kMaxShort) {
    JoinShort(ids, begin);
  } else {
    JoinLong(ids, begin);
  }
}

}  // namespace reckon
