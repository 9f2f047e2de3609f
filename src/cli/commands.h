// The subcommands. Each is registered by one function of its cmd_<name>.cc; its callback runs it
// and sets the process's exit code (0 done, 1 failed; errors are thrown and caught in main).
#pragma once

namespace CLI {
class App;
}

namespace reckon {

struct GlobalOptions {
  int threads = 1;
};

void RegisterDoctor(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterInspect(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterTasks(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterTokenize(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterConvert(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterQuantize(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterImatrix(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterSynth(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterRecipe(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterPretrain(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterSft(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterRl(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterEval(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterPerplexity(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterGenerate(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterRender(CLI::App& app, const GlobalOptions& global, int& exit_code);
void RegisterChat(CLI::App& app, const GlobalOptions& global, int& exit_code);

}  // namespace reckon
