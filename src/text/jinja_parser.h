// Source of a template to its syntax tree.
#pragma once

#include <string_view>

#include "text/jinja_ast.h"

namespace reckon::jinja {

// Symbols that every program has, in this order.
enum : int { kSymbolLoop, kSymbolCaller, kSymbolVarargs, kSymbolKwargs };

// Throws SyntaxFault.
Program ParseTemplate(std::string_view source);

}  // namespace reckon::jinja
