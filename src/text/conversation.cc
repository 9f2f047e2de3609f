#include "text/conversation.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace reckon {
namespace {

void CheckUtf8(const std::string& text) {
  const size_t good = ValidUtf8Prefix(text).size();
  if (good == text.size()) return;
  Throw(ErrorKind::kInvalidArgument,
        fmt::format("the text is not UTF-8: its byte {} (0x{:02x}) begins no character; convert it",
                    good, static_cast<unsigned char>(text[good])));
}

}  // namespace

void Conversation::SetSystem(std::string text) {
  CheckUtf8(text);
  system_ = std::move(text);
}

void Conversation::Attach(std::string text) {
  CheckUtf8(text);
  if (!attachment_.empty()) attachment_ += "\n\n";
  attachment_ += text;
}

void Conversation::Ask(std::string text) {
  Check(!waits(), "Conversation: the last message has no answer yet");
  CheckUtf8(text);
  if (!attachment_.empty()) {
    if (!text.empty()) attachment_ += "\n\n";
    text = std::exchange(attachment_, "") + text;
  }
  turns_.push_back({std::move(text), {}});
}

void Conversation::SetAnswer(Answer answer) {
  Check(waits(), "Conversation: no message waits for an answer");
  turns_.back().answer = std::move(answer);
}

const std::string& Conversation::question() const {
  Check(!turns_.empty(), "Conversation: there is no message");
  return turns_.back().question;
}

Answer Conversation::TakeAnswer() {
  Check(!turns_.empty() && !waits(), "Conversation: there is no answer");
  return *std::exchange(turns_.back().answer, {});
}

void Conversation::Withdraw() {
  Check(waits(), "Conversation: no message waits for an answer");
  turns_.pop_back();
}

void Conversation::Clear() {
  turns_.clear();
  attachment_.clear();
}

Json Conversation::Messages() const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Turn& turn : turns_) {
    messages.push_back({{"role", "user"}, {"content", turn.question}});
    if (!turn.answer) continue;
    Json answer = {{"role", "assistant"}, {"content", turn.answer->content}};
    if (!turn.answer->reasoning.empty()) answer["reasoning_content"] = turn.answer->reasoning;
    messages.push_back(std::move(answer));
  }
  return messages;
}

ChatPrompt Conversation::Prompt(const ChatTemplate& chat, const jinja::CivilTime& now) const {
  Check(waits(), "Conversation: no message waits for an answer");
  ChatRequest request;
  request.messages = Messages();
  return chat.Render(request, now);
}

}  // namespace reckon
