#include "cli/chat_loop.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/nearest.h"
#include "cli/colour.h"

namespace reckon {
namespace {

// "~/notes.txt" means what it means to a shell.
std::string ExpandHome(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (!path.starts_with("~/") || home == nullptr) return path;
  return home + path.substr(1);
}

std::string WithoutBlanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == text.npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

}  // namespace

const std::vector<ChatLoop::Command>& ChatLoop::Commands() {
  static const std::vector<Command> commands = {
      {"/help", "", "this list", &ChatLoop::Help},
      {"/regen", "", "answer the last message again, with other draws", &ChatLoop::Regenerate},
      {"/read", "FILE", "put a file's text before the next message", &ChatLoop::Read},
      {"/save", "FILE", "write the conversation as JSON", &ChatLoop::Save},
      {"/system", "TEXT", "set the system message; without a text, remove it", &ChatLoop::System},
      {"/clear", "", "forget the conversation, but for the system message", &ChatLoop::Clear},
      {"/exit", "", "leave", &ChatLoop::Exit},
  };
  return commands;
}

int ChatLoop::Run() {
  while (!done_) {
    const Message message = reader_.Read();
    switch (message.event) {
      case LineEvent::kLine:
        interrupted_ = false;
        Handle(message);
        break;
      case LineEvent::kInterrupted:
        HandleInterrupt();
        break;
      case LineEvent::kEnd:
        HandleEnd();
        break;
    }
  }
  return failed_ && !view_.terminal ? 1 : 0;
}

// A mistake in one line is no reason to lose the others.
void ChatLoop::Handle(const Message& message) {
  try {
    if (!message.quoted && message.text.starts_with('/')) {
      RunCommand(message.text);
    } else if (!message.text.empty() || conversation_.has_attachment()) {
      Send(message.text);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal || error.kind() == ErrorKind::kCancelled) throw;
    failed_ = true;
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", error.what());
  }
}

void ChatLoop::HandleInterrupt() {
  if (!view_.terminal || Terminated()) ThrowIfInterrupted();
  ClearInterrupt();
  if (interrupted_) {
    done_ = true;
  } else {
    Note("Ctrl-C again leaves; so do Ctrl-D and /exit");
  }
  interrupted_ = true;
}

// From a pipe, a file read last is a message of its own.
void ChatLoop::HandleEnd() {
  done_ = true;
  if (!view_.terminal) Handle({LineEvent::kLine, "", true});
}

void ChatLoop::RunCommand(const std::string& line) {
  const std::string name = line.substr(0, line.find_first_of(" \t"));
  std::vector<std::string> names;
  for (const Command& command : Commands()) {
    names.emplace_back(command.name);
    if (name != command.name) continue;
    const std::string argument = WithoutBlanks(std::string_view(line).substr(name.size()));
    if (command.argument == "FILE" && argument.empty()) {
      Throw(ErrorKind::kInvalidArgument, fmt::format("{0} needs a file: {0} FILE", name));
    }
    if (command.argument.empty() && !argument.empty()) {
      Throw(ErrorKind::kInvalidArgument, fmt::format("{} takes nothing after it", name));
    }
    return (this->*command.run)(argument);
  }
  const std::string nearest = NearestName(name, names);
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("{} is no command{}; /help lists them. A message that begins with / needs a "
                    "blank before it",
                    name, nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest)));
}

void ChatLoop::Send(std::string text) {
  conversation_.Ask(std::move(text));
  try {
    if (AnswerMessage()) return;
    Note("ended before the answer began; the message is taken back");
  } catch (...) {
    conversation_.Withdraw();
    throw;
  }
  conversation_.Withdraw();
}

// False where the answer was ended before it began.
bool ChatLoop::AnswerMessage() {
  Response response = responder_.Respond(conversation_);
  const bool cancelled = response.finish == FinishReason::kCancelled;
  if (!view_.terminal || Terminated()) ThrowIfInterrupted();
  ClearInterrupt();
  if (cancelled && response.answer.empty()) return false;
  conversation_.SetAnswer(std::move(response.answer));
  NoteFinish(response);
  if (view_.figures) NoteFigures(response);
  return true;
}

void ChatLoop::NoteFinish(const Response& response) const {
  if (response.finish == FinishReason::kCancelled) {
    Note("ended by Ctrl-C; the conversation keeps what there is");
  } else if (response.finish == FinishReason::kLength) {
    Note(fmt::format("cut off after {} tokens; --max-new-tokens allows more, up to the context",
                     response.tokens));
  }
}

void ChatLoop::NoteFigures(const Response& response) const {
  const std::string speed =
      response.tokens_per_s > 0 ? fmt::format(", {:.4g} tokens/s", response.tokens_per_s) : "";
  Note(fmt::format("{} tokens{}; prompt {} tokens, {} of them reused", response.tokens, speed,
                   response.prompt_tokens, response.reused_tokens));
}

void ChatLoop::Note(const std::string& text) const {
  if (!view_.terminal) {
    std::fprintf(stderr, "[%s]\n", text.c_str());
    return;
  }
  std::printf("%s[%s]%s\n", view_.colours ? kDim : "", text.c_str(), view_.colours ? kPlain : "");
}

void ChatLoop::Exit(const std::string&) { done_ = true; }

void ChatLoop::Clear(const std::string&) {
  conversation_.Clear();
  responder_.Restart();
  if (view_.terminal) {
    if (view_.colours) std::printf("\033[2J\033[H");
    Note("a new conversation");
  }
}

void ChatLoop::Regenerate(const std::string&) {
  if (conversation_.empty()) {
    Throw(ErrorKind::kInvalidArgument, "there is no message to answer again");
  }
  Answer old = conversation_.TakeAnswer();
  try {
    if (AnswerMessage()) return;
    Note("ended before the answer began; the earlier one stands");
  } catch (...) {
    conversation_.SetAnswer(std::move(old));
    throw;
  }
  conversation_.SetAnswer(std::move(old));
}

void ChatLoop::Read(const std::string& argument) {
  std::string text = ReadFile(ExpandHome(argument));
  if (text.empty()) {
    Throw(ErrorKind::kInvalidArgument, argument + ": is empty; there is nothing to read");
  }
  const size_t bytes = text.size();
  conversation_.Attach(std::move(text));
  if (view_.terminal) {
    Note(fmt::format("{}: {} bytes go before your next message; an empty line sends them alone",
                     argument, bytes));
  }
}

void ChatLoop::Save(const std::string& argument) {
  if (conversation_.empty()) {
    Throw(ErrorKind::kInvalidArgument, "there is no conversation to save yet");
  }
  WriteJsonFile(ExpandHome(argument), {{"messages", conversation_.Messages()}});
  if (view_.terminal) Note("saved to " + argument);
}

void ChatLoop::System(const std::string& argument) {
  if (!responder_.has_template()) {
    Throw(ErrorKind::kInvalidArgument,
          "the model has no chat template to carry a system message; --template FILE gives one");
  }
  conversation_.SetSystem(argument);
  if (view_.terminal) Note(argument.empty() ? "no system message" : "system message set");
}

void ChatLoop::Help(const std::string&) {
  for (const Command& command : Commands()) {
    std::printf("  %-14s %s\n", fmt::format("{} {}", command.name, command.argument).c_str(),
                std::string(command.help).c_str());
  }
  if (view_.terminal) {
    std::printf(
        "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a text of several "
        "lines.\nCtrl-C ends an answer or clears the line; Ctrl-D leaves.\n");
  }
}

}  // namespace reckon
