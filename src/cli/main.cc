// reckon: trains, runs and accounts for R1-class reasoning models.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/usage.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kBadUsage = 2, kInterrupted = 130;

int ExitCodeOf(reckon::ErrorKind kind) {
  switch (kind) {
    case reckon::ErrorKind::kInvalidArgument:
      return kBadUsage;
    case reckon::ErrorKind::kCancelled:
      return kInterrupted;
    default:
      return kFailed;
  }
}

int Run(int argc, char** argv) {
  CLI::App app("Trains, runs and accounts for R1-class reasoning models on this machine", "reckon");
  app.set_version_flag("--version", "reckon " RECKON_VERSION);
  app.require_subcommand(1);
  app.failure_message(reckon::UsageMessage);
  reckon::GlobalOptions global;
  global.threads = reckon::DefaultThreadCount();
  app.add_option("--threads", global.threads, "Threads to use (also RECKON_THREADS)")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.footer(
      "Examples:\n"
      "  reckon recipe run configs/recipes/quickstart.json --out runs/first\n"
      "  reckon chat runs/first/grpo/model\n"
      "  reckon doctor\n"
      "The environment variable RECKON_ISA (scalar, avx2, avx512, avx512bf16) forces the kernels.\n"
      "Exit codes: 0 done; 1 failed; 2 a wrong command line, recipe or other input; 130 stopped by "
      "Ctrl-C or kill.");
  int exit_code = 0;
  for (auto add : {reckon::RegisterRecipe, reckon::RegisterPretrain, reckon::RegisterSft,
                   reckon::RegisterRl, reckon::RegisterEval, reckon::RegisterPerplexity,
                   reckon::RegisterGenerate, reckon::RegisterChat, reckon::RegisterTokenize,
                   reckon::RegisterRender, reckon::RegisterConvert, reckon::RegisterQuantize,
                   reckon::RegisterImatrix, reckon::RegisterSynth, reckon::RegisterTasks,
                   reckon::RegisterInspect, reckon::RegisterDoctor}) {
    add(app, global, exit_code);
  }
  for (CLI::App* command : app.get_subcommands({})) command->fallthrough();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kBadUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  reckon::KeepFreedMemory();
  reckon::CatchInterrupts();
  ::signal(SIGXFSZ, SIG_IGN);  // a write beyond `ulimit -f` fails with a reason instead
  try {
    return Run(argc, argv);
  } catch (const reckon::Error& error) {
    std::fprintf(stderr, "reckon: error: %s\n", error.what());
    return ExitCodeOf(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reckon: error: %s\n", error.what());
    return kFailed;
  }
}
