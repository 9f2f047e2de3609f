// The mean nll of real texts under the trained models of shared data, on which llama2.c,
// transformers and llama.cpp agree to 3e-7 (the data's SOURCE.md).

#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "formats/json.h"
#include "model/weights.h"
#include "tests/golden/shared.h"
#include "tests/support/tiny_recipe.h"
#include "text/tokenizer.h"

namespace reckon {
namespace {

constexpr double kNllTolerance = 1e-6;

struct NllCase {
  const char* model;
  bool gguf;
};
void PrintTo(const NllCase& c, std::ostream* out) { *out << c.model << (c.gguf ? " gguf" : ""); }

class StatedNll : public testing::TestWithParam<NllCase> {};

TEST_P(StatedNll, IsMeasured) {
  const std::string name = GetParam().model, folder = SharedPath("data/weights/" + name);
  if (!FileExists(folder + "/expected.json")) GTEST_SKIP() << "nothing at " << folder;
  const std::string path = GetParam().gguf ? folder + "/" + name + ".f32.gguf" : folder;
  const auto model = LoadModel(path);
  const Tokenizer tokenizer = Tokenizer::FromFile(path);
  const RuntimeOwner runtime(2);
  const Json expected = ReadJsonFile(folder + "/expected.json");
  for (const Json& stated : expected.at("nll")) {
    const std::string text = SharedPath("data/" + stated.at("file").get<std::string>());
    if (!FileExists(text)) GTEST_SKIP() << "nothing at " << text;
    // Some ten seconds of work in an ordinary build.
    if (kSanitized && stated.at("n_predicted").get<int64_t>() > 1000) continue;
    const std::vector<int32_t> ids = tokenizer.Encode(ReadFile(text));
    EXPECT_EQ(ids.size(), stated.at("n_ids_of_file").get<size_t>()) << text;
    PerplexityOptions options;
    options.context = model->config().max_position_embeddings;
    options.max_windows = stated.at("n_windows").get<int64_t>();
    options.bos_token_id = tokenizer.bos_id().value_or(-1);
    const PerplexityResult result = MeasurePerplexity(runtime.get(), *model, ids, options);
    EXPECT_EQ(result.n_predicted, stated.at("n_predicted").get<int64_t>()) << text;
    EXPECT_NEAR(result.mean_nll, stated.at("mean_nll").get<double>(), kNllTolerance) << text;
    // Stated to 5 decimals.
    EXPECT_NEAR(result.perplexity, stated.at("perplexity").get<double>(),
                5e-6 + kNllTolerance * result.perplexity)
        << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StatedNll,
                         testing::Values(NllCase{"stories260k", false},
                                         NllCase{"stories260k", true}, NllCase{"babyllama", false},
                                         NllCase{"babyllama", true}),
                         [](const auto& test) {
                           return std::string(test.param.model) +
                                  (test.param.gguf ? "_gguf" : "_safetensors");
                         });

}  // namespace
}  // namespace reckon
