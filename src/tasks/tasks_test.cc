#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "base/error.h"
#include "tasks/catalog.h"
#include "tasks/task.h"

namespace reckon {
namespace {

using testing::HasSubstr;

std::unique_ptr<Task> Make(const std::string& json) {
  return MakeTask(Json::parse(json), "t.json: task");
}

const char* const kTasks[] = {R"({"name":"parity","bits":[8,20]})",
                              R"({"name":"digit_sum","digits":[4,16],"modulus":10})",
                              R"({"name":"digit_sum","digits":8,"modulus":97})",
                              R"({"name":"addition","digits":[2,6]})",
                              R"({"name":"sort","count":5})",
                              R"({"name":"countdown","numbers":3})",
                              R"({"name":"countdown","numbers":5,"max_number":50})",
                              R"({"name":"op_chain","operations":10,"modulus":13})",
                              R"({"name":"k_hop","hops":5})",
                              R"({"name":"product","digits":2})"};

class EveryTask : public testing::TestWithParam<const char*> {};

TEST_P(EveryTask, ReferenceAnswerIsRightAndNearMissesAreWrong) {
  const auto task = Make(GetParam());
  Rng rng(1, {StreamName("tasks-test")});
  for (int i = 0; i < 300; ++i) {
    const Problem p = task->Generate(rng, Split::kTrain);
    ASSERT_TRUE(task->Grade(p, p.answer)) << p.prompt << p.answer;
    for (const std::string& wrong :
         {std::string(), p.answer + "0", "0" + p.answer, p.answer + " ", " " + p.answer,
          p.answer + "\n", p.answer.substr(1), p.prompt + p.answer, p.answer + p.answer}) {
      ASSERT_FALSE(task->Grade(p, wrong)) << p.prompt << " " << wrong;
    }
    std::string flipped = p.answer;
    flipped[0] = flipped[0] == '0' ? '1' : '0';
    if (flipped != p.answer && task->name() != "countdown") {
      ASSERT_FALSE(task->Grade(p, flipped));
    }
  }
}

TEST_P(EveryTask, AlphabetCoversEverything) {
  const auto task = Make(GetParam());
  const std::string alphabet = task->alphabet();
  Rng rng(2, {StreamName("tasks-test")});
  for (int i = 0; i < 300; ++i) {
    const Problem p = task->Generate(rng, Split::kTrain);
    for (char c : p.prompt + p.reasoning + p.answer) {
      ASSERT_NE(alphabet.find(c), std::string::npos) << "'" << c << "' in " << p.prompt;
    }
    ASSERT_FALSE(p.reasoning.empty());
  }
}

TEST_P(EveryTask, SplitsNeverShareAProblemWhateverTheSeeds) {
  const auto task = Make(GetParam());
  std::set<std::string> train, held_out;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Rng rng(seed, {StreamName("split")});
    for (int i = 0; i < 1000; ++i) {
      train.insert(task->Generate(rng, Split::kTrain).prompt);
      if (i % 4 == 0) held_out.insert(task->Generate(rng, Split::kHeldOut).prompt);
    }
  }
  for (const std::string& prompt : held_out) ASSERT_EQ(train.count(prompt), 0u) << prompt;
}

TEST_P(EveryTask, AnyBytesAreSafeToGrade) {
  const auto task = Make(GetParam());
  Rng rng(3, {StreamName("tasks-test")});
  const Problem p = task->Generate(rng, Split::kTrain);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes;
    const int64_t length = rng.Below(40);
    for (int64_t j = 0; j < length; ++j) {
      bytes += i % 2 == 0 ? static_cast<char>(rng.Below(256)) : "0123456789+-*()"[rng.Below(15)];
    }
    task->Grade(p, bytes);
    task->Grade({p.task, bytes, "", ""}, bytes);
    ParseResponse(bytes);
  }
}

TEST_P(EveryTask, AProblemIsAFunctionOfTheRandomNumbers) {
  const auto task = Make(GetParam());
  Rng a(4, {1}), b(4, {1});
  EXPECT_EQ(task->Generate(a, Split::kTrain).prompt, task->Generate(b, Split::kTrain).prompt);
}

INSTANTIATE_TEST_SUITE_P(All, EveryTask, testing::ValuesIn(kTasks));

// A model of several tasks tells them apart by the first character.
TEST(Tasks, EachBeginsItsProblemsWithALetterOfItsOwn) {
  std::set<char> letters;
  for (const std::string& name : TaskNames()) {
    Rng rng(8, {1});
    const auto task = Make(R"({"name":")" + name + R"("})");
    EXPECT_TRUE(letters.insert(task->Generate(rng, Split::kTrain).prompt[0]).second) << name;
  }
}

TEST(Tasks, AboutATenthIsHeldOut) {
  const auto task = Make(R"({"name":"digit_sum","digits":16})");
  Rng rng(5, {1});
  int held_out = 0;
  for (int i = 0; i < 5000; ++i) {
    Problem p = task->Generate(rng, i % 2 == 0 ? Split::kTrain : Split::kHeldOut);
    p.prompt += "x";  // a fresh hash
    held_out += SplitOf(p) == Split::kHeldOut ? 1 : 0;
  }
  EXPECT_NEAR(held_out, 500, 5 * 21.2);  // five standard deviations of a binomial
}

TEST(Tasks, ASumAndItsMirrorAreOneProblem) {
  int held_out = 0;
  for (int a = 1000; a < 1400; ++a) {
    const std::string x = std::to_string(a), y = std::to_string(7 * a % 8999 + 1000);
    for (const auto& [task, letter, sign] :
         {std::tuple{"addition", "a:", "+"}, std::tuple{"product", "m:", "*"}}) {
      const Split split = SplitOf({task, letter + x + sign + y + "=", "", ""});
      EXPECT_EQ(split, SplitOf({task, letter + y + sign + x + "=", "", ""})) << x << sign << y;
      held_out += split == Split::kHeldOut ? 1 : 0;
    }
  }
  EXPECT_NEAR(held_out, 80, 5 * 8.5);  // five standard deviations of a binomial
}

TEST(Tasks, ChainsAreWhatTheyClaim) {
  Rng rng(6, {1});
  const Problem parity = Make(R"({"name":"parity","bits":20})")->Generate(rng, Split::kTrain);
  EXPECT_EQ(parity.reasoning.size(), 20u);
  EXPECT_EQ(parity.reasoning.back(), parity.answer[0]);
  const Problem sum = Make(R"({"name":"digit_sum","digits":16})")->Generate(rng, Split::kTrain);
  EXPECT_EQ(sum.reasoning.size(), 16u);
  EXPECT_EQ(sum.reasoning.back(), sum.answer[0]);
  const Problem addition = Make(R"({"name":"addition","digits":4})")->Generate(rng, Split::kTrain);
  EXPECT_EQ(addition.reasoning.size(), 24u);
  const int64_t left = std::stoll(addition.prompt.substr(2, 4));
  const int64_t right = std::stoll(addition.prompt.substr(7, 4));
  EXPECT_EQ(addition.answer, std::to_string(left + right));
}

TEST(Countdown, AcceptsEveryRightExpressionAndNoOther) {
  const auto task = Make(R"({"name":"countdown","numbers":3})");
  const Problem p{"countdown", "c24:3 5 9=", "", "3*5+9"};
  for (const char* right : {"3*5+9", "9+5*3", "(3*5)+9", "9+(5*3)", "((9))+3*5"}) {
    EXPECT_TRUE(task->Grade(p, right)) << right;
  }
  for (const char* wrong : {"24", "3*5+9+0", "3*5+9*1", "5*3+9 ", "15+9", "3*5+", "(3*5+9",
                            "3*5+9)", "+3*5+9", "3*05+9", "8*3", "33-9"}) {
    EXPECT_FALSE(task->Grade(p, wrong)) << wrong;
  }
  EXPECT_FALSE(task->Grade(p, std::string(60000, '(')));
}

TEST(Countdown, WritesTheNumbersOfAProblemInOneOrder) {
  const auto task = Make(R"({"name":"countdown","numbers":3,"max_number":9})");
  Rng rng(7, {1});
  for (int i = 0; i < 200; ++i) {
    const std::string prompt = task->Generate(rng, Split::kTrain).prompt;
    const std::string numbers = prompt.substr(prompt.find(':') + 1);
    EXPECT_TRUE(numbers[0] <= numbers[2] && numbers[2] <= numbers[4]) << prompt;
  }
}

TEST(Response, HasOneThoughtFirstAndAnAnswer) {
  EXPECT_TRUE(ParseResponse("<think>12</think>3").well_formed);
  EXPECT_EQ(ParseResponse("<think>12</think>3").reasoning, "12");
  EXPECT_EQ(ParseResponse("<think>12</think>3").answer, "3");
  EXPECT_TRUE(ParseResponse("<think></think>3").well_formed);
  for (const char* bad :
       {"", "3", "<think>12", "12</think>3", " <think>1</think>3", "<think>1</think>",
        "<think><think>1</think>3", "<think>1</think>3</think>"}) {
    EXPECT_FALSE(ParseResponse(bad).well_formed) << bad;
  }
  EXPECT_EQ(FormatResponse("1", "2"), "<think>1</think>2");
}

void ExpectRefused(const std::string& json, const std::string& part) {
  try {
    Make(json);
    ADD_FAILURE() << json << " was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(part));
    EXPECT_THAT(error.what(), HasSubstr("t.json: task"));
  }
}

TEST(MakeTask, NamesWhatItRefuses) {
  ExpectRefused(R"({"name":"partiy"})", "name");
  ExpectRefused(R"({"name":"parity","bits":-3})", "bits");
  ExpectRefused(R"({"name":"parity","bits":[20,10]})", "bits");
  ExpectRefused(R"({"name":"parity","bist":10})", "bist");
  ExpectRefused(R"({"name":"digit_sum","modulus":"ten"})", "modulus");
}

}  // namespace
}  // namespace reckon
