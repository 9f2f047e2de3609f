// A chat template, rendered over a conversation with tools within limits.
#include "tests/fuzz/support.h"
#include "text/jinja.h"

namespace {

constexpr const char* kVariables = R"({
  "messages": [{"role": "system", "content": "Be brief."},
               {"role": "user", "content": "2+2? {{ 7 * 7 }}"},
               {"role": "assistant", "content": null, "tool_calls": [
                   {"id": "c1", "type": "function",
                    "function": {"name": "add", "arguments": {"a": 2, "b": 2.5}}}]},
               {"role": "tool", "tool_call_id": "c1", "content": "4"}],
  "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
  "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true, "enable_thinking": false})";

reckon::jinja::Limits SmallLimits() {
  reckon::jinja::Limits limits;
  limits.max_steps = 200'000;
  limits.max_bytes = 4 << 20;
  limits.max_output_bytes = 1 << 20;
  return limits;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const reckon::Json variables = reckon::ParseJson(kVariables, "variables");
  const reckon::jinja::Limits limits = SmallLimits();
  // A tree of nodes takes up to some hundred bytes for each byte of the source.
  const size_t tree_bytes = 200 * size;
  const size_t rendering_bytes = static_cast<size_t>(8 * limits.max_bytes);
  reckon::MustAnswer(
      size,
      [&] {
        const auto parsed =
            reckon::jinja::Template::Parse(reckon::InputText(data, size), "t.jinja", limits);
        const reckon::jinja::Rendered rendered =
            parsed.Render(variables, reckon::jinja::ParseCivilTime("2025-03-04 05:06:07"));
        reckon::MustHold(static_cast<int64_t>(rendered.text.size()) <= limits.max_output_bytes,
                         "a text stays within its limit");
      },
      tree_bytes + rendering_bytes);
  return 0;
}
