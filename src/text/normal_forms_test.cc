#include "text/normal_forms.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "text/utf8.h"

namespace reckon {
namespace {

TEST(Normalized, MakesTheFormsOfTheStandardsExamples) {
  // UAX #15, figures 3 to 6.
  const std::string text = "\u212B \u1E9B\u0323 \uFB01 2\u2075 \uD55C";
  EXPECT_EQ(Normalized(text, NormalForm::kNfd),
            "A\u030A \u017F\u0323\u0307 \uFB01 2\u2075 \u1112\u1161\u11AB");
  EXPECT_EQ(Normalized(text, NormalForm::kNfc), "\u00C5 \u1E9B\u0323 \uFB01 2\u2075 \uD55C");
  EXPECT_EQ(Normalized(text, NormalForm::kNfkd), "A\u030A s\u0323\u0307 fi 25 \u1112\u1161\u11AB");
  EXPECT_EQ(Normalized(text, NormalForm::kNfkc), "\u00C5 \u1E69 fi 25 \uD55C");
}

TEST(Normalized, OrdersMarksAndComposesAroundThem) {
  EXPECT_EQ(Normalized("q\u0307\u0323", NormalForm::kNfc), "q\u0323\u0307");
  EXPECT_EQ(Normalized("d\u0307\u0323", NormalForm::kNfc), "\u1E0D\u0307");
  EXPECT_EQ(Normalized("a\u0301\u0301", NormalForm::kNfc), "\u00E1\u0301");
  EXPECT_EQ(Normalized("\u0958", NormalForm::kNfc), "\u0915\u093C") << "excluded from composition";
  EXPECT_EQ(Normalized("\u1112\u1161", NormalForm::kNfc), "\uD558");
  EXPECT_EQ(Normalized("\uD558\u11AB", NormalForm::kNfc), "\uD55C");
  EXPECT_EQ(Normalized("\u0301e\u0301", NormalForm::kNfc), "\u0301\u00E9") << "none to join";
  EXPECT_EQ(Normalized("", NormalForm::kNfc), "");
}

TEST(Normalized, ChangesNothingTheSecondTimeAndHoldsTogether) {
  for (uint64_t round = 0; round < 2000; ++round) {
    Rng rng(3, {StreamName("normal-forms"), round});
    std::string text;
    for (int64_t length = rng.Below(12); length > 0; --length) {
      constexpr uint32_t starts[] = {0x41, 0x300, 0x1100, 0xAC00, 0x900, 0x1E00, 0x3040, 0xFB00};
      const uint32_t c = starts[rng.Below(8)] + static_cast<uint32_t>(rng.Below(128));
      AppendUtf8(c, text);
    }
    const std::string nfc = Normalized(text, NormalForm::kNfc);
    const std::string nfd = Normalized(text, NormalForm::kNfd);
    const std::string nfkc = Normalized(text, NormalForm::kNfkc);
    EXPECT_EQ(Normalized(nfc, NormalForm::kNfc), nfc);
    EXPECT_EQ(Normalized(nfd, NormalForm::kNfc), nfc);
    EXPECT_EQ(Normalized(nfc, NormalForm::kNfd), nfd);
    EXPECT_EQ(Normalized(nfd, NormalForm::kNfkc), nfkc);
    EXPECT_EQ(Normalized(Normalized(text, NormalForm::kNfkd), NormalForm::kNfkc), nfkc);
  }
}

TEST(Normalized, TakesALongRunOfMarks) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i) text += i % 2 == 0 ? "\u0301" : "\u0323";
  EXPECT_EQ(Normalized(text, NormalForm::kNfc).size(), text.size() + 2 - 2);
}

}  // namespace
}  // namespace reckon
