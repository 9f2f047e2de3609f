// Splits what a reasoning model writes into its reasoning and its answer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace reckon {

struct ReasoningMarks {
  std::string begin = "<think>", end = "</think>";
};

// Whether a prompt ends within a block of reasoning that it opened: whether the text from
// `answer_begin` (ChatPrompt) on has a begin mark after its last end mark. What users wrote earlier
// does not count.
bool EndsInReasoning(std::string_view prompt, size_t answer_begin,
                     const ReasoningMarks& marks = {});

struct ReasoningDelta {
  std::string reasoning, answer;
};

// The pieces add up to the same two texts however the output is cut. Reasoning is without blanks at
// its ends, an answer after reasoning without blanks at its beginning. Reasoning begins where the
// prompt opened it, or with a mark before anything but blanks; later marks are text. Reasoning that
// never ends is all reasoning.
class ReasoningParser {
 public:
  explicit ReasoningParser(bool starts_in_reasoning, ReasoningMarks marks = {});

  ReasoningDelta Push(std::string_view text);
  ReasoningDelta Finish();
  bool in_reasoning() const { return state_ == State::kReasoning || state_ == State::kOpened; }

 private:
  enum class State {
    kStart,      // nothing but blanks so far; a begin mark may come
    kOpened,     // in reasoning, nothing but blanks so far; the model may repeat the begin mark
    kReasoning,  // in reasoning
    kClosed,     // after it, nothing but blanks so far
    kAnswer,
  };
  bool Advance(ReasoningDelta& delta);
  bool AdvanceStart(ReasoningDelta& delta);
  bool AdvanceReasoning(ReasoningDelta& delta);

  State state_;
  ReasoningMarks marks_;
  std::string pending_;  // what may be part of a mark
  std::string blanks_;   // come out where something follows
  bool began_ = false;   // reasoning has come out
};

}  // namespace reckon
