// Templates that mean harm: each ends in an error or a text, soon and within bounded memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/rng.h"
#include "text/jinja.h"

namespace reckon::jinja {
namespace {

using testing::HasSubstr;

std::string Print(std::string_view source, const Limits& limits = {},
                  const Json& variables = Json::object()) {
  try {
    return Template::Parse(source, "t", limits).Render(variables, {}).text;
  } catch (const Error& error) {
    return std::string("ERROR ") + error.what();
  }
}

// For sources that are larger than is read otherwise.
Limits LongSource() {
  Limits limits;
  limits.max_source_bytes = 1 << 21;
  return limits;
}

std::string Times(std::string_view text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

TEST(JinjaLimits, DeepNestingOfTheSourceIsRefused) {
  constexpr size_t kMany = 58'000;
  for (const std::string& source :
       {"{{ " + Times("(", kMany) + "1" + Times(")", kMany) + " }}",
        "{{ " + Times("[", kMany) + Times("]", kMany) + " }}",
        "{{ " + Times("{1:", kMany) + "1" + Times("}", kMany) + " }}",
        "{{ " + Times("not ", kMany) + "1 }}",
        "{{ " + Times("- ", kMany) + "1 }}",
        "{{ 1" + Times(" + 1", kMany) + " }}",
        "{{ 1" + Times(" ~ 1", 10) + Times(" ** 1", kMany) + " }}",
        "{{ x" + Times(".a", kMany) + " }}",
        "{{ x" + Times("[0]", kMany) + " }}",
        "{{ x" + Times("|e", kMany) + " }}",
        "{{ x" + Times("()", kMany) + " }}",
        "{{ f" + Times("(f", kMany) + Times(")", kMany) + " }}",
        "{{ 1" + Times(" if 1 else 1", kMany) + " }}",
        "{{ 1" + Times(" and 1", kMany) + " }}",
        Times("{% if 1 %}", kMany),
        Times("{% for i in x %}", kMany),
        Times("{% macro f() %}", kMany),
        Times("{% set x %}", kMany),
        Times("{% filter e %}", kMany),
        "{% set " + Times("(", kMany) + "a" + Times(")", kMany) + " = 1 %}"}) {
    EXPECT_THAT(Print(source, LongSource()), HasSubstr("nested deeper than 200 levels"))
        << source.substr(0, 30);
  }
}

TEST(JinjaLimits, SixtyThousandOpenBracketsAreRefused) {
  EXPECT_THAT(Print("{{ " + Times("(", 60'000)), HasSubstr("ends within a tag"));
  EXPECT_THAT(Print("{{ " + Times("(", 60'000) + " }}"), HasSubstr("ERROR"));
}

TEST(JinjaLimits, WideIsNotDeep) {
  EXPECT_EQ(Print("{{ [" + Times("1,", 60'000) + "] | length }}"), "60000");
  EXPECT_EQ(Print("{{ 1" + Times(" ~ 1", 60'000) + " }}", LongSource()).size(), 60'001u);
  EXPECT_EQ(Print("{% if 0 %}" + Times("{% elif 0 %}", 10'000) + "{% else %}x{% endif %}"), "x");
  EXPECT_EQ(Print(Times("{{ 1 }}", 20'000)).size(), 20'000u);
}

// What a user writes is text, whatever it looks like; and no name leads out of the template.
TEST(JinjaLimits, TextOfAUserIsNeverATemplate) {
  const Json variables = {{"m", "{{ 7 * 7 }}{% for i in range(9) %}x{% endfor %}{# #}"}};
  EXPECT_EQ(Print("{{ m }}", {}, variables), variables["m"].get<std::string>());
  EXPECT_EQ(Print("{% set x = m ~ m %}{{ x[:11] }}", {}, variables), "{{ 7 * 7 }}");
  EXPECT_EQ(Print("{{ m | replace('7', '{{') | trim | length }}", {}, variables),
            std::to_string(variables["m"].get<std::string>().size() + 2));
  for (const char* source :
       {"{{ ''.__class__.__mro__ }}", "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}", "{{ m.__class__ }}", "{{ lipsum.__globals__ }}",
        "{{ m | attr('__class__') }}", "{{ '{0.__class__}'.format(m) }}", "{% include 'x' %}",
        "{% import 'x' as y %}", "{% extends 'x' %}"}) {
    const std::string text = Print(source, {}, variables);
    EXPECT_TRUE(text.empty() || text.rfind("ERROR", 0) == 0) << source << " gave " << text;
  }
}

TEST(JinjaLimits, LoopsAndRecursionsEnd) {
  const std::string loop = "{% for i in range(100000) %}", end = "{% endfor %}";
  EXPECT_THAT(Print(loop + loop + loop + end + end + end), HasSubstr("steps"));
  EXPECT_THAT(Print("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("nested deeper than"));
  EXPECT_THAT(
      Print("{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
            "{{ f(60) }}"),
      HasSubstr("steps"));
  EXPECT_THAT(Print("{% macro f() %}{{ caller() }}{% endmacro %}{% set ns = namespace() %}"
                    "{% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}"),
              HasSubstr("nested deeper than"));
}

TEST(JinjaLimits, TextsAndListsStayWithinTheirBytes) {
  Limits tight;
  tight.max_bytes = 1 << 22;
  const std::string grow = "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(100) %}";
  for (const std::string& source :
       {grow + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
        grow + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        grow + "{% set ns.x = [ns.x] + [ns.x] %}{% set ns.x = ns.x | string %}{% endfor %}",
        grow + "{% set ns.x = ns.x.replace('a', 'aaaaaaaa') %}{% endfor %}",
        grow + "{% set ns.x = ns.x | join(ns.x) %}{% endfor %}",
        std::string("{{ 'x' * 1000000000000 }}"), std::string("{{ [1] * 9223372036854775807 }}"),
        std::string("{{ 'ab' * 4611686018427387905 }}"),
        std::string("{{ 'x'.center(9999999999) }}"),
        std::string("{{ 'x'.ljust(9223372036854775807) }}"),
        std::string("{{ 'x'.zfill(9999999999) }}"), std::string("{{ 'x' | center(9999999999) }}"),
        std::string("{{ 'a\\nb' | indent(9999999999) }}"),
        std::string("{{ [1] | tojson(indent=9999999999) }}"),
        std::string("{{ '\\t'.expandtabs(9999999999) }}"),
        std::string("{{ [1] | batch(9223372036854775807, 0) | list }}")}) {
    EXPECT_THAT(Print(source, tight), HasSubstr("ERROR t: line 1: more than")) << source;
  }
  for (const char* source : {"{{ '%9999999999d' % 1 }}", "{{ '{:9999999999}'.format(1) }}",
                             "{{ '%.9999999999f' % 1.0 }}"}) {
    EXPECT_THAT(Print(source), HasSubstr("width")) << source;
  }
  Limits small;
  small.max_output_bytes = 1000;
  EXPECT_THAT(Print("{% for i in range(100) %}0123456789{% endfor %}{{ 1 }}", small),
              HasSubstr("longer than 1000 bytes"));
  small.max_source_bytes = 10;
  EXPECT_THAT(Print("0123456789a", small), HasSubstr("at most 10 are read"));
}

TEST(JinjaLimits, NestedValuesAreBuiltPrintedAndDestroyedSafely) {
  EXPECT_THAT(Print("{% set ns = namespace(x=[]) %}{% for i in range(100000) %}"
                    "{% set ns.x = [ns.x] %}{% endfor %}"),
              HasSubstr("nested deeper than 200 levels"));
  EXPECT_THAT(Print("{% set ns = namespace(x={}) %}{% for i in range(100000) %}"
                    "{% set ns.x = {'a': ns.x} %}{% endfor %}"),
              HasSubstr("nested deeper than 200 levels"));
  // 2^100 leaves, all the same list.
  const std::string wide =
      "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}";
  EXPECT_THAT(Print(wide + "{{ ns.x }}"), HasSubstr("more than"));
  EXPECT_THAT(Print(wide + "{{ ns.x | tojson }}"), HasSubstr("more than"));
  EXPECT_THAT(Print(wide + "{{ ns.x == ns.y }}"), HasSubstr("steps"));
  EXPECT_THAT(Print(wide + "{{ ns.x < ns.y }}"), HasSubstr("steps"));
}

TEST(JinjaLimits, CyclesOfReferencesAreReleasedAndPrintAnError) {
  EXPECT_EQ(Print("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
  EXPECT_THAT(Print("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}"),
              HasSubstr("nested"));
  EXPECT_EQ(
      Print("{% set ns = namespace() %}{% macro f() %}{{ ns }}{% endmacro %}{% set ns.f = f %}"
            "{% for i in [1] %}{% macro g() %}{{ i }}{% endmacro %}{% set ns.g = g %}"
            "{% set ns.l = loop %}{% set x = loop.changed(loop) %}{% endfor %}{{ ns.g() }}"),
      "1");
}

TEST(JinjaLimits, DeepDataAreRefused) {
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::array({deep});
  EXPECT_THAT(Print("{{ x }}", {}, {{"x", deep}}), HasSubstr("nested too deep"));
}

TEST(JinjaLimits, AnyBytesAreATextOrAnError) {
  const std::vector<std::string> parts = {
      "{{",       "}}",     "{%",      "%}",        "{#",     "#}",       "-",         "+",
      "if",       "else",   "endif",   "for",       "in",     "endfor",   "set",       "macro",
      "endmacro", "call",   "endcall", "x",         "loop",   "ns",       "namespace", "(",
      ")",        "[",      "]",       "{",         "}",      ",",        ":",         "|",
      ".",        "=",      "==",      "*",         "**",     "//",       "%",         "~",
      "'a'",      "\"",     "\\",      "1",         "2.5",    "-1",       " ",         "\n",
      "is",       "not",    "and",     "or",        "none",   "true",     "range",     "length",
      "map",      "join",   "tojson",  "sort",      "upper",  "split",    "format",    "items",
      "raw",      "endraw", "filter",  "endfilter", "endset", "\xC3\xA9", "\xFF",      "$"};
  Limits limits;
  limits.max_steps = 20'000;
  limits.max_bytes = 1 << 20;
  Rng rng(7, {});
  for (int round = 0; round < 20'000; ++round) {
    std::string source = rng.Bernoulli(0.5) ? "{{ " : "{% ";
    for (int64_t n = rng.Below(30); n > 0; --n) {
      source += parts[static_cast<size_t>(rng.Below(static_cast<int64_t>(parts.size())))];
      if (rng.Bernoulli(0.5)) source += " ";
    }
    if (rng.Bernoulli(0.5)) source += " }}";
    Print(source, limits, {{"x", {{"a", {1, "b"}}}}});
  }
}

}  // namespace
}  // namespace reckon::jinja
