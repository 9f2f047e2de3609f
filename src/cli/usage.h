// What is said of a command line that cannot be understood.
#pragma once

#include <string>

namespace CLI {
class App;
class Error;
}  // namespace CLI

namespace reckon {

// Names the command, what is wrong in the order it was typed, and the word that may be meant. For
// CLI::App::failure_message; `app` is the outermost.
std::string UsageMessage(const CLI::App* app, const CLI::Error& error);

}  // namespace reckon
