// What templates print, by feature. The expected texts are Jinja2 3.1.6's.
#include "text/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace reckon::jinja {
namespace {

using testing::HasSubstr;

const CivilTime kNoon{2025, 1, 20, 12, 0, 0};

std::string Print(std::string_view source, const Json& variables = Json::object()) {
  try {
    return Template::Parse(source, "t").Render(variables, kNoon).text;
  } catch (const Error& error) {
    return std::string("ERROR ") + error.what();
  }
}

struct Case {
  const char* source;
  const char* printed;
};

void ExpectPrinted(const std::vector<Case>& cases, const Json& variables = Json::object()) {
  for (const Case& c : cases) EXPECT_EQ(Print(c.source, variables), c.printed) << c.source;
}

void ExpectErrors(const std::vector<Case>& cases, const Json& variables = Json::object()) {
  for (const Case& c : cases) {
    const std::string printed = Print(c.source, variables);
    EXPECT_THAT(printed, testing::StartsWith("ERROR t: line ")) << c.source;
    EXPECT_THAT(printed, HasSubstr(c.printed)) << c.source;
  }
}

TEST(Jinja, TrimsAroundTagsAsTransformersSetsIt) {
  ExpectPrinted({
      {"a\n{% if true %}\nb\n{% endif %}\nc\n", "a\nb\nc"},
      {"  {% if true %}\n  x\n  {% endif %}\n", "  x\n"},
      {"  {%+ if true %}x{% endif %}", "  x"},
      {"{% if true +%}\nx{% endif %}", "\nx"},
      {" {{ 1 }} \n", " 1 "},
      {" {{- 1 -}} \n x", "1x"},
      {"{# a #}\nb", "b"},
      {"  {# a #}\nb", "b"},
      {"x {#- a -#} b", "xb"},
      {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
      {"{%- raw -%}  {% if %}  {%- endraw -%} y", "{% if %}y"},
      {"a\r\nb\rc", "a\nb\nc"},
      {"a\n\n", "a\n"},
      {"{", "{"},
      {"{ % {{ '}}' }} }}", "{ % }} }}"},
      {"x\n  {% set a = 1 %}  y", "x\n  y"},
  });
}

TEST(Jinja, LiteralsAndStringEscapesArePythons) {
  ExpectPrinted({
      {"{{ [1, 1.0, 'a', true, none, (1,), {}, ()] }}", "[1, 1.0, 'a', True, None, (1,), {}, ()]"},
      {"{{ {'a': 1, 2: [3]} }}", "{'a': 1, 2: [3]}"},
      {"{{ 'a\\x41\\u00e9\\n\\q' }}", "aA\xC3\xA9\n\\q"},
      {"{{ ['it\\'s', 'say \"x\"', 'both \\' \"', '\\n\\t\\\\', '\\x01\\x7f', '\xC2\xA0'] }}",
       "[\"it's\", 'say \"x\"', 'both \\' \"', '\\n\\t\\\\', '\\x01\\x7f', '\\xa0']"},
      {"{{ 'a' 'b' \"c\" }}", "abc"},
      {"{{ 1_000 + 0x1F + 0b11 + 0o17 }}", "1049"},
      {"{{ 1e3 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 123456789.123 }} {{ 0.1 + 0.2 }} {{ 1e22 }}",
       "1000.0 1.5e-07 1e+16 123456789.123 0.30000000000000004 1e+22"},
      {"{{ 5e-324 }} {{ 1.7976931348623157e308 }} {{ 1e15 }} {{ 0.0001 }}",
       "5e-324 1.7976931348623157e+308 1000000000000000.0 0.0001"},
  });
}

TEST(Jinja, ArithmeticIsPythons) {
  ExpectPrinted({
      {"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }}",
       "3 -4 -2 2 3.5 1024"},
      {"{{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ -7.5 % 2 }} {{ 7.5 // -2 }}",
       "0.5 64 4 0.5 -4.0"},
      {"{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 'a' * 3 }} {{ [1] * 2 + [2] }} {{ true + 1 }}",
       "3 9 aaa [1, 1, 2] 2"},
      {"{{ 1 ~ 'a' ~ none ~ 2 + 3 }}",
       "ERROR t: line 1: can only concatenate str (not \"int\") to str"},
      {"{{ '%s is %05.1f and %d%% %r' % ('x', 3.14159, 42, 'q') }}", "x is 003.1 and 42% 'q'"},
      {"{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }}",
       "True False True True True"},
      {"{{ not 1 == 2 }} {{ 1 in [1] and 'a' not in 'xyz' }} {{ 1 if 0 }}|{{ 2 if 0 else 3 }}",
       "True True |3"},
  });
  ExpectErrors({{"{{ 1 / 0 }}", "division by zero"},
                {"{{ 1 % 0 }}", "modulo by zero"},
                {"{{ 9223372036854775807 + 1 }}", "64 bits"},
                {"{{ -9223372036854775807 - 2 }}", "64 bits"},
                {"{{ 10 ** 40 }}", "64 bits"},
                {"{{ 1 < 'a' }}", "'<' not supported between instances of 'int' and 'str'"},
                {"{{ -'a' }}", "bad operand type for unary -: 'str'"},
                {"{{ none + 1 }}", "unsupported operand type(s) for +: 'NoneType' and 'int'"}});
}

TEST(Jinja, ScopesAreThoseOfJinja) {
  ExpectPrinted({
      {"{% set x = 1 %}{% for i in [1] %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}", "121"},
      {"{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "2"},
      {"{% macro f() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}", "1"},
      {"{% macro f(a, b=a + 1) %}{{ a }},{{ b }}{% set a = 9 %}{% endmacro %}{{ f(1) }} {{ f(1, "
       "b=5) }}",
       "1,2 1,5"},
      {"{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "3False"},
      {"{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}"
       "{{ ns.a }}{{ ns['a'] }}{{ ns.b is defined }}",
       "44False"},
      {"{% set a, b = [1, 2] %}{{ a }}{{ b }}{% set (c, d), e = [3, 4], 5 %}{{ c }}{{ d }}{{ e }}",
       "12345"},
      {"{% set x %}a{% set y = 1 %}b{% endset %}{{ x }}{{ y is defined }}", "abFalse"},
      {"{% set x | upper | trim %} ab {% endset %}{{ x }}", "AB"},
      {"{% filter replace('a', 'b') | upper %}aaa{% endfilter %}", "BBB"},
      {"{% for loop in [1] %}{{ loop.index }}{% endfor %}", "1"},
  });
}

TEST(Jinja, LoopsKnowTheirPlace) {
  ExpectPrinted({
      {"{% for i in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}"
       "{{ loop.last }}{{ loop.length }};{% endfor %}",
       "103TrueFalse3;212FalseFalse3;321FalseTrue3;"},
      {"{% for i in [1, 2, 3] if i != 2 %}{{ i }}{{ loop.previtem }}{{ loop.nextitem }}.{% endfor "
       "%}",
       "13.31."},
      {"{% for i in [] %}x{% else %}none{% endfor %}", "none"},
      {"{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"},
      {"{% for i in [1, 2] %}{% for j in [1, 2] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j "
       "}} "
       "{% endfor %}{% endfor %}",
       "11 21 "},
      {"{% for i in range(4) %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }}{% endfor %}",
       "aTruebFalseaTruebFalse"},
      {"{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"},
      {"{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}", "ab"},
      {"{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123"},
      {"{{ range(3) }} {{ range(5, 0, -2) | list }} {{ range(3)[1] }}", "range(0, 3) [5, 3, 1] 1"},
      {"{% set g = [1, 2] | map('string') %}{{ g | list }}{{ g | list }}", "['1', '2'][]"},
  });
  ExpectErrors({{"{% for i in none %}{% endfor %}", "'NoneType' object is not iterable"},
                {"{% for a, b in [1] %}{% endfor %}", "cannot unpack non-iterable int"},
                {"{% for a, b in [[1]] %}{% endfor %}", "cannot unpack 1 values into 2 names"},
                {"{% break %}", "outside of a loop"},
                {"{% for i in x recursive %}{% endfor %}", "recursive"}});
}

TEST(Jinja, MacrosBindArgumentsAndCallers) {
  ExpectPrinted({
      {"{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
       "1(2,){'x': 3}"},
      {"{% macro f(a) %}[{{ a }}]{% endmacro %}{{ f() }}{{ f }}", "[]<Macro 'f'>"},
      {"{% macro f() %}<{{ caller(1) }}>{% endmacro %}{% call(x) f() %}{{ x + 1 }}{% endcall %}",
       "<2>"},
      {"{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
       "3210"},
      {"{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(**{'b': 1, 'a': 2}) }}{{ f(*[3, 4]) }}",
       "2134"},
      {"{% for i in [1, 2] %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "12"},
  });
  ExpectErrors({{"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "takes not more than 1 argument"},
                {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "no keyword argument 'b'"},
                {"{{ f() }}", "'f' is undefined"},
                {"{{ 'a'() }}", "'str' object is not callable"},
                {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested deeper"}});
}

TEST(Jinja, UndefinedPrintsNothingAndRefusesUse) {
  ExpectPrinted({
      {"[{{ x }}]{% if x %}a{% endif %}{% for i in x %}b{% endfor %}{{ x is undefined }}",
       "[]True"},
      {"{{ x | default('d') }}{{ {}.a | default('e') }}{{ [1][5] | default('f') }}", "def"},
      {"{{ none.x is defined }}{{ 'a' in x }}{{ x | length }}{{ x == y }}{{ [x] }}",
       "FalseFalse0True[Undefined]"},
      {"{{ 'x' ~ x ~ 'y' }}{{ x | string | length }}", "xy0"},
  });
  ExpectErrors({{"{{ x.y }}", "'x' is undefined"},
                {"{{ x + 1 }}", "'x' is undefined"},
                {"{{ {'a': 1}.b.c }}", "'dict object' has no attribute 'b'"},
                {"{{ none.b() }}", "'None' has no attribute 'b'"},
                {"{{ [1][7].a }}", "list object' has no element 7"},
                {"{{ x | tojson }}", "Undefined is not JSON serializable"}});
}

TEST(Jinja, SlicesAndItems) {
  ExpectPrinted(
      {{"{{ s[1:] }} {{ s[:-1] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-2] }} {{ s[1:99] }}",
        "\xC3\xA9llo h\xC3\xA9ll oll\xC3\xA9h hlo l \xC3\xA9llo"},
       {"{{ l[1:] }} {{ l[:1] }} {{ l[::-1] }} {{ l[-1] }} {{ l[5:] }} {{ l[2:0:-1] }}",
        "[2, 3] [1] [3, 2, 1] 3 [] [3, 2]"},
       {"{{ l[9223372036854775807:] }}{{ l[-9223372036854775807::9223372036854775807] }}", "[][1]"},
       {"{{ (1, 2, 3)[1:] }} {{ d['a'] }} {{ d.a }} {{ d.get('z', 5) }} {{ d['keys']() }}",
        "(2, 3) 1 1 5 dict_keys(['a', 'keys2'])"},
       {"{{ l.0 }}{{ d | length }}{{ s | length }}{{ {1: 'x'}[1.0] }}{{ {true: 'y'}[1] }}",
        "125xy"}},
      {{"s", "h\xC3\xA9llo"}, {"l", {1, 2, 3}}, {"d", {{"a", 1}, {"keys2", 2}}}});
}

TEST(Jinja, StringMethods) {
  ExpectPrinted({
      {"{{ ' a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'xxa'.lstrip('x') }}|{{ 'a\\n'.rstrip() "
       "}}",
       "a b|a|a|a"},
      {"{{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'a,b,c'.rsplit(',', 1) }}",
       "['a', 'b,c'] ['a', 'b'] ['a,b', 'c']"},
      {"{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'bc')) }}{{ 'abc'.startswith('b', 1) "
       "}}",
       "TrueTrueTrue"},
      {"{{ 'aXbX'.replace('X', '-', 1) }} {{ '-'.join(['a', 'b']) }} {{ 'abcb'.find('b') }} "
       "{{ 'abcb'.rfind('b') }} {{ 'abcb'.count('b') }}",
       "a-bX a-b 1 3 2"},
      {"{{ 'hello world'.title() }} {{ 'hELLO'.capitalize() }} {{ 'aBc'.swapcase() }} {{ "
       "'a'.upper() }}",
       "Hello World Hello AbC A"},
      {"{{ 'stra\xC3\x9F"
       "e'.upper() }} {{ '\xC3\x89\xCE\xA9'.lower() }} {{ '\xD0\xB4'.upper() }}",
       "STRASSE \xC3\xA9\xCF\x89 \xD0\x94"},
      {"{{ 'a'.center(4, '*') }} {{ 'ab'.center(5) }}| {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3) }}| "
       "{{ '-5'.zfill(4) }}",
       "*a**   ab | a  |   a| -005"},
      {"{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'a\\nb'.splitlines() }}",
       "('a', '=', 'b=c') ('a=b', '=', 'c') ['a', 'b']"},
      {"{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ '12'.isdigit() }}{{ "
       "'aB'.isalpha() }}"
       "{{ ' '.isspace() }}{{ 'AB'.isupper() }}",
       "bcabTrueTrueTrueTrue"},
  });
}

TEST(Jinja, FormatsAsPythonDoes) {
  ExpectPrinted({
      {"{{ '{0} {1} {a:>5} {b[x]!r} {{}}'.format(1, 2, a='z', b={'x': 'y'}) }}",
       "1 2     z 'y' {}"},
      {"{{ '{:.2f} {:05d} {:,} {:x} {:<4}| {:^5}|{:+}'.format(3.14159, 42, 1234567, 255, 'a', 'b', "
       "3) }}",
       "3.14 00042 1,234,567 ff a   |   b  |+3"},
      {"{{ '%-5s|%5s|%+d|%x|%e|%g' % ('a', 'b', 5, 255, 1234.5, 0.0001) }}",
       "a    |    b|+5|ff|1.234500e+03|0.0001"},
      {"{{ '%(a)s' % {'a': 1} }} {{ '%s' | format('x') }} {{ '100%%' % () }}", "1 x 100%"},
  });
}

TEST(Jinja, ListFilters) {
  ExpectPrinted({
      {"{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | "
       "sort(case_sensitive=true) }} "
       "{{ [1, 2] | sort(reverse=true) }}",
       "[1, 2, 3] ['A', 'b', 'c'] ['A', 'b'] [2, 1]"},
      {"{{ [1, 2, 3] | first }}{{ [1, 2, 3] | last }}{{ [1, 2, 3] | sum }}{{ [1, 3] | max }}{{ [1, "
       "3] | min }}",
       "13631"},
      {"{{ [1, 2, 1] | unique | list }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }} {{ "
       "'ab' | list }}",
       "[1, 2] [2, 1] cba ['a', 'b']"},
      {"{{ [1, 2, 3, 4, 5] | batch(2, 0) | list }} {{ [1, 2, 3, 4, 5] | slice(2) | list }}",
       "[[1, 2], [3, 4], [5, 0]] [[1, 2, 3], [4, 5]]"},
      {"{{ [{'a': 1}, {'a': 2}] | map(attribute='a') | list }} {{ ['a'] | map('upper') | join }} "
       "{{ [{}] | map(attribute='a', default=7) | list }}",
       "[1, 2] A [7]"},
      {"{{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('odd') | list }} "
       "{{ [0, 1] | select | list }} {{ [{'a': 1}, {}] | selectattr('a', 'defined') | list }} "
       "{{ [{'a': 1}, {'a': 2}] | rejectattr('a', 'eq', 1) | list }}",
       "[1, 3] [2] [1] [{'a': 1}] [{'a': 2}]"},
      {"{% for g, l in [{'t': 'x', 'n': 1}, {'t': 'y', 'n': 2}, {'t': 'x', 'n': 3}] | groupby('t') "
       "%}"
       "{{ g }}{{ l | map(attribute='n') | list }}{% endfor %}",
       "x[1, 3]y[2]"},
      {"{% for g in [{'t': 1}] | groupby('t') %}{{ g.grouper }}{{ g.list }}{% endfor %}",
       "1[{'t': 1}]"},
      {"{{ {'b': 1, 'a': 2} | dictsort }} {{ {'a': 1} | items | list }} {{ [1, 2] | join(', ') }} "
       "{{ [{'a': 1}] | join(',', attribute='a') }}",
       "[('a', 2), ('b', 1)] [('a', 1)] 1, 2 1"},
  });
}

TEST(Jinja, TextAndNumberFilters) {
  ExpectPrinted({
      {"{{ ' a ' | trim }}{{ 'xax' | trim('x') }}{{ 'hello big-world (x)' | title }}",
       "aaHello Big-World (X)"},
      {"{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent('> ', true) }}",
       "a\n  b\n\n  c|> a\n> b"},
      {"{{ '<a href=\"x\">\\'&' | e }} {{ '<' | safe }}", "&lt;a href=&#34;x&#34;&gt;&#39;&amp; <"},
      {"{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} {{ 'a b' "
       "| wordcount }}",
       "foo... foo ba... 2"},
      {"{{ '0x1f' | int(0, 16) }} {{ '12.7' | int }} {{ 'x' | int(-1) }} {{ '1e3' | float }} {{ "
       "'inf' | float }}",
       "31 12 -1 1000.0 inf"},
      {"{{ 42.55 | round }} {{ 42.55 | round(1, 'floor') }} {{ 2.5 | round }} {{ 2.675 | round(2) "
       "}} "
       "{{ 15 | round(-1) }} {{ 42.1 | round(0, 'ceil') }}",
       "43.0 42.5 2.0 2.67 20 43.0"},
      {"{{ -3 | abs }} {{ 'a b/c\xC3\xA9' | urlencode }} {{ 'aaa' | replace('a', 'b', 2) }}",
       "3 a%20b/c%C3%A9 bba"},
      {"{{ 5 | string }}{{ none | string }}{{ 'ABC' | lower }}{{ 'x' | center(5) }}|",
       "5Noneabc  x  |"},
  });
}

TEST(Jinja, ToJsonIsTransformers) {
  ExpectPrinted({{"{{ d | tojson }}", "{\"a\": [1, 2.0, true, null], \"\xC3\xA9\": \"<\\n\\\"\"}"},
                 {"{{ d | tojson(indent=2) }}",
                  "{\n  \"a\": [\n    1,\n    2.0,\n    true,\n    null\n  ],\n  \"\xC3\xA9\": "
                  "\"<\\n\\\"\"\n}"},
                 {"{{ d | tojson(ensure_ascii=true) }}",
                  "{\"a\": [1, 2.0, true, null], \"\\u00e9\": \"<\\n\\\"\"}"},
                 {"{{ {'b': 1, 'a': []} | tojson(separators=(',', ':'), sort_keys=true) }}",
                  "{\"a\":[],\"b\":1}"},
                 {"{{ {1: (2,), none: 1.5, true: {}} | tojson }}", "{\"1\": {}, \"null\": 1.5}"},
                 {"{{ [1, {}] | tojson(indent='\\t') }}", "[\n\t1,\n\t{}\n]"}},
                {{"d", {{"a", {1, 2.0, true, nullptr}}, {"\xC3\xA9", "<\n\""}}}});
}

TEST(Jinja, TestsOfIs) {
  ExpectPrinted({
      {"{{ 1 is number }}{{ 1 is integer }}{{ true is integer }}{{ 1.0 is float }}{{ true is "
       "number }}",
       "TrueTrueFalseTrueTrue"},
      {"{{ 'a' is string }}{{ {} is mapping }}{{ [] is sequence }}{{ 'a' is iterable }}{{ 1 is "
       "iterable }}",
       "TrueTrueTrueTrueFalse"},
      {"{{ none is none }}{{ true is boolean }}{{ true is true }}{{ 1 is true }}{{ false is false "
       "}}",
       "TrueTrueTrueFalseTrue"},
      {"{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 1 is in [1] }}{{ 1 is not in [1] "
       "}}",
       "TrueTrueTrueTrueFalse"},
      {"{{ 1 is eq 1 }}{{ 1 is lt 2 }}{{ 'a' is lower }}{{ range is callable }}{{ 1 is sameas 1 }}"
       "{{ 'upper' is filter }}{{ 'odd' is test }}",
       "TrueTrueTrueTrueTrueTrueTrue"},
      {"{{ 'a' if x is defined and x is not none else 'b' }}", "b"},
  });
  ExpectErrors({{"{{ 1 is nosuch }}", "no test named 'nosuch'"},
                {"{{ 1 | nosuch }}", "no filter named 'nosuch'"},
                {"{{ 1 is number is string }}", "cannot be chained"}});
}

TEST(Jinja, GlobalsSeeOnlyWhatTheyAreGiven) {
  ExpectPrinted({
      {"{{ strftime_now('%d %b %Y, %H:%M:%S %A %j %p %I %y %-m %%') }}",
       "20 Jan 2025, 12:00:00 Monday 020 PM 12 25 1 %"},
      {"{{ strftime_now('%G-%V %U %W %u %w') }}", "2025-04 03 03 1 1"},
      {"{{ dict(a=1, **{'b': 2}) }}", "{'a': 1, 'b': 2}"},
  });
  ExpectErrors({{"{{ raise_exception('no ' ~ 1) }}", "no 1"},
                {"{{ ''.__class__.__mro__ }}", "has no attribute '__class__'"},
                {"{{ [].append(1) }}", "unsafe"},
                {"{{ {}.update({}) }}", "unsafe"},
                {"{{ range(100001) }}", "range too big"},
                {"{{ range(1, 9, 0) }}", "must not be zero"},
                {"{% include 'x' %}", "unknown tag \"include\""},
                {"{% set range.x = 1 %}", "non-namespace"}});
}

TEST(Jinja, GenerationBlocksAreMarkedInTheText) {
  const Rendered rendered =
      Template::Parse(
          "a{% for m in [1, 2] %}u{% generation %}<{{ m }}>{% endgeneration %}{% endfor %}", "t")
          .Render(Json::object(), kNoon);
  EXPECT_EQ(rendered.text, "au<1>u<2>");
  EXPECT_EQ(rendered.generation, (std::vector<std::pair<size_t, size_t>>{{2, 5}, {6, 9}}));
}

TEST(Jinja, ErrorsNameTemplateAndLine) {
  EXPECT_EQ(Print("a\n\n{{ 1 +\n }}"), "ERROR t: line 4: expected an expression, got \"}}\"");
  EXPECT_EQ(Print("a\n{% if x %}\nb"),
            "ERROR t: line 3: expected a tag \"endif\", got the end of the template");
  EXPECT_EQ(Print("{# x"), "ERROR t: line 1: a comment \"{#\" has no end \"#}\"");
  EXPECT_EQ(Print("\n{{ 'x }}"), "ERROR t: line 2: a string has no end");
  EXPECT_EQ(Print("x\n{{ f.g }}\n"), "ERROR t: line 2: 'f' is undefined");
  ExpectErrors({{"{{ (1] }}", "unexpected ']', expected ')'"},
                {"{{ 1 $ }}", "unexpected character '$'"},
                {"{% endif %}", "unknown tag \"endif\""},
                {"{% set true = 1 %}", "cannot assign to \"true\""},
                {"{% macro f(a=1, b) %}{% endmacro %}", "follows one with a default"},
                {"{{ f(a=1, 2) }}", "wrong order"},
                {"{{ '\\ud800' }}", "no character"},
                {"{{ 99999999999999999999 }}", "64 bits"},
                {"{% raw %}x", "endraw"},
                {"{{ x", "the template ends within a tag"}});
}

}  // namespace
}  // namespace reckon::jinja
