// What the commands that read a text in windows have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/session.h"
#include "eval/windows.h"

namespace CLI {
class App;
}

namespace reckon {

struct TextCommand {
  std::string model, file;
  int64_t context = 0, windows = 0;  // 0: the default; all
};

// --model, --file, --context and --windows.
void AddTextOptions(CLI::App& command, TextCommand& text);

struct OpenedText {
  Session session;
  std::vector<int32_t> ids;  // of the whole file, without bos
  WindowOptions windows;
};
OpenedText OpenText(const TextCommand& command);

}  // namespace reckon
