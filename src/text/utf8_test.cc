#include "text/utf8.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(Utf8, ReadsBackEveryCodePoint) {
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    if (code_point == 0xD800) code_point = 0xE000;  // surrogates are no characters
    std::string text;
    AppendUtf8(code_point, text);
    const Utf8Step step = FirstUtf8(text);
    ASSERT_EQ(step.state, Utf8State::kCharacter) << code_point;
    ASSERT_EQ(step.code_point, code_point);
    ASSERT_EQ(step.length, text.size());
    for (size_t length = 1; length < text.size(); ++length) {
      const Utf8Step cut = FirstUtf8(std::string_view(text).substr(0, length));
      ASSERT_EQ(cut.state, Utf8State::kIncomplete) << code_point;
      ASSERT_EQ(cut.length, length);
    }
  }
}

TEST(Utf8, RefusesIllFormedBytesByMaximalSubparts) {
  const auto invalid_length = [](std::string_view text) {
    const Utf8Step step = FirstUtf8(text);
    return step.state == Utf8State::kInvalid ? static_cast<int>(step.length) : -1;
  };
  EXPECT_EQ(invalid_length("\x80"), 1);
  EXPECT_EQ(invalid_length("\xC0\x80"), 1) << "overlong";
  EXPECT_EQ(invalid_length("\xE0\x80\x80"), 1) << "overlong";
  EXPECT_EQ(invalid_length("\xED\xA0\x80"), 1) << "surrogate";
  EXPECT_EQ(invalid_length("\xF4\x90\x80\x80"), 1) << "beyond U+10FFFF";
  EXPECT_EQ(invalid_length("\xF5\x80\x80\x80"), 1);
  EXPECT_EQ(invalid_length("\xE2\x82z"), 2);
  EXPECT_EQ(invalid_length("\xF0\x9F\x98z"), 3);
}

TEST(Utf8, FindsTheLongestValidPrefix) {
  EXPECT_EQ(ValidUtf8Prefix("abc\xC3\xA9"), "abc\xC3\xA9");
  EXPECT_EQ(ValidUtf8Prefix("abc\xC3"), "abc");
  EXPECT_EQ(ValidUtf8Prefix("a\xFF bc"), "a");
  EXPECT_EQ(ValidUtf8Prefix(""), "");
}

}  // namespace
}  // namespace reckon
