#include "base/rng.h"

#include <cmath>

#include "base/error.h"
#include "base/math.h"

namespace reckon {
namespace {

// The finaliser of SplitMix64 (Steele et al., OOPSLA 2014): a bijection that scatters every bit.
uint64_t Scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Philox4x32 with 10 rounds; returns the first 64 of its 128 output bits.
uint64_t Philox(uint64_t key, uint64_t stream, uint64_t index) {
  uint32_t c0 = static_cast<uint32_t>(index), c1 = static_cast<uint32_t>(index >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (static_cast<uint64_t>(c1) << 32) | c0;
}

}  // namespace

Rng::Rng(uint64_t seed, std::initializer_list<uint64_t> coordinates)
    : key_(Scatter(seed)), stream_(coordinates.size()) {
  for (uint64_t coordinate : coordinates) stream_ = Scatter(stream_ ^ Scatter(coordinate));
}

uint64_t Rng::Next() { return Philox(key_, stream_, index_++); }

double Rng::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

int64_t Rng::Below(int64_t bound) {
  Check(bound >= 1, "Rng::Below needs a bound of at least 1");
  const uint64_t range = static_cast<uint64_t>(bound);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % range;  // a multiple of range: no bias below it
  uint64_t bits = Next();
  while (bits >= limit) bits = Next();
  return static_cast<int64_t>(bits % range);
}

// Box and Muller's transform, with our own logarithm and cosine.
double Rng::Normal() {
  const double u = 1.0 - Uniform();  // (0, 1]
  double sine = 0, cosine = 0;
  SinCos(2 * 3.14159265358979323846 * Uniform(), &sine, &cosine);
  return std::sqrt(-2.0 * Log(u)) * cosine;
}

}  // namespace reckon
