#include "model/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(GenerationConfig, HoldsWhatTheFileStatesAndNothingElse) {
  const GenerationConfig config = ParseGenerationConfig(
      Json::parse(R"({"do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": null,
                      "eos_token_id": [5, 7], "transformers_version": "4.39.3"})"),
      "generation_config.json");
  EXPECT_EQ(config.temperature, 0.6);
  EXPECT_EQ(config.top_p, 0.95);
  EXPECT_EQ(config.top_k, std::nullopt);
  EXPECT_EQ(config.min_p, std::nullopt);
  EXPECT_EQ(config.max_new_tokens, std::nullopt);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(5, 7));
}

TEST(GenerationConfig, WithoutSamplingIsGreedyWhateverTheTemperature) {
  const Json json = Json::parse(R"({"do_sample": false, "temperature": 0.6, "top_k": 20})");
  EXPECT_EQ(ParseGenerationConfig(json, "g").temperature, 0.0);
  EXPECT_EQ(ParseGenerationConfig(json, "g").top_k, 20);
}

TEST(GenerationConfig, NamesTheKeyOfAWrongValue) {
  const auto message = [](const char* text) -> std::string {
    try {
      ParseGenerationConfig(Json::parse(text), "g.json");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(R"({"temperature": "hot"})"), HasSubstr("g.json: temperature"));
  EXPECT_THAT(message(R"({"eos_token_id": [1, "x"]})"), HasSubstr("g.json: eos_token_id"));
  EXPECT_THAT(message(R"({"eos_token_id": 99999999999})"), HasSubstr("99999999999"));
}

TEST(EosTokenIds, AreOneSeveralOrNone) {
  const auto ids = [](const char* text) { return EosTokenIds(Json::parse(text), "c"); };
  EXPECT_THAT(ids(R"({"eos_token_id": 3})"), ElementsAre(3));
  EXPECT_THAT(ids(R"({"eos_token_id": [3, 1]})"), ElementsAre(3, 1));
  EXPECT_THAT(ids(R"({"eos_token_id": null})"), IsEmpty());
  EXPECT_THAT(ids(R"({"eos_token_id": -1})"), IsEmpty());
  EXPECT_THAT(ids("{}"), IsEmpty());
}

}  // namespace
}  // namespace reckon
