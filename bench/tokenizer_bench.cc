// How many megabytes of text a second the tokenizers encode, on one thread; with --peer, the same
// texts through Hugging Face's tokenizers in the same run (bench/peers/tokenizer_bench.py).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/files.h"
#include "formats/json.h"
#include "text/tokenizer.h"

namespace {

using reckon::Json;

struct Text {
  std::string name, bytes;
};

// The best of several runs: what else the machine does only makes a run slower.
double EncodeSeconds(const reckon::Tokenizer& tokenizer, const std::string& text, int runs,
                     size_t& num_ids) {
  double best = 1e30;
  for (int run = 0; run < runs; ++run) {
    const double begin_s = reckon::MonotonicSeconds();
    num_ids = tokenizer.Encode(text).size();
    best = std::min(best, reckon::MonotonicSeconds() - begin_s);
  }
  return best;
}

std::vector<Text> ReadTexts(const std::string& folder) {
  std::vector<Text> texts;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".txt") continue;
    texts.push_back({entry.path().filename().string(), reckon::ReadFile(entry.path().string())});
  }
  std::sort(texts.begin(), texts.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return texts;
}

// {"tokenizer": {"text": {"mb_per_s": ..., "ids": ...}}}, from the peer's own program.
Json RunPeer(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) reckon::Throw(reckon::ErrorKind::kIo, command + ": cannot be started");
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof(buffer), pipe)) > 0;) out.append(buffer, n);
  if (::pclose(pipe) != 0) reckon::Throw(reckon::ErrorKind::kIo, command + ": failed");
  return reckon::ParseJson(out, command);
}

int Run(int argc, char** argv) {
  CLI::App app("Encoding speed of tokenizers, one thread");
  std::string tokenizers = "../shared/data/tokenizers", texts_folder = "../shared/data/text", peer;
  std::vector<std::string> names = {"deepseek-v3", "r1-distill-llama", "r1-distill-qwen"};
  int runs = 5;
  app.add_option("--tokenizers", tokenizers, "Folder of tokenizer folders")->capture_default_str();
  app.add_option("--names", names, "Which of them")->capture_default_str();
  app.add_option("--texts", texts_folder, "Folder of .txt files")->capture_default_str();
  app.add_option("--runs", runs, "Of which the best counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--peer", peer,
                 "Command that runs Python with tokenizers, such as\n"
                 "\"../shared/tools/peer-lab run python3\"");
  CLI11_PARSE(app, argc, argv);
  Json peer_results = Json::object();
  if (!peer.empty()) {
    peer_results =
        RunPeer(fmt::format("{} bench/peers/tokenizer_bench.py --tokenizers {} --texts "
                            "{} --runs {} --names {}",
                            peer, tokenizers, texts_folder, runs, fmt::join(names, " ")));
  }
  std::printf("%-18s %-28s %9s %9s %12s %12s %7s\n", "tokenizer", "text", "bytes", "ids",
              "reckon MB/s", "peer MB/s", "ratio");
  for (const std::string& name : names) {
    const reckon::Tokenizer tokenizer =
        reckon::Tokenizer::FromFile(tokenizers + "/" + name + "/tokenizer.json");
    for (const Text& text : ReadTexts(texts_folder)) {
      size_t num_ids = 0;
      const double seconds = EncodeSeconds(tokenizer, text.bytes, runs, num_ids);
      const double mb_per_s = static_cast<double>(text.bytes.size()) / 1e6 / seconds;
      std::printf("%-18s %-28s %9zu %9zu %12.1f", name.c_str(), text.name.c_str(),
                  text.bytes.size(), num_ids, mb_per_s);
      if (peer_results.contains(name)) {
        const Json& result = peer_results[name].at(text.name);
        const double peer_mb_per_s = result.at("mb_per_s").get<double>();
        std::printf(" %12.1f %6.1fx%s", peer_mb_per_s, mb_per_s / peer_mb_per_s,
                    result.at("ids").get<size_t>() == num_ids ? "" : "  OTHER IDS");
      }
      std::printf("\n");
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tokenizer_bench: %s\n", error.what());
    return 1;
  }
}
