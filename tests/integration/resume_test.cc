// A run that was stopped goes on as if it had not been, and the same recipe gives the same bits
// however it is computed.

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "base/clock.h"
#include "base/rng.h"
#include "kernels/kernel_table.h"
#include "tests/integration/run_folder.h"

namespace reckon {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr int kKills = kSanitized ? 4 : 10;

// RECKON_TEST_SEED repeats the moments of an earlier run.
uint64_t KillSeed() {
  const char* text = std::getenv("RECKON_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20250801;
}

class Resume : public testing::Test {
 protected:
  void SetUp() override {
    recipe_ = WriteTinyRecipe(folder_.path());
    const double begin_s = MonotonicSeconds();
    Finish(recipe_, undisturbed_);
    run_s_ = MonotonicSeconds() - begin_s;
  }

  TemporaryFolder folder_;
  std::string recipe_, undisturbed_ = folder_ / "undisturbed";
  double run_s_ = 0;
};

TEST_F(Resume, AfterSigkillAtRandomMomentsTheBitsAreTheSame) {
  const std::string out = folder_ / "killed";
  std::printf("RECKON_TEST_SEED=%llu\n", static_cast<unsigned long long>(KillSeed()));
  Rng rng(KillSeed(), {StreamName("kills")});
  int finished = 0;
  for (int kills = 0; kills < kKills;) {
    Process process(RunArguments(recipe_, out));
    const double longest_ms = 1e3 * run_s_ * 2 / kKills;
    if (!process.EndsWithin(milliseconds(1 + static_cast<int>(rng.Uniform() * longest_ms)))) {
      process.Signal(SIGKILL);
      const ProcessResult result = process.Wait();
      ASSERT_TRUE(result.signal == SIGKILL || result.exit_code == 0) << result.err;
      kills += result.signal == SIGKILL ? 1 : 0;
      continue;
    }
    // Done before all the kills: compare, and begin anew.
    const ProcessResult result = process.Wait();
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ExpectSameRun(undisturbed_, out);
    std::filesystem::remove_all(out);
    ASSERT_LT(++finished, 100) << "the run ends before it can be killed";
  }
  Finish(recipe_, out);
  ExpectSameRun(undisturbed_, out);
  ExpectNothingHalfWritten(out);
}

// Waits for a file to appear while the process runs.
void AwaitFile(const std::string& path, Process& process) {
  while (!FileExists(path) && !process.EndsWithin(milliseconds(1))) continue;
}

TEST_F(Resume, AfterSigintInEveryStageItSaysHowToGoOnAndTheBitsAreTheSame) {
  const std::string out = folder_ / "interrupted";
  for (const std::string& stage : StageNames(undisturbed_)) {
    Process process(RunArguments(recipe_, out));
    AwaitFile(out + "/" + stage + "/checkpoint", process);
    process.Signal(SIGINT);
    const ProcessResult result = process.Wait();
    ASSERT_EQ(result.exit_code, 130) << stage << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr("interrupted"));
    EXPECT_THAT(result.err, HasSubstr("the same command goes on"));
    EXPECT_TRUE(FileExists(out + "/" + stage + "/checkpoint/state.json"));
    ExpectNothingHalfWritten(out);
  }
  Finish(recipe_, out);
  ExpectSameRun(undisturbed_, out);
}

TEST_F(Resume, SigintDuringTheEvaluationKeepsNoHalfOfIt) {
  const std::string out = folder_ / "interrupted", long_out = folder_ / "long";
  Json recipe = TinyRecipe();
  recipe["stages"].erase(2);
  recipe["stages"].erase(0);
  recipe["eval"]["problems"] = 24;
  recipe["eval"]["samples"] = kSanitized ? 32 : 512;
  const std::string path = WriteTinyRecipe(folder_ / "evaluated", recipe);
  Process process(RunArguments(path, out));
  AwaitFile(out + "/tuned/model", process);
  process.Signal(SIGINT);
  const ProcessResult result = process.Wait();
  ASSERT_EQ(result.exit_code, 130) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the same command goes on"));
  EXPECT_FALSE(FileExists(out + "/tuned/stage.json"));
  Finish(path, out);
  Finish(path, long_out);
  ExpectSameRun(long_out, out);
}

// Every file of a folder and when it was written.
std::map<std::string, std::filesystem::file_time_type> WriteTimes(const std::string& folder) {
  std::map<std::string, std::filesystem::file_time_type> times;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    times[entry.path().string()] = entry.last_write_time();
  }
  return times;
}

TEST_F(Resume, AFinishedRunIsSaidToBeAndLeftAsItIs) {
  const auto times = WriteTimes(undisturbed_);
  const ProcessResult again = RunReckon(RunArguments(recipe_, undisturbed_));
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr(undisturbed_ + ": this run is already finished"));
  EXPECT_THAT(again.out, HasSubstr("grpo"));
  EXPECT_EQ(WriteTimes(undisturbed_), times);
}

TEST_F(Resume, AFinishedRunKeepsCheckpointsOnlyIfAsked) {
  const std::string kept = folder_ / "kept";
  std::vector<std::string> arguments = RunArguments(recipe_, kept);
  arguments.push_back("--keep-checkpoints");
  ASSERT_EQ(RunReckon(arguments).exit_code, 0);
  for (const std::string& stage : StageNames(undisturbed_)) {
    EXPECT_TRUE(FileExists(kept + "/" + stage + "/checkpoint/state.json")) << stage;
    EXPECT_FALSE(FileExists(undisturbed_ + "/" + stage + "/checkpoint")) << stage;
  }
  ExpectSameRun(undisturbed_, kept);
}

TEST_F(Resume, OneProcessAtATimeWorksInAFolder) {
  const std::string out = folder_ / "shared";
  Process first(RunArguments(recipe_, out));
  AwaitFile(out + "/base", first);
  const ProcessResult second = RunReckon(RunArguments(recipe_, out));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(out + ": another reckon is at work in this folder"));
  ASSERT_EQ(first.Wait().exit_code, 0);
  ExpectSameRun(undisturbed_, out);
}

TEST_F(Resume, ADamagedCheckpointIsNamedAndNotUsed) {
  const std::string out = folder_ / "damaged", checkpoint = out + "/tuned/checkpoint";
  Process process(RunArguments(recipe_, out));
  AwaitFile(checkpoint, process);
  process.Signal(SIGINT);
  process.Wait();
  const std::string weights = checkpoint + "/model/model.safetensors";
  ASSERT_TRUE(FileExists(weights));
  std::filesystem::resize_file(weights, 1000);
  const ProcessResult result = RunReckon(RunArguments(recipe_, out));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(weights));
}

TEST_F(Resume, BitsDoNotDependOnThreads) {
  for (const char* threads : {"1", "2"}) {
    const std::string out = folder_ / (std::string("threads-") + threads);
    Finish(recipe_, out, {{{"RECKON_THREADS", threads}}, "", 0});
    ExpectSameRun(undisturbed_, out);
  }
}

TEST_F(Resume, BitsDoNotDependOnTheInstructionSet) {
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (!CpuSupports(isa)) continue;
    const std::string out = folder_ / Name(isa);
    Finish(recipe_, out, {{{"RECKON_ISA", Name(isa)}}, "", 0});
    ExpectSameRun(undisturbed_, out);
    EXPECT_EQ(ReadJsonFile(out + "/receipt.json")["machine"]["isa"], Name(isa));
  }
}

TEST_F(Resume, NoTokenOfAGrpoRunWasSampledWithOtherBitsThanTrained) {
  const std::vector<Json> steps = Metrics(undisturbed_, "grpo");
  ASSERT_EQ(steps.size(), TinyRecipe()["stages"][2]["steps"].get<size_t>());
  double trained = 0;
  for (const Json& step : steps) {
    EXPECT_EQ(step["sampler_trainer_mismatch_tokens"], 0);
    trained += step["grad_norm"].get<double>() > 0 ? 1 : 0;
  }
  EXPECT_GT(trained, 0) << "no step had anything to train on";
}

}  // namespace
}  // namespace reckon
