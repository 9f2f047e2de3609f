// The distribution that sampling draws from, against the reference of fixtures/sampling.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "formats/json.h"
#include "formats/safetensors.h"
#include "infer/generate.h"
#include "tests/golden/shared.h"

namespace reckon {
namespace {

// Probabilities are rounded to f32 (half a unit at 1 is 6e-8) from sums in double; the fixture's
// own tolerance, 1e-6, leaves a factor of ten.
constexpr double kTolerance = 1e-6;

SamplingParams ParamsOf(const Json& json) {
  SamplingParams params;
  params.temperature = json.at("temperature").get<float>();
  params.top_k = json.at("top_k").get<int64_t>();
  params.top_p = json.at("top_p").get<float>();
  params.min_p = json.at("min_p").get<float>();
  params.repetition_penalty = json.at("repetition_penalty").get<float>();
  params.frequency_penalty = json.at("frequency_penalty").get<float>();
  params.presence_penalty = json.at("presence_penalty").get<float>();
  return params;
}

TEST(SamplingGolden, EveryCaseHasTheReferenceProbabilitiesAndKeepsTheSameTokens) {
  const std::string folder = SharedPath("fixtures/sampling");
  if (!FileExists(folder + "/cases.json"))
    GTEST_SKIP() << folder << " is absent; set RECKON_SHARED";
  const Json cases = ReadJsonFile(folder + "/cases.json");
  const SafetensorsFile expected(folder + "/expected.safetensors");
  int compared = 0;
  for (const Json& c : cases.at("cases")) {
    const std::string name = c.at("name").get<std::string>();
    SCOPED_TRACE(name);
    const Tensor logits = expected.LoadF32(c.at("logits").get<std::string>());
    const Tensor probs = expected.LoadF32(c.at("probs").get<std::string>());
    int64_t kept = -1;
    const std::vector<float> got = SamplingDistribution(
        logits.floats(), ParamsOf(c), c.at("prompt_ids").get<std::vector<int32_t>>(),
        c.at("output_ids").get<std::vector<int32_t>>(), &kept);
    EXPECT_EQ(kept, c.at("kept").get<int64_t>());
    ASSERT_EQ(got.size(), probs.floats().size());
    for (size_t i = 0; i < got.size(); ++i) {
      const double difference = std::abs(double{got[i]} - double{probs.floats()[i]});
      EXPECT_TRUE(difference <= kTolerance)
          << "token " << i << ": " << got[i] << " instead of " << probs.floats()[i];
    }
    ++compared;
  }
  EXPECT_EQ(compared, 124);
}

}  // namespace
}  // namespace reckon
