#include "base/nearest.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

TEST(NearestName, IsTheOneThatFewestEditsLeadTo) {
  const std::vector<std::string> known = {"/save", "/system", "/read", "/regen"};
  EXPECT_EQ(NearestName("/sav", known), "/save");
  EXPECT_EQ(NearestName("/regne", known), "/regen");
  EXPECT_EQ(NearestName("/ssytem", known), "/system");
  EXPECT_EQ(NearestName("/rea", {"/real", "/read"}), "/real") << "of equals the first";
}

TEST(NearestName, MayBeBegunOnly) {
  EXPECT_EQ(NearestName("/sys", {"/save", "/other", "/system"}), "/system");
  EXPECT_EQ(NearestName("temp", {"top_p", "temperature"}), "temperature");
  EXPECT_EQ(NearestName("t", {"top_p", "temperature"}), "") << "too little to tell";
}

TEST(NearestName, IsNoneWhereAllAreFarOff) {
  EXPECT_EQ(NearestName("temperature", {"/save", "/read"}), "");
  EXPECT_EQ(NearestName("x", {}), "");
}

}  // namespace
}  // namespace reckon
