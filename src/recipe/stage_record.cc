#include "recipe/stage_record.h"

#include <initializer_list>
#include <set>

#include "train/supervised.h"

namespace reckon {
namespace {

// Copies the keys that are there.
void Copy(const Json& from, std::initializer_list<const char*> keys, Json& to) {
  for (const char* key : keys) {
    if (from.contains(key)) to[key] = from[key];
  }
}

Json TaskSummaries(const Json& eval) {
  Json tasks = Json::array();
  for (const Json& score : eval.value("tasks", Json::array())) {
    Json& task = tasks.emplace_back(Json::object());
    Copy(score,
         {"task", "problems", "pass1_greedy", "pass1_greedy_ci95", "pass1_sampled",
          "pass1_sampled_ci95", "mean_response_tokens"},
         task);
  }
  return tasks;
}

}  // namespace

Json StageRecord::ToJson() const {
  return {{"name", name},
          {"kind", kind},
          {"steps", steps},
          {"seconds", seconds},
          {"evaluation_seconds", evaluation_seconds},
          {"precision", precision},
          {"data_sha256", data_hash},
          {"weight_sha256", weight_hash},
          {"trained", reckon::ToJson(trained)},
          {"sampled", reckon::ToJson(sampled)},
          {"evaluated", reckon::ToJson(evaluated)},
          {"generated_tokens", generated_tokens},
          {"figures", figures},
          {"eval", eval}};
}

StageRecord StageRecord::FromFile(const std::string& path) {
  const Json json = ReadJsonFile(path);
  ObjectReader reader(json, path);
  StageRecord r;
  r.name = reader.String("name");
  r.kind = reader.String("kind");
  r.steps = reader.Int("steps", 0, int64_t{1} << 60);
  r.seconds = reader.Number("seconds", 0, 1e12);
  r.evaluation_seconds = reader.Number("evaluation_seconds", 0, 1e12);
  r.precision = reader.String("precision");
  r.data_hash = reader.String("data_sha256");
  r.weight_hash = reader.String("weight_sha256");
  r.trained = ParseWork(reader.Get("trained"));
  r.sampled = ParseWork(reader.Get("sampled"));
  r.evaluated = ParseWork(reader.Get("evaluated"));
  r.generated_tokens = reader.Int("generated_tokens", 0, int64_t{1} << 60);
  r.figures = reader.Get("figures");
  r.eval = reader.Get("eval");
  return r;
}

Json StageRecord::Summary() const {
  Json json = {{"name", name}, {"kind", kind}};
  for (const char* key : {"pass1_greedy", "pass1_sampled", "mean_response_tokens"}) {
    json[key] = eval.is_object() && eval.contains(key) ? eval[key] : Json();
  }
  if (eval.is_object()) {
    Copy(eval,
         {"problems", "pass1_greedy_ci95", "pass1_sampled_ci95", "k", "pass_at_k", "maj_at_k",
          "well_formed_share", "long_share"},
         json);
    json["tasks"] = TaskSummaries(eval);
  }
  json.update(figures);
  json["steps"] = steps;
  json["seconds"] = seconds;
  json["evaluation_seconds"] = evaluation_seconds;
  return json;
}

Json StageRecord::Examples() const {
  Json examples = Json::array();
  if (!eval.is_object()) return examples;
  std::set<std::string> shown;
  for (const Json& transcript : eval.value("transcripts", Json::array())) {
    const std::string task = transcript.value("task", "");
    if (!shown.insert(task).second) continue;
    examples.push_back({{"task", task}, {"prompt", transcript.value("prompt", "")}});
  }
  return examples;
}

}  // namespace reckon
