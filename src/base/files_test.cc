#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "base/error.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "files_test_" + info->name();
    fs::remove_all(folder_);
    MakeFolders(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  std::string folder_;
};

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

TEST_F(Files, AreReadAsTheyWereWritten) {
  const std::string contents("a\0b\r\n\xff", 6);
  WriteFileAtomically(Path("file"), contents);
  EXPECT_EQ(ReadFile(Path("file")), contents);
  WriteFileAtomically(Path("file"), [](const WriteBytes& write) {
    write(AsBytes("two "));
    write({});
    write(AsBytes("parts"));
  });
  EXPECT_EQ(ReadFile(Path("file")), "two parts");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("file"));
}

TEST_F(Files, AreNotSeenBeforeTheyAreWhole) {
  WriteFileAtomically(Path("file"), "old");
  WriteFileAtomically(Path("file"), [&](const WriteBytes& write) {
    write(AsBytes("new"));
    EXPECT_EQ(ReadFile(Path("file")), "old");
  });
  EXPECT_EQ(ReadFile(Path("file")), "new");
}

TEST_F(Files, StayAsTheyWereWhenFillingFails) {
  WriteFileAtomically(Path("file"), "old");
  const auto fail = [](const WriteBytes& write) {
    write(AsBytes("half"));
    throw std::runtime_error("the caller failed");
  };
  EXPECT_THROW(WriteFileAtomically(Path("file"), fail), std::runtime_error);
  EXPECT_EQ(ReadFile(Path("file")), "old");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("file"));
}

// A full disk, played by a limit on the size of a file.
TEST_F(Files, StayAsTheyWereWhenTheDiskIsFull) {
  WriteFileAtomically(Path("file"), "old");
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit saved{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &saved), 0);
  const rlimit small{4096, saved.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    WriteFileAtomically(Path("file"), std::string(100000, 'x'));
  } catch (const Error& error) {
    message = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &saved), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(message, HasSubstr(Path("file")));
  EXPECT_THAT(message, HasSubstr("bytes"));
  EXPECT_THAT(message, HasSubstr("File too large"));
  EXPECT_EQ(ReadFile(Path("file")), "old");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("file"));
}

TEST_F(Files, NameThePathThatCannotBeReadOrWritten) {
  for (const bool read : {true, false}) {
    const std::string path = Path("absent/file");
    try {
      if (read) ReadFile(path);
      if (!read) WriteFileAtomically(path, "text");
      ADD_FAILURE() << "a file in an absent folder was opened";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
      EXPECT_THAT(error.what(), HasSubstr(path));
    }
  }
  EXPECT_THROW(ReadFile(folder_), Error);
  WriteFileAtomically(Path("file"), "");
  EXPECT_THROW(MakeFolders(Path("file/below")), Error);
}

TEST_F(Files, FolderIsReplacedAsAWhole) {
  const std::string target = Path("checkpoint");
  WriteFolderAtomically(target, [](const std::string& to) {
    WriteFileAtomically(to + "/a", "1");
    WriteFileAtomically(to + "/b", "1");
  });
  WriteFolderAtomically(target, [&](const std::string& to) {
    WriteFileAtomically(to + "/a", "2");
    EXPECT_EQ(ReadFile(target + "/a"), "1");
  });
  EXPECT_EQ(ReadFile(target + "/a"), "2");
  EXPECT_THAT(Names(target), UnorderedElementsAre("a"));
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("checkpoint"));
}

TEST_F(Files, FolderStaysAsItWasWhenFillingFails) {
  const std::string target = Path("checkpoint");
  WriteFolderAtomically(target, [](const std::string& to) { WriteFileAtomically(to + "/a", "1"); });
  const auto fail = [](const std::string& to) {
    WriteFileAtomically(to + "/a", "2");
    throw std::runtime_error("the caller failed");
  };
  EXPECT_THROW(WriteFolderAtomically(target, fail), std::runtime_error);
  EXPECT_EQ(ReadFile(target + "/a"), "1");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("checkpoint"));
}

TEST_F(Files, FolderComesBackWhenItsReplacementDisappears) {
  const std::string target = Path("checkpoint");
  WriteFolderAtomically(target, [](const std::string& to) { WriteFileAtomically(to + "/a", "1"); });
  const auto vanish = [](const std::string& to) { fs::remove_all(to); };
  EXPECT_THROW(WriteFolderAtomically(target, vanish), Error);
  EXPECT_EQ(ReadFile(target + "/a"), "1");
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("checkpoint"));
}

TEST_F(Files, LeftoversOfAKilledProcessAreRemoved) {
  WriteFileAtomically(Path("kept"), "1");
  WriteFileAtomically(Path("metrics.jsonl.tmp-123"), "torn");
  MakeFolders(Path("checkpoint.tmp-123"));
  RemoveTemporaries(folder_);
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("kept"));
  EXPECT_NO_THROW(RemoveTemporaries(Path("absent")));
}

// Killed between the two renames, a folder is only there under its old name.
TEST_F(Files, FolderThatWasMovedAsideIsFoundAgain) {
  MakeFolders(Path("checkpoint.tmp-old"));
  WriteFileAtomically(Path("checkpoint.tmp-old/a"), "1");
  MakeFolders(Path("checkpoint.tmp-123"));
  RemoveTemporaries(folder_);
  EXPECT_EQ(ReadFile(Path("checkpoint/a")), "1");
  MakeFolders(Path("checkpoint.tmp-old"));
  RemoveTemporaries(folder_);
  EXPECT_THAT(Names(folder_), UnorderedElementsAre("checkpoint"));
}

}  // namespace
}  // namespace reckon
