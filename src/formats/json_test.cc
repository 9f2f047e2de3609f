#include "formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "base/files.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string MessageOf(const std::function<void()>& action, ErrorKind kind) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::string ParseFailure(std::string_view text, int max_depth = 100) {
  return MessageOf([&] { ParseJson(text, "a.json", max_depth); }, ErrorKind::kCorrupt);
}

TEST(ParseJson, KeepsTheOrderOfKeysAndEveryKindOfValue) {
  const Json json = ParseJson(R"({"z": [1, -2, 2.5, "é", null, true], "a": {}})", "a.json");
  EXPECT_EQ(json.dump(), R"({"z":[1,-2,2.5,"é",null,true],"a":{}})");
  EXPECT_TRUE(json["z"][0].is_number_integer());
  EXPECT_TRUE(json["z"][2].is_number_float());
  EXPECT_EQ(ParseJson(" 3 ", "a.json"), Json(3));
}

TEST(ParseJson, SaysLineAndColumnOfASyntaxError) {
  EXPECT_THAT(ParseFailure("{\n  \"a\": 1,\n  \"b\" 2\n}"),
              StartsWith("a.json: line 3, column 7: "));
  EXPECT_THAT(ParseFailure("{} x"), HasSubstr("line 1, column 4"));
  EXPECT_THAT(ParseFailure(""), HasSubstr("empty"));
  EXPECT_THAT(ParseFailure("[1, 2"), HasSubstr("unexpected end of input"));
}

TEST(ParseJson, RefusesWhatTheGrammarDoesNotKnow) {
  for (const char* text : {"{'a': 1}", "[1,]", "NaN", "[Infinity]", "{\"a\": 01}", "// c\n1", "+1",
                           "\"\\x\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "[1e999]"}) {
    EXPECT_THAT(ParseFailure(text), StartsWith("a.json: line ")) << text;
  }
}

TEST(ParseJson, RefusesADuplicateKeyAndSaysWhere) {
  EXPECT_THAT(ParseFailure("{\"a\": 1,\n \"a\": 2}"),
              ::testing::AllOf(HasSubstr("line 2"), HasSubstr("duplicate key \"a\"")));
  EXPECT_NO_THROW(ParseJson(R"({"a": {"a": 1}, "b": {"a": 1}})", "a.json"));
}

TEST(ParseJson, RefusesNestingBeyondTheLimit) {
  EXPECT_NO_THROW(ParseJson("[[[]]]", "a.json", 3));
  EXPECT_THAT(ParseFailure("[[[[]]]]", 3), HasSubstr("nested deeper than 3 levels"));
  EXPECT_THAT(ParseFailure(std::string(1000000, '[')), HasSubstr("nested deeper"));
}

TEST(ParseJson, ReadsAVocabularyInLinearTime) {
  std::string text = "{\"x\": {";
  for (int i = 0; i < 200000; ++i) text += "\"token" + std::to_string(i) + "\": 1,";
  text.back() = '}';
  EXPECT_EQ(ParseJson(text + "}", "a.json")["x"].size(), 200000u);
}

TEST(JsonFile, IsReadAsItWasWritten) {
  const std::string path = ::testing::TempDir() + "/reckon_json_test.json";
  const Json json = {{"b", 1}, {"a", {1.5, "two"}}};
  WriteJsonFile(path, json);
  EXPECT_EQ(ReadJsonFile(path), json);
  EXPECT_EQ(ReadFile(path).back(), '\n');
  EXPECT_THAT(MessageOf([&] { WriteJsonFile(path, Json("\xff")); }, ErrorKind::kInvalidArgument),
              HasSubstr(path));
  EXPECT_EQ(ReadJsonFile(path), json);
  MessageOf([] { ReadJsonFile("/nowhere/x.json"); }, ErrorKind::kNotFound);
}

class ObjectReaderTest : public ::testing::Test {
 protected:
  std::string Failure(const std::function<void(ObjectReader&)>& action) {
    ObjectReader reader(json_, "recipe.json: stages[1]");
    return MessageOf([&] { action(reader); }, ErrorKind::kInvalidArgument);
  }
  const Json json_ = ParseJson(
      R"({"learning_rate": "fast", "steps": 1.5, "huge": 18446744073709551615, "n": -3,
          "x": 0.25, "name": "rl", "names": ["a", 1], "on": 1, "none": null, "whole": 7})",
      "recipe.json");
};

TEST_F(ObjectReaderTest, ReadsValuesAndFallsBackWhereTheyAreAbsentOrNull) {
  ObjectReader reader(json_, "recipe.json");
  EXPECT_EQ(reader.Int("n", -5, 5), -3);
  EXPECT_EQ(reader.Number("x", 0, 1), 0.25);
  EXPECT_EQ(reader.Number("whole", 0, 10), 7);
  EXPECT_EQ(reader.String("name"), "rl");
  EXPECT_EQ(reader.Choice("name", {"sft", "rl"}), "rl");
  EXPECT_EQ(reader.Int("absent", 1, 5, 4), 4);
  EXPECT_EQ(reader.Int("none", 1, 5, 4), 4);
  EXPECT_EQ(reader.Bool("absent", true), true);
  EXPECT_EQ(reader.String("absent", ""), "");
  EXPECT_EQ(reader.Strings("absent", std::vector<std::string>{"q"}).size(), 1u);
  EXPECT_FALSE(reader.Has("absent"));
  EXPECT_TRUE(reader.Has("none"));
  EXPECT_EQ(reader.Find("absent"), nullptr);
}

TEST_F(ObjectReaderTest, NamesThePathTheWantedTypeAndTheValueInItsMessages) {
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Number("learning_rate", 0, 1); }),
            "recipe.json: stages[1].learning_rate: expected a number, got \"fast\"");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Int("steps", 0, 10); }),
            "recipe.json: stages[1].steps: expected an integer from 0 to 10, got 1.5");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Int("huge", 0, std::numeric_limits<int64_t>::max()); }),
            "recipe.json: stages[1].huge: expected an integer of at least 0, got "
            "18446744073709551615");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Int("n", 0, 10); }),
            "recipe.json: stages[1].n: expected an integer from 0 to 10, got -3");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Number("x", 1, 2); }),
            "recipe.json: stages[1].x: expected a number from 1 to 2, got 0.25");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Bool("on"); }),
            "recipe.json: stages[1].on: expected true or false, got 1");
  EXPECT_EQ(Failure([](ObjectReader& r) {
              r.Choice("name", {"sft", "dpo"});
            }),
            "recipe.json: stages[1].name: expected one of \"sft\", \"dpo\", got \"rl\"");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.Strings("names"); }),
            "recipe.json: stages[1].names[1]: expected a string, got 1");
  EXPECT_EQ(Failure([](ObjectReader& r) { r.String("absent"); }),
            "recipe.json: stages[1].absent: missing");
}

TEST_F(ObjectReaderTest, RefusesNumbersThatAreNotFinite) {
  for (double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const Json json = {{"x", bad}};
    ObjectReader reader(json, "r");
    EXPECT_THROW(reader.Number("x", 0, std::numeric_limits<double>::infinity()), Error);
  }
}

TEST(ObjectReader, RefusesUnknownKeysWithTheNearestKnownOne) {
  const Json json = {{"learning_rat", 1}, {"steps", 2}};
  ObjectReader reader(json, "recipe.json");
  EXPECT_FALSE(reader.Has("learning_rate"));
  reader.Int("steps", 0, 10);
  EXPECT_EQ(MessageOf([&] { reader.Finish(); }, ErrorKind::kInvalidArgument),
            "recipe.json: learning_rat: unknown key; did you mean \"learning_rate\"? Known keys: "
            "\"learning_rate\", \"steps\"");
  EXPECT_TRUE(json.contains("learning_rat"));
  ObjectReader patient(json, "recipe.json");
  patient.Get("learning_rat");
  patient.Get("steps");
  EXPECT_NO_THROW(patient.Finish());
}

TEST(ObjectReader, DoesNotSuggestAKeyThatIsFarAway) {
  const Json json = {{"zzz", 1}};
  ObjectReader reader(json, "r.json");
  reader.Has("learning_rate");
  EXPECT_EQ(MessageOf([&] { reader.Finish(); }, ErrorKind::kInvalidArgument),
            "r.json: zzz: unknown key. Known keys: \"learning_rate\"");
}

TEST(ObjectReader, RefusesWhatIsNoObject) {
  const Json json = Json::array({1, 2});
  EXPECT_EQ(MessageOf([&] { ObjectReader(json, "r.json"); }, ErrorKind::kInvalidArgument),
            "r.json: expected an object, got [1,2]");
}

}  // namespace
}  // namespace reckon
