// The time that a template sees.
#pragma once

#include <string>
#include <string_view>

namespace reckon::jinja {

struct CivilTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;
};

CivilTime LocalNow();
// "2025-01-20" or "2025-01-20T12:00:00"; throws Error{kInvalidArgument}.
CivilTime ParseCivilTime(std::string_view text);
// datetime.strftime of a time without zone, in the C locale; unknown directives stay as they are.
std::string FormatTime(const CivilTime& time, std::string_view format);

}  // namespace reckon::jinja
