#include "text/jinja_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/error.h"

namespace reckon::jinja {
namespace {

constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};

bool IsLeap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int DaysOfMonth(int year, int month) {
  constexpr int kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return kLengths[month - 1] + (month == 2 && IsLeap(year) ? 1 : 0);
}

// From 0.
int DayOfYear(const CivilTime& time) {
  int days = time.day - 1;
  for (int month = 1; month < time.month; ++month) days += DaysOfMonth(time.year, month);
  return days;
}

// 0 is Sunday.
int Weekday(const CivilTime& time) {
  const int years = time.year - 1;
  return (years + years / 4 - years / 100 + years / 400 + DayOfYear(time) + 1) % 7;
}

// Year and week of ISO 8601.
std::pair<int, int> IsoWeek(const CivilTime& time) {
  const int monday = (Weekday(time) + 6) % 7;
  const int week = (DayOfYear(time) - monday + 10) / 7;
  const auto weeks_in = [](int year) {
    const int last = Weekday({year, 12, 31}), before = Weekday({year - 1, 12, 31});
    return last == 4 || before == 3 ? 53 : 52;
  };
  if (week < 1) return {time.year - 1, weeks_in(time.year - 1)};
  if (week > weeks_in(time.year)) return {time.year + 1, 1};
  return {time.year, week};
}

std::string Directive(const CivilTime& t, char directive) {
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const int weekday = Weekday(t), yearday = DayOfYear(t);
  switch (directive) {
    case 'a':
      return std::string(kDays[weekday]).substr(0, 3);
    case 'A':
      return kDays[weekday];
    case 'b':
    case 'h':
      return std::string(kMonths[t.month - 1]).substr(0, 3);
    case 'B':
      return kMonths[t.month - 1];
    case 'C':
      return fmt::format("{:02}", t.year / 100);
    case 'd':
      return fmt::format("{:02}", t.day);
    case 'e':
      return fmt::format("{:2}", t.day);
    case 'f':
      return "000000";
    case 'G':
      return fmt::format("{}", IsoWeek(t).first);
    case 'H':
      return fmt::format("{:02}", t.hour);
    case 'I':
      return fmt::format("{:02}", hour12);
    case 'j':
      return fmt::format("{:03}", yearday + 1);
    case 'k':
      return fmt::format("{:2}", t.hour);
    case 'l':
      return fmt::format("{:2}", hour12);
    case 'm':
      return fmt::format("{:02}", t.month);
    case 'M':
      return fmt::format("{:02}", t.minute);
    case 'n':
      return "\n";
    case 'p':
      return t.hour < 12 ? "AM" : "PM";
    case 'S':
      return fmt::format("{:02}", t.second);
    case 't':
      return "\t";
    case 'u':
      return fmt::format("{}", weekday == 0 ? 7 : weekday);
    case 'U':
      return fmt::format("{:02}", (yearday + 7 - weekday) / 7);
    case 'V':
      return fmt::format("{:02}", IsoWeek(t).second);
    case 'w':
      return fmt::format("{}", weekday);
    case 'W':
      return fmt::format("{:02}", (yearday + 7 - (weekday + 6) % 7) / 7);
    case 'y':
      return fmt::format("{:02}", t.year % 100);
    case 'Y':
      return fmt::format("{}", t.year);
    case 'z':
    case 'Z':
      return "";
    case '%':
      return "%";
    case 'c':
      return FormatTime(t, "%a %b %e %H:%M:%S %Y");
    case 'D':
    case 'x':
      return FormatTime(t, "%m/%d/%y");
    case 'F':
      return FormatTime(t, "%Y-%m-%d");
    case 'r':
      return FormatTime(t, "%I:%M:%S %p");
    case 'R':
      return FormatTime(t, "%H:%M");
    case 'T':
    case 'X':
      return FormatTime(t, "%H:%M:%S");
    default:
      return {'%', directive};
  }
}

// "%-d" and "%_d" as glibc has them: no padding, padding by blanks.
std::string Repadded(std::string text, char flag) {
  size_t zeros = 0;
  while (zeros + 1 < text.size() && (text[zeros] == '0' || text[zeros] == ' ')) ++zeros;
  if (flag == '-') return text.substr(zeros);
  for (size_t i = 0; i < zeros; ++i) text[i] = ' ';
  return text;
}

}  // namespace

CivilTime LocalNow() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return {local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
          local.tm_hour,        local.tm_min,     std::min(local.tm_sec, 59)};
}

CivilTime ParseCivilTime(std::string_view text) {
  CivilTime t;
  const std::string copy(text);
  int used = 0;
  const int fields =
      std::sscanf(copy.c_str(), "%4d-%2d-%2d%n%*1[T ]%2d:%2d%n:%2d%n", &t.year, &t.month, &t.day,
                  &used, &t.hour, &t.minute, &used, &t.second, &used);
  const bool shape =
      (fields == 3 || fields == 5 || fields == 6) && static_cast<size_t>(used) == copy.size();
  const bool range = t.year >= 1 && t.month >= 1 && t.month <= 12 && t.day >= 1 && t.hour >= 0 &&
                     t.hour < 24 && t.minute >= 0 && t.minute < 60 && t.second >= 0 &&
                     t.second < 60;
  if (!shape || !range || t.day > DaysOfMonth(t.year, t.month)) {
    Throw(ErrorKind::kInvalidArgument,
          fmt::format("\"{}\" is no time; write it as 2025-01-20 or 2025-01-20T12:00:00", text));
  }
  return t;
}

std::string FormatTime(const CivilTime& time, std::string_view format) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const char next = format[++i];
    const bool flag = (next == '-' || next == '_') && i + 1 < format.size();
    out += flag ? Repadded(Directive(time, format[++i]), next) : Directive(time, next);
  }
  return out;
}

}  // namespace reckon::jinja
