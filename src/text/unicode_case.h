// Upper and lower case and white space of Unicode characters, as Python's str methods see them.
#pragma once

#include <cstdint>
#include <string>

namespace reckon {

// Append the whole mapping, which may be several characters ("ß" becomes "SS").
void AppendUpper(uint32_t code_point, std::string& out);
void AppendLower(uint32_t code_point, std::string& out);
// Whether the mapping differs from the character itself.
bool HasUpper(uint32_t code_point);
bool HasLower(uint32_t code_point);
// str.isspace.
bool IsUnicodeSpace(uint32_t code_point);

}  // namespace reckon
