// SHA-256 (FIPS 180-4) for receipts and weight hashes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace reckon {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  std::string HexDigest();  // 64 characters; the object is spent

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string Sha256Hex(std::string_view text);
std::string Sha256OfFile(const std::string& path);

}  // namespace reckon
