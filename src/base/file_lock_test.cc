#include "base/file_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace reckon {
namespace {

class ALock : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_ = testing::TempDir() + "file_lock_test_" + std::to_string(::getpid());
};

TEST_F(ALock, IsHeldByOneAtATime) {
  std::unique_ptr<FileLock> first = FileLock::Try(path_);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(FileLock::Try(path_), nullptr);
  first.reset();
  EXPECT_NE(FileLock::Try(path_), nullptr);
}

TEST_F(ALock, OfAFolderThatIsNotThereIsNamed) {
  try {
    FileLock::Try(path_ + "/nowhere/lock");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_NE(std::string(error.what()).find(path_ + "/nowhere/lock"), std::string::npos);
  }
}

}  // namespace
}  // namespace reckon
