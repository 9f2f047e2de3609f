#include "text/jinja.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/jinja_lexer.h"
#include "text/jinja_parser.h"
#include "text/jinja_runtime.h"
#include "text/utf8.h"

namespace reckon::jinja {

Template::Template(std::string name, const Limits& limits, std::unique_ptr<const Program> program)
    : name_(std::move(name)), limits_(limits), program_(std::move(program)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Template Template::Parse(std::string_view source, std::string name, const Limits& limits) {
  if (static_cast<int64_t>(source.size()) > limits.max_source_bytes) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: a template of {} bytes; at most {} are read", name,
                                           source.size(), limits.max_source_bytes));
  }
  const size_t valid = ValidUtf8Prefix(source).size();
  if (valid < source.size()) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: byte {} is no UTF-8", name, valid));
  }
  try {
    auto program = std::make_unique<const Program>(ParseTemplate(source));
    return Template(std::move(name), limits, std::move(program));
  } catch (const SyntaxFault& fault) {
    Throw(ErrorKind::kCorrupt, fmt::format("{}: line {}: {}", name, fault.line, fault.what()));
  }
}

Rendered Template::Render(const Json& variables, const CivilTime& now) const {
  if (!variables.is_object()) {
    Throw(ErrorKind::kInvalidArgument, name_ + ": the variables of a template are an object");
  }
  Runtime runtime(*program_, limits_, now);
  try {
    Rendered rendered;
    rendered.text = runtime.Render(variables);
    rendered.generation = runtime.generation();
    return rendered;
  } catch (const Fault& fault) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("{}: line {}: {}", name_, runtime.line(), fault.what()));
  }
}

}  // namespace reckon::jinja
