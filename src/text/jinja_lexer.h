// Cuts a template into text and the tokens of its tags, white space control done.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_value.h"

namespace reckon::jinja {

enum class TokenType {
  kText,           // outside tags
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  std::string text;  // of a string: its value, escapes resolved
  Value number;      // of an integer or a float
  int line = 1;
};

// A mistake in a template's source.
class SyntaxFault : public Fault {
 public:
  SyntaxFault(int line_number, const std::string& message) : Fault(message), line(line_number) {}
  int line;
};

// As Jinja with trim_blocks and lstrip_blocks set: the line break after a block tag and the blanks
// before one go; "-" takes all white space on its side, "+" keeps it. Line breaks become "\n", the
// last one of the source goes. The last token is kEnd. Throws SyntaxFault.
std::vector<Token> Tokenize(std::string_view source);

}  // namespace reckon::jinja
