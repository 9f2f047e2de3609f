#include "text/tokenizer_train.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

#include "text/added_tokens.h"
#include "text/byte_alphabet.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace reckon {
namespace {

constexpr int64_t kNumBytes = 256;
constexpr int64_t kMaxVocabSize = 1 << 24;
constexpr int64_t kMinPairCount = 2;  // a pair that occurs once saves nothing

using WordCounts = std::unordered_map<std::string, int64_t>;

void CountWords(std::string_view text, const PreTokenizer& pre_tokenizer, WordCounts& counts) {
  while (!text.empty()) {
    const std::string_view valid = ValidUtf8Prefix(text);
    pre_tokenizer.Split(valid, true, [&](std::string_view piece) { ++counts[std::string(piece)]; });
    text.remove_prefix(valid.size());
    if (!text.empty()) text.remove_prefix(FirstUtf8(text).length);  // not UTF-8: no word
  }
}

// Learns merges over distinct words, keeping the counts of all pairs up to date: a merge touches
// only the words that contain its pair.
class BpeTrainer {
 public:
  BpeTrainer(const WordCounts& words, int32_t first_byte_id) {
    // In an order that does not depend on the hash table.
    std::vector<std::pair<std::string_view, int64_t>> sorted(words.begin(), words.end());
    std::sort(sorted.begin(), sorted.end());
    words_.reserve(sorted.size());
    for (const auto& [text, count] : sorted) {
      Word word;
      word.count = count;
      for (char c : text) word.ids.push_back(first_byte_id + static_cast<uint8_t>(c));
      words_.push_back(std::move(word));
    }
    for (size_t i = 0; i < words_.size(); ++i) {
      const std::vector<int32_t>& ids = words_[i].ids;
      for (size_t j = 1; j < ids.size(); ++j) AddPair(ids[j - 1], ids[j], i);
    }
    for (const auto& [key, pair] : pairs_) queue_.push({pair.count, key});
  }

  struct Pair {
    int32_t left = 0, right = 0;
  };
  // The most frequent pair, if one occurs often enough.
  bool Best(Pair& best) {
    while (!queue_.empty()) {
      const Entry top = queue_.top();
      const int64_t count = pairs_[top.key].count;
      if (count == top.count) {
        if (count < kMinPairCount) return false;
        best = {static_cast<int32_t>(top.key >> 32), static_cast<int32_t>(top.key & 0xFFFFFFFF)};
        return true;
      }
      queue_.pop();  // it has become rarer since; growth is queued where it happens
      if (count > 0) queue_.push({count, top.key});
    }
    return false;
  }

  // Never offers this pair again.
  void Forbid(const Pair& pair) {
    pairs_[Key(pair.left, pair.right)].count = std::numeric_limits<int64_t>::min() / 2;
  }

  void Join(const Pair& pair, int32_t new_id) {
    // Taken out first: the map may move while new pairs are added.
    std::vector<size_t> where = std::move(pairs_[Key(pair.left, pair.right)].words);
    std::set<uint64_t> grown;
    size_t previous = words_.size();
    for (size_t index : where) {  // ascending, so repeats are neighbours
      if (index == previous) continue;
      previous = index;
      JoinInWord(pair, new_id, index, grown);
    }
    pairs_.erase(Key(pair.left, pair.right));
    for (uint64_t key : grown) queue_.push({pairs_[key].count, key});
  }

 private:
  struct Word {
    std::vector<int32_t> ids;
    int64_t count = 0;
  };
  struct PairState {
    int64_t count = 0;
    std::vector<size_t> words;  // that contain the pair, or did
  };
  struct Entry {
    int64_t count = 0;
    uint64_t key = 0;
    // The most frequent on top; of equals the smaller left id, then the smaller right id.
    bool operator<(const Entry& other) const {
      return count != other.count ? count < other.count : key > other.key;
    }
  };

  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  void AddPair(int32_t left, int32_t right, size_t word) {
    PairState& pair = pairs_[Key(left, right)];
    pair.count += words_[word].count;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }
  void JoinInWord(const Pair& pair, int32_t new_id, size_t index, std::set<uint64_t>& grown) {
    Word& word = words_[index];
    std::vector<int32_t> joined;
    for (size_t i = 0; i < word.ids.size(); ++i) {
      const bool here =
          i + 1 < word.ids.size() && word.ids[i] == pair.left && word.ids[i + 1] == pair.right;
      joined.push_back(here ? new_id : word.ids[i]);
      if (here) ++i;
    }
    if (joined.size() == word.ids.size()) return;  // an earlier merge took the pair apart
    for (size_t i = 1; i < word.ids.size(); ++i) {
      pairs_[Key(word.ids[i - 1], word.ids[i])].count -= word.count;
    }
    word.ids = std::move(joined);
    for (size_t i = 1; i < word.ids.size(); ++i) {
      const int32_t left = word.ids[i - 1], right = word.ids[i];
      if (left == new_id || right == new_id) {
        AddPair(left, right, index);
        grown.insert(Key(left, right));
      } else {
        pairs_[Key(left, right)].count += word.count;
      }
    }
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, PairState> pairs_;
  std::priority_queue<Entry> queue_;
};

Json AddedTokenJson(int64_t id, const std::string& content) {
  return Json{{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
              {"rstrip", false}, {"normalized", false}, {"special", true}};
}

void CheckSpecialTokens(const std::vector<std::string>& special_tokens) {
  std::set<std::string> seen;
  for (const std::string& token : special_tokens) {
    if (token.empty() || ValidUtf8Prefix(token).size() != token.size() ||
        !seen.insert(token).second) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("special token \"{}\" is empty, given twice or not UTF-8", token));
    }
  }
}

// What both kinds share. The order of keys is that of Hugging Face's own files.
Json MakeFile(const std::vector<std::string>& special_tokens, Json pre_tokenizer, Json decoder,
              Json model) {
  Json added = Json::array();
  for (size_t i = 0; i < special_tokens.size(); ++i) {
    added.push_back(AddedTokenJson(static_cast<int64_t>(i), special_tokens[i]));
  }
  Json file = Json::object();
  file["version"] = "1.0";
  file["truncation"] = nullptr;
  file["padding"] = nullptr;
  file["added_tokens"] = std::move(added);
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = std::move(pre_tokenizer);
  file["post_processor"] = nullptr;
  file["decoder"] = std::move(decoder);
  file["model"] = std::move(model);
  return file;
}

Json ByteLevelPart(bool add_prefix_space) {
  return Json{{"type", "ByteLevel"},
              {"add_prefix_space", add_prefix_space},
              {"trim_offsets", true},
              {"use_regex", true}};
}

// An object whose keys are known to differ: ordered_json would search them all for each new one.
Json VocabularyJson(const std::vector<std::string>& tokens) {
  Json::object_t vocabulary;
  vocabulary.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary.emplace_back(tokens[id], Json(id));
  return Json(std::move(vocabulary));
}

}  // namespace

Json TrainByteLevelBpe(const std::vector<std::string_view>& texts, int64_t vocab_size,
                       const std::vector<std::string>& special_tokens) {
  CheckSpecialTokens(special_tokens);
  const auto num_special = static_cast<int64_t>(special_tokens.size());
  if (vocab_size < num_special + kNumBytes || vocab_size > kMaxVocabSize) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("vocab_size {} is out of range: 256 bytes and {} special tokens take {}, and "
                      "at most {} are allowed",
                      vocab_size, num_special, num_special + kNumBytes, kMaxVocabSize));
  }
  std::vector<std::string> tokens = special_tokens;
  for (int byte = 0; byte < kNumBytes; ++byte) {
    std::string token;
    AppendUtf8(CodePointOfByte(static_cast<uint8_t>(byte)), token);
    if (std::find(special_tokens.begin(), special_tokens.end(), token) != special_tokens.end()) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("special token \"{}\" stands for a byte", token));
    }
    tokens.push_back(std::move(token));
  }
  std::vector<AddedToken> special;  // they never take part in a word
  for (size_t i = 0; i < special_tokens.size(); ++i) {
    special.push_back({.content = special_tokens[i], .id = static_cast<int32_t>(i)});
  }
  const AddedTokens specials(std::move(special));
  const PreTokenizer pre_tokenizer = PreTokenizer::Gpt2();
  WordCounts words;
  for (std::string_view text : texts) {
    specials.Split(
        text, [&](std::string_view part, size_t) { CountWords(part, pre_tokenizer, words); },
        [](int32_t) {});
  }
  BpeTrainer trainer(words, static_cast<int32_t>(num_special));
  // A token may be arrived at by two merges, or spell a special token; such a pair is passed over.
  std::set<std::string> taken(tokens.begin(), tokens.end());
  Json merges = Json::array();
  BpeTrainer::Pair best;
  while (static_cast<int64_t>(tokens.size()) < vocab_size && trainer.Best(best)) {
    const std::string& left = tokens[static_cast<size_t>(best.left)];
    const std::string& right = tokens[static_cast<size_t>(best.right)];
    std::string joined = left + right;
    if (!taken.insert(joined).second) {
      trainer.Forbid(best);
      continue;
    }
    merges.push_back(fmt::format("{} {}", left, right));
    trainer.Join(best, static_cast<int32_t>(tokens.size()));
    tokens.push_back(std::move(joined));
  }
  Json model = Json::object();
  model["type"] = "BPE";
  model["dropout"] = nullptr;
  model["unk_token"] = nullptr;
  model["continuing_subword_prefix"] = nullptr;
  model["end_of_word_suffix"] = nullptr;
  model["fuse_unk"] = false;
  model["byte_fallback"] = false;
  model["ignore_merges"] = false;
  model["vocab"] = VocabularyJson(tokens);
  model["merges"] = std::move(merges);
  return MakeFile(special_tokens, ByteLevelPart(false), ByteLevelPart(true), std::move(model));
}

Json MakeCharTokenizer(std::string_view alphabet, const std::vector<std::string>& special_tokens) {
  CheckSpecialTokens(special_tokens);
  std::vector<std::string> tokens = special_tokens;
  std::set<std::string> taken(tokens.begin(), tokens.end());
  while (!alphabet.empty()) {
    const Utf8Step step = FirstUtf8(alphabet);
    if (step.state != Utf8State::kCharacter) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("the alphabet is not UTF-8 after {} tokens", tokens.size()));
    }
    std::string character(alphabet.substr(0, step.length));
    alphabet.remove_prefix(step.length);
    if (taken.insert(character).second) tokens.push_back(std::move(character));
  }
  // A class that every character belongs to; "." leaves out the line end. An empty pattern, which
  // also cuts everywhere, is read differently by different versions.
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", "[\\s\\S]"}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json model = {
      {"type", "WordLevel"}, {"vocab", VocabularyJson(tokens)}, {"unk_token", "<unk>"}};
  return MakeFile(special_tokens, split, Json{{"type", "Fuse"}}, model);
}

}  // namespace reckon
