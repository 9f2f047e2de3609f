#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"

namespace reckon {
namespace {

constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kMillionAs =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

// The examples that NIST publishes with FIPS 180-4, and the empty message of its test vectors.
TEST(Sha256, HasThePublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), kAbc);
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')), kMillionAs);
}

TEST(Sha256, DoesNotDependOnHowTheMessageIsCut) {
  Sha256 hash;
  for (const char* part : {"a", "", "bc"}) hash.Update(std::string_view(part));
  EXPECT_EQ(hash.HexDigest(), kAbc);
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const std::string path = testing::TempDir() + "hash_test";
  WriteFileAtomically(path, std::string(1000000, 'a'));
  EXPECT_EQ(Sha256OfFile(path), kMillionAs);
  EXPECT_THROW(Sha256OfFile(path + "-absent"), Error);
}

}  // namespace
}  // namespace reckon
