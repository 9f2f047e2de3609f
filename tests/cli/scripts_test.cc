// The scripts' own arguments, as far as they go without installing or building anything.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace reckon {
namespace {

using testing::HasSubstr;

struct Said {
  int exit_code = -1;
  std::string text;
};

Said Quickstart(const std::string& arguments) {
  const std::string command =
      "bash " RECKON_SOURCE_DIR "/scripts/quickstart.sh " + arguments + " 2>&1";
  Said said;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return said;
  char buffer[512];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    said.text.append(buffer, n);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) said.exit_code = WEXITSTATUS(status);
  return said;
}

TEST(Quickstart, RefusesASeedThatIsNoNumberHoweverItIsWritten) {
  for (const char* arguments : {"--seed two", "--seed=two", "--out=runs/x --seed=two"}) {
    const Said said = Quickstart(arguments);
    EXPECT_EQ(said.exit_code, 2) << arguments;
    EXPECT_THAT(said.text, HasSubstr("--seed two: expected a whole number")) << arguments;
  }
}

TEST(Quickstart, RefusesWhatItDoesNotKnow) {
  const Said said = Quickstart("--sede=2");
  EXPECT_EQ(said.exit_code, 2);
  EXPECT_THAT(said.text, HasSubstr("--sede"));
}

}  // namespace
}  // namespace reckon
