// The messages between a user and a model, and the prompt that a template makes of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/json.h"
#include "text/chat_template.h"

namespace reckon {

struct Answer {
  std::string reasoning, content;
  bool empty() const { return reasoning.empty() && content.empty(); }
};

// Turns of a user's message and its answer; the last may still wait for one.
class Conversation {
 public:
  // The first message, whatever the turns so far; empty: none. Throws kInvalidArgument, as Ask
  // does, for a text that is not UTF-8.
  void SetSystem(std::string text);
  const std::string& system() const { return system_; }

  // A text that goes before the next message.
  void Attach(std::string text);
  bool has_attachment() const { return !attachment_.empty(); }

  // The user's next message: the attachment, an empty line, the text. Only where no message waits
  // for its answer.
  void Ask(std::string text);
  // Of the message that waits.
  void SetAnswer(Answer answer);
  const std::string& question() const;  // the last message
  bool waits() const { return !turns_.empty() && !turns_.back().answer; }
  bool empty() const { return turns_.empty(); }

  // The last message waits again; gives the answer it had.
  Answer TakeAnswer();
  // Forgets the message that waits.
  void Withdraw();
  // Forgets the turns and the attachment, not the system's message.
  void Clear();

  // [{"role", "content"}]; an answer that has reasoning also has "reasoning_content", which the
  // template of a reasoning model keeps or drops.
  Json Messages() const;
  // Of the message that waits. Throws where the template refuses the conversation.
  ChatPrompt Prompt(const ChatTemplate& chat, const jinja::CivilTime& now) const;

 private:
  struct Turn {
    std::string question;
    std::optional<Answer> answer;
  };
  std::string system_, attachment_;
  std::vector<Turn> turns_;
};

}  // namespace reckon
