#include "infer/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "base/error.h"
#include "model/tiny_model.h"
#include "ops/elementwise.h"
#include "ops/log_prob.h"

namespace reckon {
namespace {

ModelConfig ConfigWithEnds() {
  ModelConfig config = TinyConfig();
  config.bos_token_id = 0;
  config.eos_token_id = 1;
  return config;
}

// Nine requests over four prompts of different lengths, some of them shared, with different limits.
std::vector<GenerateRequest> MixedRequests() {
  const std::vector<std::vector<int32_t>> prompts = {
      {0, 5, 6},
      {0, 7},
      {0, 2, 3, 4, 5, 6, 7, 8, 9,  10, 11, 12, 13, 14, 15, 16, 17, 18,
       2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18},
      {0, 18, 17, 16}};
  const size_t prompt_of[] = {0, 1, 0, 2, 2, 3, 0, 2, 1};
  const int64_t limits[] = {20, 1, 35, 17, 40, 9, 12, 33, 20};
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 9; ++i) {
    GenerateRequest request;
    request.prompt_ids = prompts[prompt_of[i]];
    request.max_new_tokens = limits[i];
    request.seed = 11;
    request.stream = i;
    request.stop_ids = {1};
    request.sampling.temperature = i % 3 == 0 ? 0.8f : 1.0f;
    if (i == 4) request.sampling.top_k = 5;
    if (i == 5) request.sampling.temperature = 0;
    requests.push_back(request);
  }
  return requests;
}

void ExpectSame(const std::vector<GenerateResult>& a, const std::vector<GenerateResult>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "request " << i);
    EXPECT_EQ(a[i].token_ids, b[i].token_ids);
    EXPECT_EQ(a[i].finish, b[i].finish);
    ASSERT_EQ(a[i].logprobs.size(), b[i].logprobs.size());
    for (size_t t = 0; t < a[i].logprobs.size(); ++t) {
      EXPECT_EQ(std::bit_cast<uint32_t>(a[i].logprobs[t]),
                std::bit_cast<uint32_t>(b[i].logprobs[t]));
      EXPECT_EQ(std::bit_cast<uint32_t>(a[i].entropy[t]), std::bit_cast<uint32_t>(b[i].entropy[t]));
    }
  }
}

class GenerateTest : public testing::Test {
 protected:
  GenerateTest() : model_(ConfigWithEnds()) { model_.Initialize(7); }
  std::vector<GenerateResult> Run(const std::vector<GenerateRequest>& requests, int64_t max_batch,
                                  int64_t prefill_chunk, int threads = 1) {
    const RuntimeOwner runtime(threads);
    GenerateOptions options;
    options.max_batch = max_batch;
    options.prefill_chunk = prefill_chunk;
    return Generate(runtime.get(), model_, requests, options);
  }
  Model model_;
};

TEST_F(GenerateTest, ResultsDoNotDependOnTheBatch) {
  const auto alone = Run(MixedRequests(), 1, 512);
  for (int64_t max_batch : {2, 3, 8, 64}) {
    SCOPED_TRACE(max_batch);
    ExpectSame(alone, Run(MixedRequests(), max_batch, 512));
  }
}

TEST_F(GenerateTest, ResultsDoNotDependOnTheChunksOfAPrompt) {
  const auto whole = Run(MixedRequests(), 4, 512);
  for (int64_t prefill_chunk : {1, 3, 32, 33}) {
    SCOPED_TRACE(prefill_chunk);
    ExpectSame(whole, Run(MixedRequests(), 4, prefill_chunk));
  }
}

TEST_F(GenerateTest, ResultsDoNotDependOnTheThreads) {
  ExpectSame(Run(MixedRequests(), 8, 16, 1), Run(MixedRequests(), 8, 16, 2));
}

TEST_F(GenerateTest, ASharedPromptGivesWhatItGivesAlone) {
  const auto requests = MixedRequests();
  const auto together = Run(requests, 3, 8);
  for (size_t i = 0; i < requests.size(); ++i) {
    ExpectSame({together[i]}, Run({requests[i]}, 1, 512));
  }
}

TEST_F(GenerateTest, RecordedLogProbabilitiesAreThoseOfTheTrainingForwardBitForBit) {
  const auto requests = MixedRequests();
  const auto results = Run(requests, 4, 8);
  const RuntimeOwner runtime(2);
  const Runtime& rt = runtime.get();
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(testing::Message() << "request " << i);
    std::vector<int32_t> ids = requests[i].prompt_ids;
    const auto prompt = static_cast<int64_t>(ids.size());
    ids.insert(ids.end(), results[i].token_ids.begin(), results[i].token_ids.end());
    Batch batch;  // beside another sequence, as in a packed micro-batch
    batch.Append(std::vector<int32_t>{3, 4, 5});
    batch.Append({ids.data(), ids.size() - 1});
    std::vector<int64_t> rows;
    for (size_t t = 0; t < results[i].token_ids.size(); ++t) {
      rows.push_back(3 + prompt - 1 + static_cast<int64_t>(t));
    }
    const float temperature = requests[i].sampling.temperature;
    Tape tape;
    const Variable hidden = model_.Forward(rt, &tape, batch);
    const Variable logits = model_.Logits(rt, &tape, GatherRows(rt, &tape, hidden, rows));
    const LogProbs trained = TokenLogProbs(rt, &tape, logits, results[i].token_ids,
                                           temperature == 0 ? 1.0f : temperature);
    for (size_t t = 0; t < rows.size(); ++t) {
      EXPECT_EQ(std::bit_cast<uint32_t>(trained.values.value().row(static_cast<int64_t>(t))[0]),
                std::bit_cast<uint32_t>(results[i].logprobs[t]));
      EXPECT_EQ(std::bit_cast<uint32_t>(trained.entropy[t]),
                std::bit_cast<uint32_t>(results[i].entropy[t]));
    }
  }
}

TEST_F(GenerateTest, AStopTokenEndsASequenceAndIsPartOfIt) {
  auto requests = MixedRequests();
  const std::vector<int32_t> free_run = Run({requests[6]}, 1, 512)[0].token_ids;
  requests[6].stop_ids = {free_run[3]};
  const GenerateResult stopped = Run({requests[6]}, 1, 512)[0];
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.token_ids.back(), free_run[3]);
  EXPECT_LE(stopped.token_ids.size(), 4u);
  EXPECT_EQ(Run({requests[1]}, 1, 512)[0].token_ids.size(), 1u);
}

TEST_F(GenerateTest, ACallbackSeesEveryTokenInOrderAndCanCancelOneRequest) {
  const auto requests = MixedRequests();
  const auto undisturbed = Run(requests, 4, 512);
  ASSERT_GE(undisturbed[2].token_ids.size(), 3u);
  std::vector<std::vector<int32_t>> seen(requests.size());
  std::vector<int64_t> progress;
  GenerateOptions options;
  options.max_batch = 4;
  options.on_token = [&](int64_t request, int32_t token) {
    auto& tokens = seen[static_cast<size_t>(request)];
    tokens.push_back(token);
    return !(request == 2 && tokens.size() == 2);
  };
  options.on_progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 9);
    progress.push_back(done);
  };
  const RuntimeOwner runtime(1);
  const auto results = Generate(runtime.get(), model_, requests, options);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(seen[i], results[i].token_ids);
    if (i == 2) continue;
    EXPECT_EQ(results[i].token_ids, undisturbed[i].token_ids);
  }
  EXPECT_EQ(results[2].finish, FinishReason::kCancelled);
  EXPECT_EQ(results[2].token_ids.size(), 2u);
  EXPECT_THAT(progress, testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

// A conversation of three turns: the second prompt goes on from the first's answer, the third
// departs from the second within its answer, as where a template drops the reasoning.
TEST_F(GenerateTest, AKeptSequenceSavesItsCommonBeginAndChangesNoBit) {
  const RuntimeOwner runtime(1);
  KeptSequence kept;
  GenerateOptions options;
  options.kept = &kept;
  GenerateRequest request;
  request.prompt_ids = {0, 5, 6, 7, 8};
  request.seed = 3;
  request.max_new_tokens = 12;
  const auto turn = [&](int64_t reused) {
    const auto with = Generate(runtime.get(), model_, {request}, options);
    EXPECT_EQ(kept.reused, reused);
    ExpectSame(with, Run({request}, 1, 512));
    return with[0].token_ids;
  };
  std::vector<int32_t> answer = turn(0);
  ASSERT_EQ(answer.size(), 12u);
  const std::vector<int32_t> first = request.prompt_ids;
  request.prompt_ids.insert(request.prompt_ids.end(), answer.begin(), answer.end());
  request.prompt_ids.push_back(9);
  request.max_new_tokens = 60;  // more than the first cache holds
  turn(5 + 11);                 // the last token drawn was never fed
  request.prompt_ids = first;
  request.prompt_ids.insert(request.prompt_ids.end(), answer.begin(), answer.begin() + 4);
  request.prompt_ids.push_back((answer[4] + 1) % 29);
  request.max_new_tokens = 20;
  turn(5 + 4);
  turn(9);  // the whole prompt is known, its last token is fed for the logits
}

TEST_F(GenerateTest, ACancelledSequenceIsKeptAsFarAsItCame) {
  const RuntimeOwner runtime(1);
  KeptSequence kept;
  GenerateOptions options;
  options.kept = &kept;
  int64_t tokens = 0;
  options.on_token = [&](int64_t, int32_t) { return ++tokens < 4; };
  GenerateRequest request;
  request.prompt_ids = {0, 5, 6};
  request.max_new_tokens = 20;
  const auto part = Generate(runtime.get(), model_, {request}, options);
  EXPECT_EQ(part[0].finish, FinishReason::kCancelled);
  EXPECT_EQ(kept.token_ids.size(), 3u + 3u);
  options.on_token = nullptr;
  ExpectSame(Generate(runtime.get(), model_, {request}, options), Run({request}, 1, 512));
  EXPECT_EQ(kept.reused, 2);
}

TEST_F(GenerateTest, ImpossibleRequestsAreRefusedWithTheirNumbers) {
  const auto message = [&](const GenerateRequest& request) -> std::string {
    try {
      Run({request}, 1, 512);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  GenerateRequest request;
  EXPECT_THAT(message(request), testing::HasSubstr("empty prompt"));
  request.prompt_ids = {0, 2};
  request.max_new_tokens = 0;
  EXPECT_THAT(message(request), testing::HasSubstr("max_new_tokens 0"));
  request.max_new_tokens = 127;
  EXPECT_THAT(message(request), testing::HasSubstr("max_position_embeddings 128"));
  request.max_new_tokens = 126;
  EXPECT_EQ(message(request), "");
  EXPECT_TRUE(Run({}, 1, 512).empty());
}

}  // namespace
}  // namespace reckon
