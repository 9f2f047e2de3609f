// Counter-based random numbers: a draw is a pure function of (seed, coordinates, index), so it does
// not depend on thread, rank, batch or on what was drawn before. Philox4x32-10 (Salmon et al.,
// "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace reckon {

class Rng {
 public:
  // The coordinates name the draw's place, for example {kStageRollout, step, sample, position}.
  Rng(uint64_t seed, std::initializer_list<uint64_t> coordinates);

  uint64_t Next();               // 64 uniform bits
  double Uniform();              // [0, 1), 53 bits
  int64_t Below(int64_t bound);  // [0, bound), unbiased; bound >= 1
  double Normal();               // mean 0, standard deviation 1; no libm
  bool Bernoulli(double p) { return Uniform() < p; }

 private:
  uint64_t key_;
  uint64_t stream_;
  uint64_t index_ = 0;
};

// A coordinate from a name (FNV-1a), so that streams of different purposes never meet.
constexpr uint64_t StreamName(std::string_view name) {
  uint64_t hash = 14695981039346656037ull;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace reckon
