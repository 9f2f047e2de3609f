// Finds the calls of tools in what a model writes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reckon {

enum class ToolCallFormat {
  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGUMENTS\n```
  // <｜tool▁call▁end｜>...<｜tool▁calls▁end｜>
  kDeepSeekV3,
  kDeepSeekR1,  // the same
  // <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>ARGUMENTS<｜tool▁call▁end｜>...
  kDeepSeekV31,
  kHermes,  // <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>; Qwen too
};

// The format that a chat template shows its model; nothing where it shows none.
std::optional<ToolCallFormat> ToolCallFormatOf(std::string_view template_source);

struct ToolCall {
  size_t index = 0;  // in the answer
  std::string name;
  std::string arguments;  // a JSON object as text
};

struct ToolCallDelta {
  std::string text;  // what is no call
  std::vector<ToolCall> calls;
};

// A call comes out whole when it ends, its arguments checked to be a JSON object. One that is not
// well formed, or does not end, comes out as the text that it is. Blanks between text and calls are
// dropped. The pieces add up to the same however the output is cut.
class ToolCallParser {
 public:
  explicit ToolCallParser(ToolCallFormat format);

  ToolCallDelta Push(std::string_view text);
  ToolCallDelta Finish();
  size_t num_calls() const { return num_calls_; }  // 0: finish_reason is not tool_calls

 private:
  enum class State { kText, kSection, kCall };
  struct Found {
    size_t at = std::string_view::npos, length = 0;
    size_t which = 0;
  };

  bool Advance(ToolCallDelta& delta);
  bool AdvanceText(ToolCallDelta& delta);
  bool AdvanceCall(ToolCallDelta& delta);
  Found FindMark(const std::vector<std::string_view>& marks) const;
  size_t Ready(const std::vector<std::string_view>& marks) const;
  void AddText(std::string_view text, ToolCallDelta& delta);
  std::optional<ToolCall> ParseCall(std::string_view body, bool ended) const;

  ToolCallFormat format_;
  State state_ = State::kText;
  std::string pending_;
  size_t scanned_ = 0;       // of pending_, without an end of the call
  std::string blanks_;       // come out where text follows
  std::string opened_;       // the marks that began the section, until a call of it is good
  std::string call_begin_;   // the mark that began the call
  bool after_call_ = false;  // only blanks since
  size_t num_calls_ = 0;
};

}  // namespace reckon
