#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "data/source.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

using testing::HasSubstr;

Tokenizer Characters() {
  return Tokenizer::FromJson(MakeCharTokenizer("0123456789abcdefghijklmnopqrstuvwxyz:+-*=(),; ",
                                               {"<bos>", "<eos>", "<think>", "</think>"}),
                             "test");
}

class TextFile {
 public:
  explicit TextFile(const std::string& text)
      : path_(testing::TempDir() + "data_test_" + std::to_string(::getpid()) + ".txt") {
    WriteFileAtomically(path_, text);
  }
  ~TextFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string Letters(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += static_cast<char>('a' + i % 26);
  return text;
}

TEST(TextSource, VisitsEveryWindowOnceAnEpochInASeededOrder) {
  const Tokenizer tokenizer = Characters();
  const TextFile file(Letters(1001));
  TextSourceConfig config;
  config.files = {file.path()};
  config.seq_len = 10;
  config.batch_size = 19;
  config.validation_fraction = 0.05;
  const auto source = MakeTextSource(config, tokenizer, 1);
  std::multiset<std::vector<int32_t>> seen;
  for (int64_t step = 0; step < 5; ++step) {
    for (const Example& e : source->Step(step)) {
      ASSERT_EQ(e.token_ids.size(), 11u);
      EXPECT_EQ(e.loss_mask[0], 0);
      seen.insert(e.token_ids);
    }
  }
  config.batch_size = 95;
  const std::vector<Example> all = MakeTextSource(config, tokenizer, 1)->Step(0);
  std::multiset<std::vector<int32_t>> expected;
  for (const Example& e : all) expected.insert(e.token_ids);
  EXPECT_EQ(seen, expected);
  config.seed = 1;
  const std::vector<Example> other = MakeTextSource(config, tokenizer, 1)->Step(0);
  EXPECT_NE(all[0].token_ids, other[0].token_ids);
}

TEST(TextSource, HoldsBackTheEndForValidation) {
  const Tokenizer tokenizer = Characters();
  const TextFile file(Letters(260) + std::string(1000, '7'));
  TextSourceConfig config;
  config.files = {file.path()};
  config.seq_len = 10;
  config.batch_size = 4;
  config.validation_fraction = 0.5;
  config.validation = true;
  for (const Example& e : MakeTextSource(config, tokenizer, -1)->Step(0)) {
    EXPECT_EQ(e.token_ids[5], *tokenizer.TokenId("7"));
  }
}

TEST(TextSource, NamesAMissingEmptyOrShortFile) {
  const Tokenizer tokenizer = Characters();
  const auto expect = [&](const std::string& path, const std::string& part) {
    TextSourceConfig config;
    config.files = {path};
    try {
      MakeTextSource(config, tokenizer, 1);
      ADD_FAILURE() << path << " was accepted";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  };
  expect("/nowhere/text.txt", "opening");
  {
    const TextFile empty("");
    expect(empty.path(), "empty");
  }
  const TextFile little("abc");
  expect(little.path(), "too few");
}

TaskSourceConfig SumConfig(double long_probability) {
  TaskSourceConfig config;
  config.mix.push_back(
      {MakeTask(Json::parse(R"({"name":"digit_sum","digits":6})"), "t"), 1, long_probability, 0});
  config.batch_size = 200;
  return config;
}

TEST(TaskSource, StepIsAFunctionOfItsNumberOnly) {
  const Tokenizer tokenizer = Characters();
  const auto a = MakeTaskSource(SumConfig(0.5), tokenizer, 0, 1);
  const auto b = MakeTaskSource(SumConfig(0.5), tokenizer, 0, 1);
  for (int64_t step = 0; step < 5; ++step) a->Step(step);
  const std::vector<Example> x = a->Step(7), y = b->Step(7);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(x[i].token_ids, y[i].token_ids);
  EXPECT_EQ(a->ContentHash(), b->ContentHash());
}

TEST(TaskSource, LearnsResponseAndEndOnly) {
  const Tokenizer tokenizer = Characters();
  for (const Example& e : MakeTaskSource(SumConfig(1), tokenizer, 0, 1)->Step(0)) {
    // bos, "s10:" and six digits and "=": 12; then <think>, six, </think>, one, eos: 10.
    ASSERT_EQ(e.token_ids.size(), 22u);
    EXPECT_EQ(e.token_ids.front(), 0);
    EXPECT_EQ(e.token_ids.back(), 1);
    for (size_t i = 0; i < e.loss_mask.size(); ++i) EXPECT_EQ(e.loss_mask[i], i >= 12 ? 1 : 0) << i;
  }
}

TEST(TaskSource, MixesShortAndLongResponses) {
  const Tokenizer tokenizer = Characters();
  int longer = 0;
  for (const Example& e : MakeTaskSource(SumConfig(0.25), tokenizer, 0, 1)->Step(0)) {
    longer += e.token_ids.size() == 22u ? 1 : 0;
  }
  EXPECT_NEAR(longer, 50, 5 * 6.1);  // five standard deviations of a binomial
}

TEST(TaskSource, NeverTrainsOnAHeldOutProblem) {
  const Tokenizer tokenizer = Characters();
  const auto source = MakeTaskSource(SumConfig(0.5), tokenizer, 0, 1);
  for (int64_t step = 0; step < 20; ++step) {
    for (const Example& e : source->Step(step)) {
      const std::string text =
          tokenizer.Decode(std::span<const int32_t>(e.token_ids).subspan(1, 11));
      EXPECT_EQ(SplitOf({"digit_sum", text, "", ""}), Split::kTrain) << text;
    }
  }
}

TEST(Pack, LaysExamplesRowAfterRowAndPredictsEachLearntToken) {
  const std::vector<Example> examples = {
      {{10, 11, 12, 13}, {0, 0, 1, 1}}, {{20, 21}, {0, 1}}, {{30, 31, 32}, {0, 0, 1}}, {{9}, {0}}};
  const std::vector<PackedRows> packs = Pack(examples, 4);
  ASSERT_EQ(packs.size(), 2u);
  EXPECT_EQ(packs[0].token_ids, (std::vector<int32_t>{10, 11, 12, 20}));
  EXPECT_EQ(packs[0].positions, (std::vector<int32_t>{0, 1, 2, 0}));
  EXPECT_EQ(packs[0].target_rows, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(packs[0].targets, (std::vector<int32_t>{12, 13, 21}));
  EXPECT_EQ(packs[0].spans[1].begin, 3);
  EXPECT_EQ(packs[1].token_ids, (std::vector<int32_t>{30, 31}));
  EXPECT_EQ(packs[1].targets, (std::vector<int32_t>{32}));
}

TEST(Pack, GivesALongExampleAPackOfItsOwn) {
  Example example;
  example.token_ids.assign(100, 5);
  example.loss_mask.assign(100, 1);
  const std::vector<PackedRows> packs = Pack({{{1, 2}, {0, 1}}, example, {{1, 2}, {0, 1}}}, 10);
  ASSERT_EQ(packs.size(), 3u);
  EXPECT_EQ(packs[1].token_ids.size(), 99u);
}

}  // namespace
}  // namespace reckon
