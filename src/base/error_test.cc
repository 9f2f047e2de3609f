#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reckon {
namespace {

std::string MessageOf(const std::string& message) {
  try {
    Throw(ErrorKind::kCorrupt, message);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ErrorMessage, IsOneLineWhateverNamesAFileHas) {
  EXPECT_EQ(MessageOf("a.gguf: tensor \"x\n\x1b[2J\x7f\t\": bad"),
            "a.gguf: tensor \"x??[2J??\": bad");
  EXPECT_EQ(MessageOf(std::string("a\0b", 3)), "a?b");
  EXPECT_EQ(MessageOf("\u4f60\u597d \u00e9"), "\u4f60\u597d \u00e9") << "letters stay";
}

TEST(ErrorMessage, IsCutBetweenCharactersWhereItIsLong) {
  EXPECT_EQ(MessageOf(std::string(4000, 'x')), std::string(4000, 'x'));
  EXPECT_EQ(MessageOf(std::string(4001, 'x')), std::string(4000, 'x') + "...");
  const std::string cut = MessageOf(std::string(3999, 'x') + "\u4f60\u597d");
  EXPECT_EQ(cut, std::string(3999, 'x') + "...");
}

}  // namespace
}  // namespace reckon
