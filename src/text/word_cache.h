// Remembers the ids of words within one text: words repeat, and most of a long text was encoded
// before.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

class WordCache {
 public:
  // Sized for a text of so many bytes; a short one is not worth a table.
  explicit WordCache(size_t text_bytes) {
    if (text_bytes < 64) return;
    size_t slots = 64;
    while (slots < kMaxSlots && slots * 8 < text_bytes) slots *= 2;
    slots_.resize(slots + kProbes);
    mask_ = slots - 1;
  }

  struct Slot {
    uint32_t tag = 0;
    uint32_t key = 0;  // where the word stands in keys_
    uint32_t ids = 0;  // where its ids stand in the caller's list
    uint16_t key_size = 0, num_ids = 0;
  };

  // Null where the word is not known.
  const Slot* Find(std::string_view word, uint64_t hash) const {
    if (slots_.empty()) return nullptr;
    const Slot* slot = &slots_[hash & mask_];
    for (size_t i = 0; i < kProbes; ++i, ++slot) {
      if (slot->tag == Tag(hash) && slot->key_size == word.size() &&
          std::memcmp(keys_.data() + slot->key, word.data(), word.size()) == 0) {
        return slot;
      }
    }
    return nullptr;
  }

  void Remember(std::string_view word, uint64_t hash, size_t ids, size_t num_ids) {
    const bool fits = word.size() <= kMaxWord && num_ids <= kMaxWord &&
                      keys_.size() + word.size() < UINT32_MAX && ids < UINT32_MAX;
    if (slots_.empty() || !fits) return;
    Slot* slot = &slots_[hash & mask_];
    size_t probe = 0;  // a free place, else the first
    while (probe < kProbes && slot[probe].key_size != 0) ++probe;
    slot[probe % kProbes] = {Tag(hash), static_cast<uint32_t>(keys_.size()),
                             static_cast<uint32_t>(ids), static_cast<uint16_t>(word.size()),
                             static_cast<uint16_t>(num_ids)};
    keys_ += word;
  }

  static uint64_t Hash(std::string_view word) {
    constexpr uint64_t kOdd = 0x9E3779B97F4A7C15ull;
    uint64_t hash = word.size() * kOdd;
    const char* at = word.data();
    size_t left = word.size();
    for (; left >= 8; at += 8, left -= 8) hash = Mix(hash, Load(at, 8)) * kOdd;
    if (left > 0) hash = Mix(hash, Load(at, left)) * kOdd;
    return hash ^ hash >> 29;
  }

 private:
  static constexpr size_t kMaxSlots = 1 << 16, kProbes = 4, kMaxWord = 1024;
  static uint32_t Tag(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  static uint64_t Mix(uint64_t hash, uint64_t word) {
    hash ^= word;
    return hash ^ hash >> 32;
  }
  static uint64_t Load(const char* at, size_t size) {
    uint64_t word = 0;
    std::memcpy(&word, at, size);
    return word;
  }

  std::vector<Slot> slots_;
  std::string keys_;
  size_t mask_ = 0;
};

}  // namespace reckon
