// An answer printed as its tokens come, its reasoning told from the rest.
#pragma once

#include <string>
#include <string_view>

#include "cli/session.h"
#include "text/conversation.h"
#include "text/reasoning_parser.h"
#include "text/streaming_decode.h"

namespace reckon {

struct AnswerStyle {
  // Reasoning and content as two texts: the first dim, or between <think> and </think> where there
  // are no colours. Else the text as the model writes it.
  bool splits = false;
  bool starts_in_reasoning = false;  // the prompt opened the block
  bool colours = false;
};

class AnswerPrinter {
 public:
  // The session must outlive the printer.
  AnswerPrinter(const Session& session, const AnswerStyle& style);

  void Print(int32_t token);  // an end token prints nothing
  // Ends the line and gives the whole answer.
  Answer End();

 private:
  void Show(std::string_view text, const ReasoningDelta& delta);
  void ShowParts(const ReasoningDelta& delta);
  void SetDim(bool dim);

  const Session& session_;
  AnswerStyle style_;
  StreamingDecoder decoder_;
  ReasoningParser parser_;
  Answer answer_;
  bool dim_ = false;
};

}  // namespace reckon
