#include "eval/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "data/source.h"

namespace reckon {
namespace {

struct Asked {
  size_t task;
  Problem problem;
  std::vector<int32_t> prompt_ids;
};

struct Graded {
  ParsedResponse parsed;
  std::string text;
  bool correct = false;
  int64_t tokens = 0;
};

std::vector<Asked> DrawProblems(const EvalConfig& config, const Model& model,
                                const Tokenizer& tokenizer) {
  std::vector<Asked> all;
  for (size_t t = 0; t < config.tasks.size(); ++t) {
    for (int64_t i = 0; i < config.problems; ++i) {
      Rng rng(config.seed, {StreamName("evaluate"), t, static_cast<uint64_t>(i)});
      Asked asked{t, config.tasks[t]->Generate(rng, config.split), {}};
      asked.prompt_ids =
          PromptIds(tokenizer, static_cast<int32_t>(model.config().bos_token_id), asked.problem);
      all.push_back(std::move(asked));
    }
  }
  return all;
}

// One request a problem (greedy) or `samples` (sampled).
std::vector<GenerateRequest> Requests(const EvalConfig& config, const Model& model,
                                      const std::vector<Asked>& problems, int64_t samples) {
  std::vector<GenerateRequest> requests;
  for (size_t p = 0; p < problems.size(); ++p) {
    GenerateRequest request;
    request.prompt_ids = problems[p].prompt_ids;
    const auto room =
        model.config().max_position_embeddings - static_cast<int64_t>(request.prompt_ids.size());
    request.max_new_tokens = std::min(config.max_completion_length, std::max<int64_t>(1, room));
    request.sampling.temperature = samples == 0 ? 0.0f : static_cast<float>(config.temperature);
    request.seed = config.seed;
    request.stop_ids = {static_cast<int32_t>(model.config().eos_token_id)};
    for (int64_t s = 0; s < std::max<int64_t>(samples, 1); ++s) {
      Rng rng(config.seed, {StreamName("evaluate-stream"), p, static_cast<uint64_t>(s)});
      request.stream = rng.Next();
      requests.push_back(request);
    }
  }
  return requests;
}

Graded Grade(const EvalConfig& config, const Tokenizer& tokenizer, const Asked& asked,
             const GenerateResult& result) {
  Graded graded;
  std::vector<int32_t> ids = result.token_ids;
  graded.tokens = static_cast<int64_t>(ids.size());
  if (result.finish == FinishReason::kStop && !ids.empty()) ids.pop_back();
  graded.text = tokenizer.Decode(ids);
  graded.parsed = ParseResponse(graded.text);
  graded.correct = result.finish == FinishReason::kStop && graded.parsed.well_formed &&
                   config.tasks[asked.task]->Grade(asked.problem, graded.parsed.answer);
  return graded;
}

// Sums over the problems of one task, or of all.
class Tally {
 public:
  void AddGreedy(const Graded& graded) {
    ++problems_;
    greedy_ += graded.correct ? 1 : 0;
    if (!sampled_) AddResponse(graded);
  }
  void AddSampled(const std::vector<Graded>& samples, int64_t k) {
    std::vector<std::string> answers;
    int64_t correct = 0;
    for (const Graded& graded : samples) {
      AddResponse(graded);
      correct += graded.correct ? 1 : 0;
      answers.push_back(graded.parsed.well_formed ? graded.parsed.answer : "");
    }
    const int64_t n = static_cast<int64_t>(samples.size());
    share_.push_back(static_cast<double>(correct) / static_cast<double>(n));
    pass_at_k_.push_back(PassAtK(n, correct, k));
    const int64_t vote = MajorityVote(answers, k);
    majority_ += vote >= 0 && samples[static_cast<size_t>(vote)].correct ? 1 : 0;
  }
  void ExpectSamples() { sampled_ = true; }

  TaskScore Score(const std::string& name, uint64_t seed) const {
    TaskScore score;
    score.task = name;
    score.problems = problems_;
    const double n = static_cast<double>(std::max<int64_t>(problems_, 1));
    score.pass1_greedy = static_cast<double>(greedy_) / n;
    score.pass1_greedy_interval = WilsonInterval(greedy_, problems_);
    score.pass1_sampled = Mean(share_);
    score.pass1_sampled_interval = BootstrapInterval(share_, seed);
    score.pass_at_k = Mean(pass_at_k_);
    score.pass_at_k_interval = BootstrapInterval(pass_at_k_, seed);
    score.maj_at_k = static_cast<double>(majority_) / n;
    score.maj_at_k_interval = WilsonInterval(majority_, problems_);
    const double responses = static_cast<double>(std::max<int64_t>(responses_, 1));
    score.mean_response_tokens = static_cast<double>(tokens_) / responses;
    score.well_formed_share = static_cast<double>(well_formed_) / responses;
    score.long_share = static_cast<double>(long_) / responses;
    return score;
  }

 private:
  void AddResponse(const Graded& graded) {
    ++responses_;
    tokens_ += graded.tokens;
    well_formed_ += graded.parsed.well_formed ? 1 : 0;
    long_ += graded.parsed.reasoning.empty() ? 0 : 1;
  }

  bool sampled_ = false;
  int64_t problems_ = 0, greedy_ = 0, majority_ = 0;
  int64_t responses_ = 0, tokens_ = 0, well_formed_ = 0, long_ = 0;
  std::vector<double> share_, pass_at_k_;
};

void CountWork(const std::vector<GenerateRequest>& requests,
               const std::vector<GenerateResult>& results, EvalResult& out) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const int64_t prompt = static_cast<int64_t>(requests[i].prompt_ids.size());
    const int64_t total = prompt + static_cast<int64_t>(results[i].token_ids.size()) - 1;
    const bool shared = i > 0 && requests[i].prompt_ids == requests[i - 1].prompt_ids;
    const int64_t first = shared ? prompt : 0;
    out.prompt_tokens += shared ? 0 : prompt;
    out.generated_tokens += static_cast<int64_t>(results[i].token_ids.size());
    out.attention_pairs += total * (total + 1) / 2 - first * (first + 1) / 2;
  }
}

// Answers that were cut off would count as wrong.
void StopIfInterrupted() {
  if (!Interrupted()) return;
  Throw(ErrorKind::kCancelled,
        "evaluation: interrupted, nothing of it is kept; the same command goes on by evaluating "
        "again");
}

Json IntervalJson(const Interval& interval) { return {interval.low, interval.high}; }

Json ScoreJson(const TaskScore& s, int64_t k) {
  Json json = {{"task", s.task},
               {"problems", s.problems},
               {"pass1_greedy", s.pass1_greedy},
               {"pass1_greedy_ci95", IntervalJson(s.pass1_greedy_interval)}};
  if (k > 0) {
    json["pass1_sampled"] = s.pass1_sampled;
    json["pass1_sampled_ci95"] = IntervalJson(s.pass1_sampled_interval);
    json["k"] = k;
    json["pass_at_k"] = s.pass_at_k;
    json["pass_at_k_ci95"] = IntervalJson(s.pass_at_k_interval);
    json["maj_at_k"] = s.maj_at_k;
    json["maj_at_k_ci95"] = IntervalJson(s.maj_at_k_interval);
  }
  json["mean_response_tokens"] = s.mean_response_tokens;
  json["well_formed_share"] = s.well_formed_share;
  json["long_share"] = s.long_share;
  return json;
}

}  // namespace

EvalConfig ParseEvalConfig(ObjectReader& reader,
                           const std::vector<std::shared_ptr<const Task>>& fallback) {
  EvalConfig c;
  if (const Json* list = reader.Find("tasks"); list != nullptr || fallback.empty()) {
    const Json& tasks = reader.Get("tasks");
    if (!tasks.is_array() || tasks.empty()) {
      Throw(ErrorKind::kInvalidArgument, reader.PathOf("tasks") + ": expected a list of tasks");
    }
    for (size_t i = 0; i < tasks.size(); ++i) {
      c.tasks.push_back(MakeTask(tasks[i], fmt::format("{}[{}]", reader.PathOf("tasks"), i)));
    }
  } else {
    c.tasks = fallback;
  }
  c.problems = reader.Int("problems", 1, 1 << 24, c.problems);
  c.samples = reader.Int("samples", 0, 1 << 16, c.samples);
  c.k = reader.Int("k", 1, std::max<int64_t>(c.samples, 1), std::clamp<int64_t>(c.samples, 1, c.k));
  c.temperature = reader.Number("temperature", 0.01, 100, c.temperature);
  c.max_completion_length =
      reader.Int("max_completion_length", 1, 1 << 20, c.max_completion_length);
  c.max_batch = reader.Int("max_batch", 1, 1 << 16, c.max_batch);
  c.transcripts = reader.Int("transcripts", 0, 1 << 16, c.transcripts);
  return c;
}

EvalResult Evaluate(const Runtime& rt, Model& model, const Tokenizer& tokenizer,
                    const EvalConfig& config,
                    const std::function<void(int64_t done, int64_t total)>& on_progress) {
  const double begin_s = MonotonicSeconds();
  const std::vector<Asked> problems = DrawProblems(config, model, tokenizer);
  GenerateOptions options;
  options.max_batch = config.max_batch;
  const auto greedy_requests = Requests(config, model, problems, 0);
  const auto sampled_requests = config.samples == 0
                                    ? std::vector<GenerateRequest>()
                                    : Requests(config, model, problems, config.samples);
  const int64_t total = static_cast<int64_t>(greedy_requests.size() + sampled_requests.size());
  int64_t before = 0;
  options.on_progress = [&](int64_t done, int64_t) {
    if (on_progress) on_progress(before + done, total);
  };
  EvalResult result;
  result.k = config.samples == 0 ? 0 : config.k;
  const auto greedy = Generate(rt, model, greedy_requests, options);
  StopIfInterrupted();
  CountWork(greedy_requests, greedy, result);
  before = static_cast<int64_t>(greedy_requests.size());
  const auto sampled = Generate(rt, model, sampled_requests, options);
  StopIfInterrupted();
  CountWork(sampled_requests, sampled, result);

  Tally all;
  std::vector<Tally> tallies(config.tasks.size());
  if (config.samples > 0) {
    all.ExpectSamples();
    for (Tally& tally : tallies) tally.ExpectSamples();
  }
  const size_t every = std::max<size_t>(
      1, problems.size() / static_cast<size_t>(std::max<int64_t>(config.transcripts, 1)));
  for (size_t p = 0; p < problems.size(); ++p) {
    const Graded graded = Grade(config, tokenizer, problems[p], greedy[p]);
    all.AddGreedy(graded);
    tallies[problems[p].task].AddGreedy(graded);
    if (p % every == 0 && static_cast<int64_t>(result.transcripts.size()) < config.transcripts) {
      const Problem& problem = problems[p].problem;
      result.transcripts.push_back({problem.task, problem.prompt, graded.text, graded.correct});
    }
    if (config.samples == 0) continue;
    std::vector<Graded> samples;
    for (int64_t s = 0; s < config.samples; ++s) {
      const size_t at = p * static_cast<size_t>(config.samples) + static_cast<size_t>(s);
      samples.push_back(Grade(config, tokenizer, problems[p], sampled[at]));
    }
    all.AddSampled(samples, config.k);
    tallies[problems[p].task].AddSampled(samples, config.k);
  }
  result.all = all.Score("all", config.seed);
  for (size_t t = 0; t < tallies.size(); ++t) {
    result.tasks.push_back(tallies[t].Score(config.tasks[t]->name(), config.seed));
  }
  result.seconds = MonotonicSeconds() - begin_s;
  return result;
}

Json ToJson(const EvalResult& result) {
  Json json = ScoreJson(result.all, result.k);
  json["seconds"] = result.seconds;
  json["generated_tokens"] = result.generated_tokens;
  json["tasks"] = Json::array();
  for (const TaskScore& score : result.tasks) json["tasks"].push_back(ScoreJson(score, result.k));
  json["transcripts"] = Json::array();
  for (const Transcript& t : result.transcripts) {
    json["transcripts"].push_back(
        {{"task", t.task}, {"prompt", t.prompt}, {"response", t.response}, {"correct", t.correct}});
  }
  return json;
}

}  // namespace reckon
