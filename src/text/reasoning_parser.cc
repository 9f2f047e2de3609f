#include "text/reasoning_parser.h"

#include <algorithm>
#include <utility>

#include "text/mark_scan.h"

namespace reckon {

bool EndsInReasoning(std::string_view prompt, size_t answer_begin, const ReasoningMarks& marks) {
  const std::string_view turn = prompt.substr(std::min(answer_begin, prompt.size()));
  const size_t begin = turn.rfind(marks.begin), end = turn.rfind(marks.end);
  return begin != turn.npos && (end == turn.npos || begin > end);
}

ReasoningParser::ReasoningParser(bool starts_in_reasoning, ReasoningMarks marks)
    : state_(starts_in_reasoning ? State::kOpened : State::kStart), marks_(std::move(marks)) {}

ReasoningDelta ReasoningParser::Push(std::string_view text) {
  pending_ += text;
  ReasoningDelta delta;
  while (Advance(delta)) {
  }
  return delta;
}

// One step; false where more text is needed.
bool ReasoningParser::Advance(ReasoningDelta& delta) {
  switch (state_) {
    case State::kStart:
    case State::kOpened:
      return AdvanceStart(delta);
    case State::kReasoning:
      return AdvanceReasoning(delta);
    case State::kClosed:
      pending_.erase(0, LeadingBlanks(pending_));
      if (pending_.empty()) return false;
      state_ = State::kAnswer;
      return true;
    case State::kAnswer:
      delta.answer += std::exchange(pending_, "");
      return false;
  }
  return false;
}

bool ReasoningParser::AdvanceStart(ReasoningDelta& delta) {
  const size_t blanks = LeadingBlanks(pending_);
  blanks_ += pending_.substr(0, blanks);
  pending_.erase(0, blanks);
  if (pending_.empty()) return false;
  if (pending_.starts_with(marks_.begin)) {
    pending_.erase(0, marks_.begin.size());
    blanks_.clear();
    state_ = State::kReasoning;
    return true;
  }
  if (marks_.begin.starts_with(pending_)) return false;
  if (state_ == State::kStart) {
    delta.answer += std::exchange(blanks_, "");
    state_ = State::kAnswer;
  } else {
    blanks_.clear();
    state_ = State::kReasoning;
  }
  return true;
}

bool ReasoningParser::AdvanceReasoning(ReasoningDelta& delta) {
  const size_t end = pending_.find(marks_.end);
  const bool found = end != pending_.npos;
  const size_t ready = found ? end : pending_.size() - PartialMark(pending_, marks_.end);
  std::string_view text = std::string_view(pending_).substr(0, ready);
  if (!began_) text.remove_prefix(LeadingBlanks(text));
  if (!text.empty()) {
    const size_t blanks = TrailingBlanks(text);
    if (blanks < text.size()) {
      delta.reasoning += std::exchange(blanks_, "");
      delta.reasoning += text.substr(0, text.size() - blanks);
      began_ = true;
    }
    blanks_ += text.substr(text.size() - blanks);
  }
  pending_.erase(0, found ? end + marks_.end.size() : ready);
  if (!found) return false;
  blanks_.clear();
  state_ = State::kClosed;
  return true;
}

ReasoningDelta ReasoningParser::Finish() {
  ReasoningDelta delta;
  if (state_ == State::kStart) {
    delta.answer = blanks_ + pending_;
  } else if (state_ == State::kReasoning || state_ == State::kOpened) {
    if (!pending_.empty()) {  // the beginning of a mark that did not come
      if (state_ == State::kReasoning) delta.reasoning = blanks_;
      delta.reasoning += pending_;
    }
  } else {
    delta.answer = pending_;
  }
  pending_.clear();
  blanks_.clear();
  return delta;
}

}  // namespace reckon
