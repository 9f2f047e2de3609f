// reckon inspect: what a model is, what it takes, and what of it fits this machine.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cost/checkpoint.h"
#include "cost/flops.h"
#include "cost/model_bytes.h"
#include "formats/gguf_config.h"
#include "formats/json.h"
#include "text/chat_template.h"

namespace reckon {
namespace {

constexpr int64_t kDefaultContext = 4096;

struct InspectCommand {
  std::string path;
  int64_t context = 0;  // 0: the default
  bool json = false;
};

// What PATH holds.
struct Inspected {
  ModelConfig config;
  std::optional<CheckpointSummary> checkpoint;
  Json tokenizer, chat_template;  // where they are; null: nowhere
};

Inspected InspectGguf(const std::string& path) {
  const GgufModel model(path);
  Inspected inspected;
  inspected.config = ParseModelConfig(ConfigFromGguf(model), path);
  inspected.checkpoint = Summarize(model, inspected.config.tie_word_embeddings);
  const GgufFile& metadata = model.metadata();
  if (metadata.HasKey("tokenizer.ggml.tokens")) {
    inspected.tokenizer =
        fmt::format("in the file ({}, {})", metadata.String("tokenizer.ggml.model", "no name"),
                    metadata.String("tokenizer.ggml.pre", "default"));
  }
  if (metadata.HasKey("tokenizer.chat_template")) inspected.chat_template = "in the file";
  return inspected;
}

Inspected InspectFolder(const std::string& folder) {
  const auto has = [&](const char* name) { return FileExists(folder + "/" + name); };
  const std::string config = folder + "/config.json";
  Inspected inspected;
  inspected.config = ParseModelConfig(ReadJsonFile(config), config);
  if (has("model.safetensors") || has("model.safetensors.index.json")) {
    inspected.checkpoint =
        Summarize(SafetensorsFolder(folder), inspected.config.tie_word_embeddings);
  }
  for (const char* name : {"tokenizer.model", "tokenizer.json"}) {
    if (has(name)) inspected.tokenizer = name;
  }
  const FolderTemplate chat = FindTemplateOfFolder(folder);
  if (!chat.source.is_null()) {
    inspected.chat_template = std::filesystem::path(chat.path).filename().string();
  }
  return inspected;
}

Inspected Inspect(const std::string& path) {
  if (std::filesystem::is_directory(path)) return InspectFolder(path);
  if (path.ends_with(".gguf")) return InspectGguf(path);
  if (!path.ends_with(".json")) {
    const bool there = std::filesystem::exists(path);
    Throw(there ? ErrorKind::kUnsupported : ErrorKind::kNotFound,
          fmt::format("{}: {}; give a Hugging Face folder, a config.json or a .gguf file", path,
                      there ? "is none of what can be inspected" : "there is nothing here"));
  }
  Inspected inspected;
  inspected.config = ParseModelConfig(ReadJsonFile(path), path);
  return inspected;
}

Json ParametersJson(const Inspected& inspected) {
  const ParameterCount count = CountParameters(inspected.config);
  Json json = {
      {"total", count.total},
      {"activated", count.activated},
      {"activated_without_embedding",
       inspected.config.tie_word_embeddings ? count.activated : count.activated - count.embedding},
      {"embedding", count.embedding},
      {"mtp", count.mtp_total}};
  if (inspected.checkpoint) json["in_files"] = inspected.checkpoint->parameters;
  return json;
}

Json CheckpointJson(const CheckpointSummary& checkpoint) {
  Json kinds = Json::array();
  for (const CheckpointSummary::Kind& kind : checkpoint.kinds) {
    kinds.push_back(Json{{"dtype", kind.dtype}, {"tensors", kind.tensors}, {"bytes", kind.bytes}});
  }
  return {{"tensors", checkpoint.tensors}, {"bytes", checkpoint.bytes}, {"dtypes", kinds}};
}

// For each format, whether the weights fit into what memory is to be had, and how many tokens of
// keys and values then fit beside them.
Json FitsJson(const ModelConfig& config, const KvBytes& kv, const MachineMemory& memory) {
  Json rows = Json::array();
  for (const FormatBytes& format : CountWeightBytes(config)) {
    const int64_t left = memory.available_bytes - format.bytes;
    const auto tokens = [&](int64_t bytes) {
      return bytes > 0 ? std::max<int64_t>(left, 0) / bytes : 0;
    };
    rows.push_back(Json{{"format", format.name},
                        {"weight_bytes", format.bytes},
                        {"fits", left >= 0},
                        {"kv_tokens", tokens(kv.in_cache)},
                        {"kv_tokens_bf16", tokens(kv.bf16)}});
  }
  return rows;
}

Json MakeReport(const InspectCommand& command, const Inspected& inspected) {
  const ModelConfig& config = inspected.config;
  const int64_t context = command.context != 0
                              ? command.context
                              : std::min(kDefaultContext, config.max_position_embeddings);
  if (context > config.max_position_embeddings) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("--context: {} is more than the model's max_position_embeddings, {}", context,
                      config.max_position_embeddings));
  }
  const Flops flops = ForwardFlops(config, SequenceWork(context - 1, 1, 1));
  const KvBytes kv = CountKvBytes(config);
  const MachineMemory memory = ReadMachineMemory();
  return {{"path", command.path},
          {"config", ToJson(config)},
          {"parameters", ParametersJson(inspected)},
          {"weights", inspected.checkpoint ? CheckpointJson(*inspected.checkpoint) : Json()},
          {"tokenizer", inspected.tokenizer},
          {"chat_template", inspected.chat_template},
          {"max_position_embeddings", config.max_position_embeddings},
          {"kv_bytes_per_token", {{"bf16", kv.bf16}, {"reckon", kv.in_cache}}},
          {"flops_per_token",
           {{"context", context},
            {"total", flops.total()},
            {"linear", flops.linear},
            {"attention", flops.attention},
            {"head", flops.head}}},
          {"memory",
           {{"total_bytes", memory.total_bytes}, {"available_bytes", memory.available_bytes}}},
          {"fits", FitsJson(config, kv, memory)}};
}

// "671B", "8.0B", "14.4M", rounded down as models' names are; "172" below a thousand.
std::string Short(int64_t count) {
  const char* units = " KMBT";
  int64_t whole = count, rest = 0;
  for (; whole >= 1000 && units[1] != '\0'; ++units) {
    rest = whole % 1000;
    whole /= 1000;
  }
  if (*units == ' ') return fmt::format("{}", whole);
  return whole >= 10 && *units == 'B' ? fmt::format("{}{}", whole, *units)
                                      : fmt::format("{}.{}{}", whole, rest / 100, *units);
}

std::string Grouped(int64_t count) {
  std::string text = fmt::format("{}", count);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

std::string Gigabytes(int64_t bytes) {
  const double b = static_cast<double>(bytes);
  if (b >= 1e9) return fmt::format("{:.1f} GB", b / 1e9);
  return b >= 1e6 ? fmt::format("{:.1f} MB", b / 1e6) : fmt::format("{:.1f} kB", b / 1e3);
}

std::string Operations(double flops) {
  return flops >= 1e9 ? fmt::format("{:.2f} G", flops / 1e9) : fmt::format("{:.2f} M", flops / 1e6);
}

void Line(const char* name, const std::string& text) {
  std::printf("%-14s %s\n", name, text.c_str());
}

void PrintArchitecture(const ModelConfig& c) {
  Line("architecture",
       fmt::format("{}: {} layers, hidden {}, intermediate {}, vocabulary {}{}", c.model_type,
                   c.num_hidden_layers, c.hidden_size, c.intermediate_size, c.vocab_size,
                   c.tie_word_embeddings ? ", head tied to the embedding" : ""));
  if (c.uses_mla()) {
    const std::string q = c.q_lora_rank > 0 ? fmt::format(", of queries {}", c.q_lora_rank) : "";
    Line("attention", fmt::format("latent: {} heads, of {} + {} (rotary) for keys, {} for values; "
                                  "latent of keys and values {}{}",
                                  c.num_attention_heads, c.qk_nope_head_dim, c.qk_rope_head_dim,
                                  c.v_head_dim, c.kv_lora_rank, q));
  } else {
    Line("attention", fmt::format("grouped: {} heads of {}, {} of keys and values",
                                  c.num_attention_heads, c.head_dim, c.num_key_value_heads));
  }
  if (c.n_routed_experts > 0) {
    int64_t layers = 0;
    for (int64_t i = 0; i < c.num_hidden_layers; ++i) layers += c.is_moe_layer(i) ? 1 : 0;
    Line("experts", fmt::format("{} routed, {} of them for a token, {} shared; each of {}; in {} "
                                "layers",
                                c.n_routed_experts, c.num_experts_per_tok, c.n_shared_experts,
                                c.moe_intermediate_size, layers));
  }
  Line("context", fmt::format("{} tokens", c.max_position_embeddings));
}

void PrintParameters(const Inspected& inspected, const Json& p) {
  const auto get = [&](const char* key) { return p[key].get<int64_t>(); };
  const auto both = [&](const char* key) {
    return fmt::format("{} ({})", Short(get(key)), Grouped(get(key)));
  };
  Line("parameters", both("total"));
  const bool tied = inspected.config.tie_word_embeddings;
  Line("  active",
       both("activated") + " a token, with embedding and head" +
           (tied ? "" : "; without the embedding " + Grouped(get("activated_without_embedding"))));
  if (get("mtp") > 0) {
    Line("  MTP", fmt::format("{} beside them, in {} module{} for multi-token prediction",
                              both("mtp"), inspected.config.num_nextn_predict_layers,
                              inspected.config.num_nextn_predict_layers == 1 ? "" : "s"));
  }
  if (!inspected.checkpoint) return;
  const int64_t in_files = get("in_files");
  const bool agrees = in_files == get("total") || in_files == get("total") + get("mtp");
  Line("  in files",
       fmt::format("{}{}", Grouped(in_files), agrees ? "" : "  <- not what the config describes"));
}

void PrintFiles(const Inspected& inspected) {
  if (inspected.checkpoint) {
    const CheckpointSummary& files = *inspected.checkpoint;
    Line("weights", fmt::format("{} tensors, {}", files.tensors, Gigabytes(files.bytes)));
    for (const CheckpointSummary::Kind& kind : files.kinds) {
      Line("",
           fmt::format("{:<8} {} tensors, {}", kind.dtype, kind.tensors, Gigabytes(kind.bytes)));
    }
  } else {
    Line("weights", "none here");
  }
  const auto place = [](const Json& json) {
    return json.is_null() ? "none here" : json.get<std::string>();
  };
  Line("tokenizer", place(inspected.tokenizer));
  Line("chat template", place(inspected.chat_template));
}

void PrintCosts(const Json& report) {
  const Json& kv = report["kv_bytes_per_token"];
  Line("KV cache",
       fmt::format("{} bytes a token in BF16; reckon's own cache takes {}",
                   Grouped(kv["bf16"].get<int64_t>()), Grouped(kv["reckon"].get<int64_t>())));
  const Json& flops = report["flops_per_token"];
  const auto part = [&](const char* name) { return Operations(flops[name].get<double>()); };
  Line("FLOPs", fmt::format("{} for the token at position {}: weights {}, attention {}, head {}",
                            part("total"), flops["context"].get<int64_t>(), part("linear"),
                            part("attention"), part("head")));
  const Json& memory = report["memory"];
  Line("memory",
       fmt::format("{} here, {} to be had", Gigabytes(memory["total_bytes"].get<int64_t>()),
                   Gigabytes(memory["available_bytes"].get<int64_t>())));
  std::printf("\n%-6s %12s  %-5s %s\n", "format", "weights", "fits",
              "tokens of KV cache beside them: reckon's own; in BF16");
  for (const Json& row : report["fits"]) {
    const bool fits = row["fits"].get<bool>();
    const std::string tokens = fits
                                   ? fmt::format("{}, {}", Grouped(row["kv_tokens"].get<int64_t>()),
                                                 Grouped(row["kv_tokens_bf16"].get<int64_t>()))
                                   : "";
    std::printf("%-6s %12s  %-5s %s\n", row["format"].get<std::string>().c_str(),
                Gigabytes(row["weight_bytes"].get<int64_t>()).c_str(), fits ? "yes" : "no",
                tokens.c_str());
  }
}

void Execute(const InspectCommand& command) {
  const Inspected inspected = Inspect(command.path);
  const Json report = MakeReport(command, inspected);
  if (command.json) {
    std::printf("%s\n", report.dump(2).c_str());
    return;
  }
  PrintArchitecture(inspected.config);
  PrintParameters(inspected, report["parameters"]);
  PrintFiles(inspected);
  PrintCosts(report);
}

}  // namespace

void RegisterInspect(CLI::App& app, const GlobalOptions&, int& exit_code) {
  auto command = std::make_shared<InspectCommand>();
  CLI::App* sub =
      app.add_subcommand("inspect", "Say what a model is, what it takes and whether it fits here");
  sub->add_option("path", command->path, "Hugging Face folder, config.json or GGUF file")
      ->required();
  sub->add_option("--context", command->context,
                  "Position of the token whose FLOPs are counted; 4096, or the model's context "
                  "where that is shorter, where left out")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  sub->add_flag("--json", command->json, "For programs");
  sub->footer(
      "Parameters are exact; the short figure beside them is rounded down. Weights are not read,\n"
      "only the headers of their files. The table at the end is for the model without its modules\n"
      "for multi-token prediction; FP8 as DeepSeek stores it, Q8_0, Q6_K and Q4_K as GGUF files.\n"
      "Examples:\n"
      "  reckon inspect DeepSeek-V3/config.json\n"
      "  reckon inspect model-Q4_K_M.gguf --context 32768\n"
      "  reckon inspect runs/first/grpo/model --json");
  sub->callback([command, &exit_code] {
    Execute(*command);
    exit_code = 0;
  });
}

}  // namespace reckon
