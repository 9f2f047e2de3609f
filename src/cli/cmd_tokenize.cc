// reckon tokenize: text to token ids, and back.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "cli/bos.h"
#include "cli/commands.h"
#include "formats/json.h"
#include "text/tokenizer.h"

namespace reckon {
namespace {

struct TokenizeCommand {
  std::string tokenizer, file;
  bool decode = false, bos = false;
};

std::string ReadInput(const std::string& file) {
  if (!file.empty() && file != "-") return ReadFile(file);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

int32_t BosOf(const Tokenizer& tokenizer, const std::string& path) {
  const std::optional<int32_t> bos = FindBos(tokenizer, path);
  if (bos) return *bos;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("--bos: neither {} nor a tokenizer_config.json beside it names a bos token",
                    path));
}

void WriteIds(const std::vector<int32_t>& ids) {
  std::string out = fmt::format("[{}]\n", fmt::join(ids, ", "));
  std::fwrite(out.data(), 1, out.size(), stdout);
}

std::vector<int32_t> ReadIds(const std::string& text, const std::string& where) {
  const Json json = ParseJson(text, where);
  if (!json.is_array()) Throw(ErrorKind::kInvalidArgument, where + ": expected an array of ids");
  std::vector<int32_t> ids;
  for (const Json& id : json) {
    const bool fits =
        id.is_number_integer() && id.get<int64_t>() >= INT32_MIN && id.get<int64_t>() <= INT32_MAX;
    if (!fits) {
      Throw(ErrorKind::kInvalidArgument,
            fmt::format("{}: element {} is no token id", where, ids.size()));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

void Execute(const TokenizeCommand& command) {
  const Tokenizer tokenizer = Tokenizer::FromFile(command.tokenizer);
  const std::string input = ReadInput(command.file);
  if (command.decode) {
    const std::string where = command.file.empty() ? "standard input" : command.file;
    const std::string text = tokenizer.Decode(ReadIds(input, where));
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  std::vector<int32_t> ids = tokenizer.Encode(input);
  if (command.bos) ids.insert(ids.begin(), BosOf(tokenizer, command.tokenizer));
  WriteIds(ids);
}

}  // namespace

void RegisterTokenize(CLI::App& app, const GlobalOptions&, int& exit_code) {
  auto command = std::make_shared<TokenizeCommand>();
  CLI::App* sub = app.add_subcommand("tokenize", "Turn text into token ids, or ids into text");
  sub->add_option("tokenizer", command->tokenizer,
                  "tokenizer.json, SentencePiece .model, or a folder with one of them")
      ->required();
  sub->add_option("--file", command->file, "The text, or the ids; standard input where left out");
  CLI::Option* bos =
      sub->add_flag("--bos", command->bos, "Put the begin-of-sentence token in front");
  sub->add_flag("--decode", command->decode, "Read a JSON array of ids and write their text")
      ->excludes(bos);
  sub->footer(
      "The ids are written as a JSON array; the text is taken and given byte for byte.\n"
      "Examples:\n"
      "  printf 'Hello' | reckon tokenize DeepSeek-R1/tokenizer.json\n"
      "  echo '[19923, 2058]' | reckon tokenize DeepSeek-R1 --decode");
  sub->callback([command, &exit_code] {
    Execute(*command);
    exit_code = 0;
  });
}

}  // namespace reckon
