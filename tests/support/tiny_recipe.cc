#include "tests/support/tiny_recipe.h"

#include <utility>

#include "base/files.h"
#include "model/weights.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

namespace reckon {
namespace {

constexpr const char* kModel = R"({
  "model_type": "deepseek_v3", "hidden_size": 32, "num_hidden_layers": 2,
  "first_k_dense_replace": 1, "num_attention_heads": 2, "q_lora_rank": 16, "kv_lora_rank": 8,
  "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "intermediate_size": 48,
  "moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2,
  "n_shared_experts": 1, "num_nextn_predict_layers": 1, "max_position_embeddings": 64,
  "initializer_range": 0.1})";

// What the answers look like is learnt in a few steps, so that rewards differ and GRPO has
// something to learn from.
constexpr const char* kRecipe = R"({
  "name": "tiny", "seed": 5,
  "tokenizer": {"type": "bpe", "files": ["text.txt"], "vocab_size": 280},
  "price_usd_per_hour": 0.08, "price_source": "a test",
  "tasks": [{"name": "parity", "bits": 8}],
  "eval": {"problems": 16, "samples": 2, "k": 2, "max_completion_length": 8},
  "stages": [
    {"name": "base", "kind": "pretrain", "steps": 24, "checkpoint_every_steps": 5,
     "learning_rate": 0.01, "evaluate": false, "validate_every_steps": 7, "validation_batches": 2,
     "bias_update_speed": 0.001,
     "data": {"type": "text", "files": ["text.txt"], "seq_len": 32, "batch_size": 4}},
    {"name": "tuned", "kind": "sft", "steps": 60, "checkpoint_every_steps": 9,
     "learning_rate": 0.01, "schedule": "constant", "balance_alpha": 0.001,
     "data": {"type": "tasks", "batch_size": 8,
              "tasks": [{"task": {"name": "parity", "bits": 8}, "long_probability": 0}]}},
    {"name": "grpo", "kind": "rl", "steps": 24, "checkpoint_every_steps": 4,
     "prompts_per_step": 6, "num_generations": 4, "temperature": 1.5, "max_completion_length": 8,
     "learning_rate": 0.002, "beta": 0.05, "ref_model_sync_steps": 5, "num_iterations": 2,
     "num_mini_batches": 2, "tasks": [{"task": {"name": "parity", "bits": 8}}]}
  ]})";

std::string SomeText() {
  const char* words[] = {"the",  "weights", "of",     "a",   "run",
                         "that", "was",     "killed", "are", "same"};
  std::string text;
  for (int i = 0; i < 600; ++i) text += std::string(words[(i * i + i / 7) % 10]) + " ";
  return text;
}

// Reasoning is dropped, as R1's template does.
constexpr const char* kChatTemplate =
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]<think>\n{% endif %}";

void WriteCharacterModel(const std::string& folder, const std::string& alphabet, Json config) {
  MakeFolders(folder);
  const Json tokenizer = MakeCharTokenizer(alphabet, {"<bos>", "<eos>", "<think>", "</think>"});
  WriteJsonFile(folder + "/tokenizer.json", tokenizer);
  config["vocab_size"] = Tokenizer::FromJson(tokenizer, "tokenizer").vocab_size();
  config["bos_token_id"] = 0;
  Model model(ParseModelConfig(config, "tiny"));
  model.Initialize(1);
  SaveModel(model, folder);
}

}  // namespace

Json TinyModel() { return Json::parse(kModel); }

Json TinyRecipe() {
  Json recipe = Json::parse(kRecipe);
  recipe["model"] = TinyModel();
  if (kSanitized) {
    for (Json& stage : recipe["stages"]) stage["steps"] = stage["steps"].get<int>() / 3;
  }
  return recipe;
}

std::string WriteTinyRecipe(const std::string& folder, const Json& recipe) {
  MakeFolders(folder);
  WriteFileAtomically(folder + "/text.txt", SomeText());
  WriteJsonFile(folder + "/recipe.json", recipe);
  return folder + "/recipe.json";
}

void WriteTinyModel(const std::string& folder) {
  Json config = TinyModel();
  config["eos_token_id"] = 1;
  WriteCharacterModel(folder, "0123456789p:=", std::move(config));
}

void WriteTinyChatModel(const std::string& folder) {
  Json config = TinyModel();
  config["max_position_embeddings"] = 1 << 17;
  std::string alphabet = "\n";
  for (char c = ' '; c <= '~'; ++c) alphabet += c;
  WriteCharacterModel(folder, alphabet, std::move(config));
  WriteJsonFile(folder + "/tokenizer_config.json",
                {{"bos_token", "<bos>"}, {"chat_template", kChatTemplate}});
}

}  // namespace reckon
