// Python's operations on text, over UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reckon::jinja {

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
std::string Capitalize(std::string_view text);  // first character up, the rest down
std::string TitleCase(std::string_view text);   // str.title: after every character without case
std::string SwapCase(std::string_view text);

enum class Side { kBoth, kLeft, kRight };
// Without `characters`: white space.
std::string_view Strip(std::string_view text, Side side,
                       std::optional<std::string_view> characters = {});

// str.split and str.rsplit; at most `max_splits` cuts, -1: all. Without a separator: at runs of
// white space. A separator is not empty.
std::vector<std::string_view> Split(std::string_view text,
                                    std::optional<std::string_view> separator, int64_t max_splits);
std::vector<std::string_view> SplitFromRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t max_splits);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);

// int() and float() of a text; nothing where Python raises ValueError. Base 0 reads prefixes. An
// integer beyond 64 bits gives nothing.
std::optional<int64_t> ParseInteger(std::string_view text, int base);
std::optional<double> ParseFloat(std::string_view text);

// str.isalpha and others: true where each character is of the kind and there is one.
bool IsAlpha(std::string_view text);
bool IsDigit(std::string_view text);
bool IsAlphaNumeric(std::string_view text);
bool IsSpace(std::string_view text);
bool IsUpper(std::string_view text);
bool IsLower(std::string_view text);

// As Python prints a string inside a list: in quotes, with escapes.
std::string QuotedRepr(std::string_view text);

}  // namespace reckon::jinja
