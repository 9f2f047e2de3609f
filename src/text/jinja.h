// The Jinja template language, as far as chat templates use it (docs/templates.md): what Jinja2's
// ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks and loop controls prints.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/json.h"
#include "text/jinja_time.h"
#include "text/jinja_value.h"

namespace reckon::jinja {

struct Program;

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generation;  // begin and end of {% generation %} blocks
};

class Template {
 public:
  // `name` begins every message. Throws Error{kCorrupt} with the line of a mistake.
  static Template Parse(std::string_view source, std::string name, const Limits& limits = {});
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  const std::string& name() const { return name_; }
  // `variables` is an object; the template sees nothing else but `now`. Throws
  // Error{kInvalidArgument} with the line of what failed. Any number of threads may render at once.
  Rendered Render(const Json& variables, const CivilTime& now) const;

 private:
  Template(std::string name, const Limits& limits, std::unique_ptr<const Program> program);

  std::string name_;
  Limits limits_;
  std::unique_ptr<const Program> program_;
};

}  // namespace reckon::jinja
