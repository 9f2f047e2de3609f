#include "text/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace reckon {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

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
  if (reader.Bool("byte_fallback", false)) {
    Throw(ErrorKind::kUnsupported, reader.PathOf("byte_fallback") + ": true is not supported");
  }
  reader.Find("unk_token");  // with all bytes in the vocabulary nothing is unknown
  reader.Find("fuse_unk");
}

}  // namespace

Vocabulary ReadVocabulary(const Json& json, const std::string& where) {
  if (!json.is_object()) {
    Throw(ErrorKind::kCorrupt, where + ": expected an object of tokens and their ids");
  }
  Vocabulary vocabulary;
  vocabulary.reserve(json.size());
  std::unordered_set<int32_t> seen;
  seen.reserve(json.size());
  for (auto item = json.begin(); item != json.end(); ++item) {
    const Json& value = item.value();
    // A vocabulary of 2^24 tokens would already be 100 times the largest in use.
    const int64_t number = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (number < 0 || number >= (int64_t{1} << 24)) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: token \"{}\" has the id {}", where, item.key(), value.dump()));
    }
    const auto id = static_cast<int32_t>(number);
    if (!seen.insert(id).second) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: id {} of token \"{}\" is taken", where, id, item.key()));
    }
    vocabulary.emplace(item.key(), id);
  }
  return vocabulary;
}

BpeModel BpeModel::FromJson(const Json& json, const std::string& where) {
  ObjectReader reader(json, where);
  reader.String("type", "BPE");
  RefuseOtherVariants(reader);
  BpeModel model;
  model.ignore_merges_ = reader.Bool("ignore_merges", false);
  model.vocabulary_ = ReadVocabulary(reader.Get("vocab"), reader.PathOf("vocab"));
  for (int byte = 0; byte < 256; ++byte) {
    std::string character;
    AppendUtf8(CodePointOfByte(static_cast<uint8_t>(byte)), character);
    const auto found = model.vocabulary_.find(character);
    model.id_of_byte_[static_cast<size_t>(byte)] =
        found == model.vocabulary_.end() ? -1 : found->second;
  }
  const Json& merges = reader.Get("merges");
  if (!merges.is_array()) Throw(ErrorKind::kCorrupt, reader.PathOf("merges: expected an array"));
  model.merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const Json& merge : merges) {
    model.AddMerge(merge, rank, fmt::format("{}[{}]", reader.PathOf("merges"), rank));
    ++rank;
  }
  reader.Finish();
  return model;
}

void BpeModel::AddMerge(const Json& json, int32_t rank, const std::string& where) {
  std::string left, right;
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos) {
      left = text.substr(0, space);
      right = text.substr(space + 1);
    }
  } else if (json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string()) {
    left = json[0].get<std::string>();
    right = json[1].get<std::string>();
  }
  if (left.empty() || right.empty()) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: {} is not two tokens", where, json.dump()));
  }
  const auto left_id = vocabulary_.find(left), right_id = vocabulary_.find(right),
             joined_id = vocabulary_.find(left + right);
  for (const auto& [found, token] :
       {std::pair(left_id, left), std::pair(right_id, right), std::pair(joined_id, left + right)}) {
    if (found == vocabulary_.end()) {
      Throw(ErrorKind::kCorrupt,
            fmt::format("{}: token \"{}\" is not in the vocabulary", where, token));
    }
  }
  merges_[PairKey(left_id->second, right_id->second)] = {rank, joined_id->second};
}

void BpeModel::Consider(const std::vector<Symbol>& symbols, int32_t position,
                        std::vector<Candidate>& heap) const {
  if (position < 0) return;
  const Symbol& left = symbols[static_cast<size_t>(position)];
  if (left.next < 0) return;
  const int32_t right_id = symbols[static_cast<size_t>(left.next)].id;
  const auto found = merges_.find(PairKey(left.id, right_id));
  if (found == merges_.end()) return;
  heap.push_back({found->second.rank, position, left.id, right_id});
}

void BpeModel::Encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const auto whole = vocabulary_.find(ToByteAlphabet(piece));
    if (whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  if (piece.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("a word of {} bytes is too long for the tokenizer", piece.size()));
  }
  const auto size = static_cast<int32_t>(piece.size());
  std::vector<Symbol> symbols(piece.size());
  for (int32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<uint8_t>(piece[static_cast<size_t>(i)]);
    if (id_of_byte_[byte] < 0) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the tokenizer's vocabulary has no token for byte 0x{:02X}", byte));
    }
    symbols[static_cast<size_t>(i)] = {id_of_byte_[byte], i - 1, i + 1 < size ? i + 1 : -1};
  }
  // A heap of lowest rank, then leftmost. Entries that a later join made stale are told by their
  // ids, which no longer stand at their position.
  const auto later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  std::vector<Candidate> heap;
  for (int32_t i = 0; i < size; ++i) Consider(symbols, i, heap);
  std::make_heap(heap.begin(), heap.end(), later);
  const auto consider = [&](int32_t position) {
    const size_t before = heap.size();
    Consider(symbols, position, heap);
    if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<size_t>(best.position)];
    if (left.id != best.left || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = merges_.find(PairKey(best.left, best.right))->second.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    consider(left.previous);
    consider(best.position);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace reckon
