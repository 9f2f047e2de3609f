#include "cli/answer_printer.h"

#include <cstdio>

#include "cli/colour.h"

namespace reckon {
namespace {

void Put(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

AnswerPrinter::AnswerPrinter(const Session& session, const AnswerStyle& style)
    : session_(session),
      style_(style),
      decoder_(session.tokenizer),
      parser_(style.starts_in_reasoning) {}

void AnswerPrinter::Print(int32_t token) {
  if (session_.IsStop(token)) return;
  const std::string text = decoder_.Push(token);
  Show(text, parser_.Push(text));
  std::fflush(stdout);
}

Answer AnswerPrinter::End() {
  const std::string text = decoder_.Finish();
  ReasoningDelta delta = parser_.Push(text);
  const ReasoningDelta last = parser_.Finish();
  delta.reasoning += last.reasoning;
  delta.answer += last.answer;
  Show(text, delta);
  SetDim(false);
  Put("\n");
  std::fflush(stdout);
  return answer_;
}

void AnswerPrinter::Show(std::string_view text, const ReasoningDelta& delta) {
  if (style_.splits) {
    ShowParts(delta);
  } else {
    if (parser_.in_reasoning()) SetDim(true);
    Put(text);
    if (!parser_.in_reasoning()) SetDim(false);
  }
  answer_.reasoning += delta.reasoning;
  answer_.content += delta.answer;
}

void AnswerPrinter::ShowParts(const ReasoningDelta& delta) {
  if (!delta.reasoning.empty()) {
    if (answer_.reasoning.empty() && !style_.colours) Put("<think>\n");
    SetDim(true);
    Put(delta.reasoning);
  }
  if (delta.answer.empty()) return;
  const bool reasoned = !answer_.reasoning.empty() || !delta.reasoning.empty();
  if (answer_.content.empty() && reasoned) {
    SetDim(false);
    Put(style_.colours ? "\n\n" : "\n</think>\n\n");
  }
  Put(delta.answer);
}

void AnswerPrinter::SetDim(bool dim) {
  if (style_.colours && dim != dim_) Put(dim ? kDim : kPlain);
  dim_ = dim;
}

}  // namespace reckon
