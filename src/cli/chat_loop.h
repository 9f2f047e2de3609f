// A conversation at the terminal, or from a pipe: messages and commands in, answers out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/message_reader.h"
#include "cli/responder.h"
#include "text/conversation.h"

namespace reckon {

struct ChatView {
  bool terminal = false;  // both ends are: notes go to standard output, Ctrl-C ends an answer only
  bool figures = false;   // a line of them after each answer
  bool colours = false;
};

class ChatLoop {
 public:
  // All but the view must outlive it.
  ChatLoop(Responder& responder, MessageReader& reader, Conversation& conversation,
           const ChatView& view)
      : responder_(responder), reader_(reader), conversation_(conversation), view_(view) {}

  // Until the end of the input or /exit. The exit code: of a pipe, 1 where a line failed.
  int Run();

 private:
  struct Command {
    std::string_view name, argument, help;
    void (ChatLoop::*run)(const std::string& argument);
  };
  static const std::vector<Command>& Commands();

  void Handle(const Message& message);
  void HandleInterrupt();
  void HandleEnd();
  void RunCommand(const std::string& line);
  void Send(std::string text);
  bool AnswerMessage();
  void NoteFinish(const Response& response) const;
  void NoteFigures(const Response& response) const;
  void Note(const std::string& text) const;

  void Exit(const std::string& argument);
  void Clear(const std::string& argument);
  void Regenerate(const std::string& argument);
  void Read(const std::string& argument);
  void Save(const std::string& argument);
  void System(const std::string& argument);
  void Help(const std::string& argument);

  Responder& responder_;
  MessageReader& reader_;
  Conversation& conversation_;
  ChatView view_;
  bool done_ = false, failed_ = false;
  bool interrupted_ = false;  // by the last key: the next Ctrl-C leaves
};

}  // namespace reckon
