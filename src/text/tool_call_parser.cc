#include "text/tool_call_parser.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "formats/json.h"
#include "text/jinja_builtins.h"
#include "text/mark_scan.h"

namespace reckon {
namespace {

constexpr std::string_view kSectionBegin = "<｜tool▁calls▁begin｜>",
                           kSectionEnd = "<｜tool▁calls▁end｜>",
                           kCallBegin = "<｜tool▁call▁begin｜>", kCallEnd = "<｜tool▁call▁end｜>",
                           kSeparator = "<｜tool▁sep｜>", kHermesBegin = "<tool_call>",
                           kHermesEnd = "</tool_call>";

std::string_view Trimmed(std::string_view text) {
  text.remove_prefix(LeadingBlanks(text));
  text.remove_suffix(TrailingBlanks(text));
  return text;
}

std::optional<Json> ParseObject(std::string_view text) {
  try {
    Json json = ParseJson(text, "arguments");
    if (json.is_object()) return json;
  } catch (const Error&) {  // no JSON: not a call
  }
  return {};
}

// Names are what APIs take, so that text which only looks like a call is none.
bool IsToolName(std::string_view name) {
  return !name.empty() && name.size() <= 256 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.:/").find(c) != std::string_view::npos ||
           static_cast<uint8_t>(c) >= 0x80;
  });
}

// As templates write arguments: with blanks after ":" and ",".
std::string Written(const Json& json) {
  jinja::Budget budget{jinja::Limits{}};
  return jinja::ToJsonText(jinja::FromJson(json, budget), {}, budget);
}

std::optional<ToolCall> ParseHermes(std::string_view body) {
  const std::optional<Json> json = ParseObject(Trimmed(body));
  if (!json || !json->contains("name") || !(*json)["name"].is_string()) return {};
  ToolCall call;
  call.name = (*json)["name"].get<std::string>();
  const auto arguments =
      json->contains("arguments") ? json->find("arguments") : json->find("parameters");
  if (arguments == json->end() || arguments->is_null()) {
    call.arguments = "{}";
  } else if (arguments->is_object()) {
    call.arguments = Written(*arguments);
  } else if (arguments->is_string() && ParseObject(arguments->get_ref<const std::string&>())) {
    call.arguments = arguments->get<std::string>();
  } else {
    return {};
  }
  return call;
}

// NAME<sep>ARGUMENTS, or TYPE<sep>NAME and ARGUMENTS in a fence; models mix the two up. Only the
// former may be without arguments, and only where the call `ended`.
std::optional<ToolCall> ParseDeepSeek(std::string_view body, bool ended) {
  const size_t separator = body.find(kSeparator);
  if (separator == body.npos) return {};
  const std::string_view before = Trimmed(body.substr(0, separator));
  std::string_view after = Trimmed(body.substr(separator + kSeparator.size()));
  ToolCall call;
  if (after.empty() && ended) {
    call.name = before;
    after = "{}";
  } else if (after.starts_with("{") || after.starts_with("`")) {
    call.name = before;
  } else {
    const size_t line = std::min(after.find_first_of("\n`{"), after.size());
    call.name = Trimmed(after.substr(0, line));
    after = Trimmed(after.substr(line));
  }
  if (after.starts_with("```")) {
    after.remove_prefix(3);
    if (after.starts_with("json")) after.remove_prefix(4);
    if (after.ends_with("```")) after.remove_suffix(3);
    after = Trimmed(after);
  }
  if (!ParseObject(after)) return {};
  call.arguments = after;
  return call;
}

}  // namespace

std::optional<ToolCallFormat> ToolCallFormatOf(std::string_view source) {
  if (source.find(kCallBegin) != source.npos) {
    return source.find("```json") != source.npos ? ToolCallFormat::kDeepSeekV3
                                                 : ToolCallFormat::kDeepSeekV31;
  }
  const bool json_inside =
      source.find("<tool_call>") != source.npos && source.find("<arg_key>") == source.npos;
  return json_inside ? std::optional(ToolCallFormat::kHermes) : std::nullopt;
}

ToolCallParser::ToolCallParser(ToolCallFormat format) : format_(format) {}

ToolCallDelta ToolCallParser::Push(std::string_view text) {
  pending_ += text;
  ToolCallDelta delta;
  while (Advance(delta)) {
  }
  return delta;
}

bool ToolCallParser::Advance(ToolCallDelta& delta) {
  return state_ == State::kCall ? AdvanceCall(delta) : AdvanceText(delta);
}

// The first of the marks; of two at one place the longer.
ToolCallParser::Found ToolCallParser::FindMark(const std::vector<std::string_view>& marks) const {
  Found first;
  for (size_t i = 0; i < marks.size(); ++i) {
    const size_t from = scanned_ > marks[i].size() ? scanned_ - marks[i].size() : 0;
    const size_t at = pending_.find(marks[i], from);
    if (at < first.at) first = {at, marks[i].size(), i};
  }
  return first;
}

// How much of what waits can be part of no mark.
size_t ToolCallParser::Ready(const std::vector<std::string_view>& marks) const {
  size_t partial = 0;
  for (const std::string_view mark : marks) {
    partial = std::max(partial, PartialMark(pending_, mark));
  }
  return pending_.size() - partial;
}

void ToolCallParser::AddText(std::string_view text, ToolCallDelta& delta) {
  const size_t trailing = TrailingBlanks(text);
  if (trailing < text.size()) {
    delta.text += std::exchange(blanks_, "");
    delta.text += std::exchange(opened_, "");
    delta.text += text.substr(0, text.size() - trailing);
    after_call_ = false;
  }
  blanks_ += text.substr(text.size() - trailing);
}

// Text, or what stands between the calls of a section.
bool ToolCallParser::AdvanceText(ToolCallDelta& delta) {
  static const std::vector<std::string_view> kHermesMarks = {kHermesBegin},
                                             kTextMarks = {kSectionBegin, kCallBegin},
                                             kSectionMarks = {kSectionEnd, kCallBegin};
  const bool section = state_ == State::kSection;
  const std::vector<std::string_view>& marks = format_ == ToolCallFormat::kHermes ? kHermesMarks
                                               : section                          ? kSectionMarks
                                                                                  : kTextMarks;
  const Found mark = FindMark(marks);
  const bool found = mark.at != std::string_view::npos;
  const size_t ready = found ? mark.at : Ready(marks);
  AddText(std::string_view(pending_).substr(0, ready), delta);
  pending_.erase(0, found ? mark.at + mark.length : ready);
  if (!found) return false;
  const std::string_view text = marks[mark.which];
  if (text == kSectionBegin) {
    state_ = State::kSection;
    opened_ = text;
  } else if (text == kSectionEnd) {
    state_ = State::kText;
    if (!after_call_) AddText(text, delta);  // closes what came out as text
    opened_.clear();
  } else {
    state_ = State::kCall;
    call_begin_ = text;
  }
  return true;
}

bool ToolCallParser::AdvanceCall(ToolCallDelta& delta) {
  static const std::vector<std::string_view> kHermesMarks = {kHermesEnd},
                                             kMarks = {kCallEnd, kCallBegin, kSectionEnd};
  const bool hermes = format_ == ToolCallFormat::kHermes;
  const std::vector<std::string_view>& marks = hermes ? kHermesMarks : kMarks;
  const Found mark = FindMark(marks);
  if (mark.at == std::string_view::npos) {
    scanned_ = pending_.size();
    return false;
  }
  scanned_ = 0;
  const bool ended = mark.which == 0;  // else the end is missing, and the mark is the next thing
  const std::string body = pending_.substr(0, mark.at);
  pending_.erase(0, mark.at + (ended ? mark.length : 0));
  state_ = hermes ? State::kText : State::kSection;
  if (std::optional<ToolCall> call = ParseCall(body, true)) {
    call->index = num_calls_++;
    delta.calls.push_back(std::move(*call));
    blanks_.clear();
    opened_.clear();
    after_call_ = true;
  } else {
    AddText(call_begin_ + body + std::string(ended ? marks[0] : ""), delta);
  }
  return true;
}

std::optional<ToolCall> ToolCallParser::ParseCall(std::string_view body, bool ended) const {
  std::optional<ToolCall> call =
      format_ == ToolCallFormat::kHermes ? ParseHermes(body) : ParseDeepSeek(body, ended);
  return call && IsToolName(call->name) ? call : std::nullopt;
}

ToolCallDelta ToolCallParser::Finish() {
  ToolCallDelta delta;
  if (state_ == State::kCall) {
    // The end of the last call is often what a stop token takes away.
    if (std::optional<ToolCall> call = ParseCall(pending_, false)) {
      call->index = num_calls_++;
      delta.calls.push_back(std::move(*call));
      pending_.clear();
      blanks_.clear();
      return delta;
    }
    pending_.insert(0, call_begin_);
  }
  delta.text = after_call_ && pending_.empty() ? "" : blanks_ + opened_ + pending_;
  pending_.clear();
  blanks_.clear();
  opened_.clear();
  return delta;
}

}  // namespace reckon
