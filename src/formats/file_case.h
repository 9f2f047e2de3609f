// For the tests of file formats: a folder of the test's own, and what is said of a bad file.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace reckon {

// File opens the path that its constructor is given.
template <typename File>
class FileCase : public testing::Test {
 protected:
  explicit FileCase(const std::string& name)
      : folder_(::testing::TempDir() + "/reckon_" + std::filesystem::path(name).stem().string() +
                "_" + std::to_string(::getpid())),
        path_(folder_ + "/" + name) {}
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The message about the file at path_, which must name it.
  std::string FailureOfReading(ErrorKind kind = ErrorKind::kCorrupt) {
    try {
      File file(path_);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), testing::HasSubstr(path_));
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return "";
  }

  std::string folder_, path_;
};

}  // namespace reckon
