// No room to write: the run ends with the path and the reason, and goes on once there is room.

#include <sys/mount.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "tests/integration/run_folder.h"

namespace reckon {
namespace {

using testing::HasSubstr;

void ExpectStopped(const ProcessResult& result, const std::string& out, const std::string& reason) {
  EXPECT_EQ(result.exit_code, 1) << "signal " << result.signal << " " << result.err;
  EXPECT_THAT(result.err, HasSubstr(out + "/"));
  EXPECT_THAT(result.err, HasSubstr(reason));
  ExpectNothingHalfWritten(out);
  EXPECT_FALSE(FileExists(out + "/summary.json"));
}

// Three sizes at which writing stops at different files.
TEST(NoRoom, ALimitOnFileSizesStopsTheRunAndWithoutItTheRunGoesOn) {
  const TemporaryFolder folder;
  const std::string recipe = WriteTinyRecipe(folder.path()), whole = folder / "whole",
                    out = folder / "limited";
  Finish(recipe, whole);
  const auto weights =
      static_cast<int64_t>(std::filesystem::file_size(whole + "/grpo/model/model.safetensors"));
  for (const int64_t bytes : {int64_t{600}, weights / 2, weights + weights / 4}) {
    const ProcessResult result = RunReckon(RunArguments(recipe, out), {{}, "", bytes});
    ExpectStopped(result, out, "File too large");
  }
  Finish(recipe, out);
  ExpectSameRun(whole, out);
}

// A file system in memory, or a reason why there is none.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, int64_t bytes) : path_(path) {
    MakeFolders(path);
    const std::string size = "size=" + std::to_string(bytes);
    if (::mount("tmpfs", path.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      refused_ = std::strerror(errno);
    }
  }
  ~SmallDisk() {
    if (refused_.empty()) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  void Grow(int64_t bytes) const {
    const std::string size = "size=" + std::to_string(bytes);
    ASSERT_EQ(::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, size.c_str()), 0);
  }
  const std::string& refused() const { return refused_; }

 private:
  std::string path_, refused_;
};

TEST(NoRoom, AFullDiskStopsTheRunAndWithRoomTheRunGoesOn) {
  const TemporaryFolder folder;
  const std::string recipe = WriteTinyRecipe(folder.path()), whole = folder / "whole",
                    disk_path = folder / "disk", out = disk_path + "/out";
  const SmallDisk disk(disk_path, 64 << 10);
  if (!disk.refused().empty()) GTEST_SKIP() << "mounting a tmpfs: " << disk.refused();
  Finish(recipe, whole);
  const auto weights =
      static_cast<int64_t>(std::filesystem::file_size(whole + "/grpo/model/model.safetensors"));
  // Not enough for a checkpoint (weights and two moments), for its successor beside it, for a
  // second stage.
  for (const int64_t bytes : {2 * weights, 5 * weights, 9 * weights}) {
    disk.Grow(bytes);
    ExpectStopped(RunReckon(RunArguments(recipe, out)), out, "No space left");
  }
  disk.Grow(40 * weights);
  Finish(recipe, out);
  ExpectSameRun(whole, out);
}

}  // namespace
}  // namespace reckon
