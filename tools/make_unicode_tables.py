#!/usr/bin/env python3
"""Writes src/text/unicode_*.cc from the Unicode database of the Python that runs it.

usage: python3 tools/make_unicode_tables.py src/text

The tables are part of the sources so that a text has the same tokens on every machine, whatever
Unicode version its libraries were built with. Python 3.14 holds Unicode 16.0, as the patterns of the
Hugging Face tokenizers of 2025 do. Their normalisation is that of Unicode 9.0 (crate
unicode-normalization-alignments), and what models were trained through, so characters that got
their normalisation data later are left alone here too.
"""
import pathlib
import sys
import unicodedata

LIMIT = 0x110000
CLASSES = "LMNPS"  # class k + 1 is the general category that begins with this letter; 0: C and Z
# Characters with normalisation data in Unicode 16.0 but not in 9.0; between the ends of a range no
# other character has any.
NEWER_THAN_9 = [
    (0x7FD, 0x7FD), (0x897, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C), (0xEBA, 0xEBA),
    (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0x32FF, 0x32FF), (0xA7F2, 0xA7F4),
    (0xA82C, 0xA82C), (0xAB69, 0xAB69), (0x105C9, 0x107BA), (0x10D24, 0x10F85), (0x11070, 0x11070),
    (0x1133B, 0x1133B), (0x11383, 0x113D0), (0x1145E, 0x1145E), (0x11839, 0x11A99),
    (0x11D42, 0x1612F), (0x16D68, 0x16FF1), (0x1CCD6, 0x1CCF9), (0x1E030, 0x1E5EF),
    (0x1F16C, 0x1F16C), (0x1FBF0, 0x1FBF9)]


def is_newer(code):
    return any(first <= code <= last for first, last in NEWER_THAN_9)


def category_class(code):
    return CLASSES.find(unicodedata.category(chr(code))[0]) + 1


def runs(value_of, shift):
    """first << shift | value for each run of equal values."""
    previous, found = None, []
    for code in range(LIMIT):
        value = value_of(code)
        if value != previous:
            found.append(code << shift | value)
            previous = value
    return found


def composes(code, mapping):
    """Whether canonical composition makes this character from its decomposition."""
    return len(mapping) == 2 and unicodedata.normalize("NFC", chr(code)) == chr(code)


def decompositions(want_compatible):
    flat = []
    for code in range(LIMIT):
        text = unicodedata.decomposition(chr(code))
        if not text or is_newer(code) or 0xAC00 <= code <= 0xD7A3:  # Hangul syllables follow a rule
            continue
        words = text.split()
        compatible = words[0].startswith("<")
        if compatible != want_compatible:
            continue
        mapping = [int(word, 16) for word in words if not word.startswith("<")]
        canonical = 0 if compatible else composes(code, mapping)
        flat.append(code | canonical << 22 | len(mapping) << 23)
        flat += mapping
    return flat


def lowercase():
    """(first, last, step, delta) of characters with a lower case of one character."""
    found = []
    for code in range(LIMIT):
        lower = chr(code).lower()
        if len(lower) != 1 or ord(lower) == code:
            continue
        delta = ord(lower) - code
        if found and found[-1][3] == delta and code - found[-1][1] <= 2:
            first, last, step, _ = found[-1]
            if first == last or step == code - last:
                found[-1] = (first, code, code - last, delta)
                continue
        found.append((code, code, 1, delta))
    return [number for entry in found for number in entry]


def table(kind, name, numbers):
    lines = [f"const {kind} {name}Data[] = {{"]
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > 100:
            lines.append(line)
            line = "   "
        line += word
    return lines + [line, "};", ""]


def write(path, tables):
    lines = [f"// Unicode {unicodedata.unidata_version}; written by tools/make_unicode_tables.py, "
             "not by hand.", '#include "text/unicode_tables.h"', "", "namespace reckon {",
             "namespace {", "", "// clang-format off"]
    for kind, name, numbers in tables:
        lines += table(kind, name, numbers)
    lines += ["// clang-format on", "", "}  // namespace", ""]
    for kind, name, _ in tables:
        lines += [f"const std::span<const {kind}> {name} = {name}Data;"]
    path.write_text("\n".join(lines + ["", "}  // namespace reckon", ""]))


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    combining = runs(lambda code: 0 if is_newer(code) else unicodedata.combining(chr(code)), 8)
    write(folder / "unicode_tables.cc", [("uint32_t", "kClassRuns", runs(category_class, 3)),
                                         ("uint32_t", "kCombiningRuns", combining),
                                         ("int32_t", "kLowercase", lowercase())])
    write(folder / "unicode_canonical.cc",
          [("uint32_t", "kCanonicalDecompositions", decompositions(False))])
    write(folder / "unicode_compatible.cc",
          [("uint32_t", "kCompatibleDecompositions", decompositions(True))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
