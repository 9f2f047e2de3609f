#!/usr/bin/env python3
"""Checks which file includes which, and what a file may hold.

usage:
  tools/check_layers.py [--root FOLDER]   check the tree (default: the one this script is in)
  tools/check_layers.py --check-docs      compare the table below with docs/architecture.md
  tools/check_layers.py --self-test       check small trees that break one rule each

Rules, by the name that an error ends in:
  layer-table      a file of src/<layer>/ includes its own layer and those its row of LAYERS names;
                   a *_test.cc there also those of EVERY_TEST_MAY; tests/ and bench/ include any
                   layer but cli; src/ includes nothing of tests/ or bench/
  unknown-layer    a folder of src/ has a row in LAYERS, and src/ itself holds no source
  rooted-include   an include in quotes is a path from src/ (or from the root of the tree, for
                   tests/ and bench/) of a file that exists
  cli-is-a-leaf    only src/cli includes src/cli
  test-is-a-leaf   no file outside tests/ includes a *_test.cc
  include-cycle    no header includes itself by way of others
  file-size        at most 800 lines a file, 1500 a *_test.cc
  kernel-includes  a kernel file (src/kernels/*_scalar.cc, *_avx2.cc, *_avx512*.cc) and every file
                   it includes hold only <cstddef>, <cstdint>, intrinsics and headers of kernels
  library-is-quiet no printing, exit or abort in src/ outside src/cli and tests

Exit code: 0 all is well, 1 something breaks a rule, 2 wrong usage.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ALL = ("all",)  # every layer of a row above; for cli, which is last, all
LAYERS = {
    "base": (),
    "kernels": (),
    "tensor": ("base",),
    "formats": ("base", "tensor"),
    "text": ("base", "formats"),
    "ops": ("base", "kernels", "tensor"),
    "model": ("base", "formats", "tensor", "ops"),
    "convert": ("base", "formats", "tensor", "text", "ops", "model"),
    "tasks": ("base", "formats", "text"),
    "data": ("base", "formats", "text", "tasks"),
    "infer": ("base", "tensor", "ops", "model", "text"),
    "cost": ("base", "formats", "model"),
    "train": ("base", "formats", "tensor", "ops", "model", "data", "cost"),
    "rl": ("base", "formats", "tensor", "ops", "model", "text", "tasks", "data", "infer", "train",
           "cost"),
    "eval": ("base", "formats", "ops", "text", "model", "tasks", "data", "infer"),
    "recipe": ALL,
    "cli": ALL,
}
EVERY_TEST_MAY = ("base",)
ROOTS = ("src", "tests", "bench")
SOURCE_LINES, TEST_LINES = 800, 1500

KERNEL_SOURCE = re.compile(r"_(scalar|avx2|avx512\w*)\.cc$")
KERNEL_HEADER = re.compile(r"^kernels/(\w+_body|simd_\w+|kernel_table|tables)\.h$")
KERNEL_SYSTEM = re.compile(r"^(cstddef|cstdint|\w*intrin\.h)$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/"
    r'|R"([^()\\\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<!\w)'(?:\\.|[^'\\\n])+'", re.DOTALL)
LOUD = re.compile(
    r"(?<![\w.>])(?:std::|::)?(?:v?f?printf|puts|putchar|exit|_exit|_Exit|quick_exit|abort)\s*\("
    r"|\bstd::w?(?:cout|cerr|clog)\b|\bfmt::print(?:ln)?\b|\b(?:stdout|stderr)\b")


class Include(NamedTuple):
    line: int
    system: bool
    path: str


class Problem(NamedTuple):
    where: str  # file:line
    what: str
    rule: str

    def __str__(self):
        return f"{self.where}: {self.what} [{self.rule}]"


def may_include(layer):
    if LAYERS[layer] != ALL:
        return set(LAYERS[layer])
    names = list(LAYERS)
    return set(names[:names.index(layer)])


def without_noise(text):
    """Blanks comments and literals; lines keep their numbers."""
    return NOISE.sub(lambda match: " " + "\n" * match.group().count("\n"), text)


def is_test(name):
    return name.endswith("_test.cc")


class Tree:
    def __init__(self, root):
        self.root = root
        self.problems = []
        self.text = {}      # "src/base/error.h" -> its text
        self.includes = {}  # the same -> its includes
        for top in ROOTS:
            for path in sorted((root / top).rglob("*")):
                if path.suffix in (".cc", ".h"):
                    name = path.relative_to(root).as_posix()
                    self.text[name] = path.read_text(encoding="utf-8", errors="replace")
        for name, text in self.text.items():
            self.includes[name] = [
                Include(number, match[1] == "<", match[2])
                for number, line in enumerate(text.splitlines(), 1)
                if (match := INCLUDE.match(line))]

    def report(self, name, line, what, rule):
        self.problems.append(Problem(f"{name}:{line}", what, rule))

    def resolve(self, name, include):
        """The file that a quoted include names, or None."""
        candidates = ["src/" + include.path]
        if not name.startswith("src/") or is_test(name):
            candidates.append(include.path)
        return next((c for c in candidates if c in self.text), None)

    def check(self):
        for name in self.text:
            self.check_size(name)
            self.check_includes(name)
            self.check_quiet(name)
        self.check_kernels()
        self.check_cycles()
        return self.problems

    def check_size(self, name):
        lines = self.text[name].count("\n")
        limit = TEST_LINES if is_test(name) else SOURCE_LINES
        if lines > limit:
            self.report(name, limit + 1, f"{lines} lines, at most {limit}", "file-size")

    def check_includes(self, name):
        top, _, rest = name.partition("/")
        layer = rest.split("/")[0] if top == "src" else None
        if layer is not None and layer not in LAYERS:
            self.report(name, 1, f"src/{layer} has no row in LAYERS", "unknown-layer")
            return
        for include in self.includes[name]:
            if not include.system:
                self.check_include(name, layer, include)

    def check_include(self, name, layer, include):
        target = self.resolve(name, include)
        if target is None:
            self.report(name, include.line,
                        f'"{include.path}" is not a path from src/ of a file that exists',
                        "rooted-include")
            return
        if is_test(target) and not name.startswith("tests/"):
            self.report(name, include.line, f"includes the test {target}", "test-is-a-leaf")
        top, _, rest = target.partition("/")
        if top != "src":
            if layer is not None:
                self.report(name, include.line, f"src/ may not include {top}/", "layer-table")
            return
        other = rest.split("/")[0]
        if other == "cli" and layer != "cli":
            self.report(name, include.line, f"includes {target}", "cli-is-a-leaf")
        elif layer is not None and other != layer:
            allowed = may_include(layer) | (set(EVERY_TEST_MAY) if is_test(name) else set())
            if other not in allowed:
                self.report(name, include.line,
                            f"{layer} may not include {other} ({include.path}); it may include: "
                            f"{' '.join(sorted(allowed)) or 'nothing'}", "layer-table")

    def check_kernels(self):
        open_files = [n for n in self.text
                      if n.startswith("src/kernels/") and KERNEL_SOURCE.search(n)]
        seen = set(open_files)
        while open_files:
            name = open_files.pop()
            for include in self.includes[name]:
                allowed = KERNEL_SYSTEM if include.system else KERNEL_HEADER
                if not allowed.match(include.path):
                    self.report(name, include.line,
                                f"a file compiled for one instruction set includes {include.path}",
                                "kernel-includes")
                target = None if include.system else self.resolve(name, include)
                if target is not None and target not in seen:
                    seen.add(target)
                    open_files.append(target)

    def check_quiet(self, name):
        if not name.startswith("src/") or name.startswith("src/cli/") or is_test(name):
            return
        for number, line in enumerate(without_noise(self.text[name]).split("\n"), 1):
            if match := LOUD.search(line):
                self.report(name, number, f"{match.group().strip(' (')} in the library; "
                            "throw reckon::Error or return the text", "library-is-quiet")

    def check_cycles(self):
        done, path = set(), []

        def visit(name):
            path.append(name)
            for include in self.includes[name]:
                target = None if include.system else self.resolve(name, include)
                if target in path:
                    cycle = path[path.index(target):] + [target]
                    self.report(name, include.line, " -> ".join(cycle), "include-cycle")
                elif target is not None and target not in done:
                    visit(target)
            done.add(path.pop())

        for name in self.text:
            if name not in done:
                visit(name)


def check_docs(root):
    """Compares LAYERS with the table whose header begins with `layer` in docs/architecture.md."""
    page = "docs/architecture.md"
    problems, rows, header = [], {}, None
    for number, line in enumerate((root / page).read_text(encoding="utf-8").splitlines(), 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "layer" and cells[-1] == "may include":
            header = number
        elif header is not None and not line.startswith("|"):
            break
        elif header is not None and number > header + 1:
            rows[cells[0]] = (number, cells[-1])
    if header is None:
        return [Problem(f"{page}:1", "no table with the header 'layer ... may include'", "docs")]
    for layer, (number, cell) in rows.items():
        if layer not in LAYERS:
            problems.append(Problem(f"{page}:{number}", f"{layer} is not in LAYERS", "docs"))
            continue
        words = cell.split(";")[0].split()
        if words and words[0] == "all":
            words = ["all"]
        elif words == ["-"]:
            words = []
        if set(words) != set(LAYERS[layer]):
            problems.append(Problem(
                f"{page}:{number}", f"{layer} may include '{' '.join(words)}' here, "
                f"'{' '.join(LAYERS[layer])}' in tools/check_layers.py", "docs"))
    for layer in LAYERS.keys() - rows.keys():
        problems.append(Problem(f"{page}:{header}", f"{layer} has no row", "docs"))
    if not problems and list(rows) != list(LAYERS):
        problems.append(Problem(f"{page}:{header}", "rows stand in another order", "docs"))
    return problems


# A tree without a fault, which each case of the self-test changes in one place.
CLEAN = {
    "src/base/error.h": "#pragma once\n#include <string>\n",
    "src/base/error.cc": '#include "base/error.h"\n// exit(1), "std::cout"\n'
                         'const char* k = "abort() // printf(";\nint n = std::snprintf(0, 0, k);\n',
    "src/kernels/kernel_table.h": "#pragma once\n#include <cstdint>\n",
    "src/kernels/rows_body.h": '#include "kernels/kernel_table.h"\n',
    "src/kernels/table_avx2.cc": '#include <immintrin.h>\n#include "kernels/rows_body.h"\n',
    "src/kernels/known_answers.cc": '#include <cmath>\n#include "kernels/kernel_table.h"\n',
    "src/kernels/kernels_test.cc": '#include <cstdio>\n#include "base/error.h"\n',
    "src/recipe/run.cc": '#include "kernels/kernel_table.h"\n',
    "src/cli/main.cc": '#include <cstdio>\n#include "cli/session.h"\nint main() { printf("a"); }\n',
    "src/cli/session.h": '#include "recipe/run.h"\n',
    "src/recipe/run.h": '#include "base/error.h"\n',
    "tests/golden/shared.h": '#include "base/error.h"\n',
    "tests/golden/a_test.cc": '#include "tests/golden/shared.h"\nint main() { abort(); }\n',
}
# The rule that is broken, where, and what is added at the end of which files to break it.
FAULTS = [
    ("layer-table", "src/base/error.cc:5",
     {"src/base/error.cc": '#include "kernels/kernel_table.h"\n'}),
    ("layer-table", "src/kernels/known_answers.cc:3",
     {"src/kernels/known_answers.cc": '#include "base/error.h"\n'}),
    ("layer-table", "src/base/error_test.cc:1",
     {"src/base/error_test.cc": '#include "recipe/run.h"\n'}),
    ("layer-table", "src/base/error_test.cc:1",
     {"src/base/error_test.cc": '#include "tests/golden/shared.h"\n'}),
    ("unknown-layer", "src/misc/a.h:1", {"src/misc/a.h": "\n"}),
    ("unknown-layer", "src/stray.cc:1", {"src/stray.cc": "\n"}),
    ("rooted-include", "src/base/error.cc:5", {"src/base/error.cc": '#include "error.h"\n'}),
    ("rooted-include", "tests/golden/a_test.cc:3",
     {"tests/golden/a_test.cc": '#include "shared.h"\n'}),
    ("cli-is-a-leaf", "src/recipe/run.cc:2",
     {"src/recipe/run.cc": '#include "cli/session.h"\n'}),
    ("cli-is-a-leaf", "tests/golden/a_test.cc:3",
     {"tests/golden/a_test.cc": '#include "cli/session.h"\n'}),
    ("test-is-a-leaf", "src/kernels/known_answers.cc:3",
     {"src/kernels/known_answers.cc": '#include "kernels/kernels_test.cc"\n'}),
    ("include-cycle", "src/recipe/run.h:2", {"src/recipe/run.h": '#include "recipe/run.h"\n'}),
    ("include-cycle", "src/kernels/rows_body.h:1",
     {"src/kernels/kernel_table.h": '  # include "kernels/rows_body.h"\n'}),
    ("file-size", "src/base/error.cc:801", {"src/base/error.cc": "\n" * 797}),
    ("file-size", "src/kernels/kernels_test.cc:1501",
     {"src/kernels/kernels_test.cc": "\n" * 1499}),
    ("kernel-includes", "src/kernels/table_avx2.cc:3",
     {"src/kernels/table_avx2.cc": "#include <cmath>\n"}),
    ("kernel-includes", "src/kernels/kernel_table.h:3",
     {"src/kernels/kernel_table.h": "#include <cstring>\n"}),
    ("kernel-includes", "src/kernels/rows_body.h:2",
     {"src/kernels/rows_body.h": '#include "kernels/other.h"\n',
      "src/kernels/other.h": "#pragma once\n"}),
    ("library-is-quiet", "src/base/error.cc:5",
     {"src/base/error.cc": 'void F() { std::printf("a"); }\n'}),
    ("library-is-quiet", "src/base/error.cc:5",
     {"src/base/error.cc": "void F() { std::cout << 1; }\n"}),
    ("library-is-quiet", "src/base/error.cc:6",
     {"src/base/error.cc": "/* a\n */ void F() { exit(1); }\n"}),
    ("library-is-quiet", "src/base/error.cc:5",
     {"src/base/error.cc": "void F() { std::abort (); }\n"}),
    ("library-is-quiet", "src/base/error.cc:5",
     {"src/base/error.cc": "void F() { fputs(k, stderr); }\n"}),
]


def check_tree(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Tree(Path(folder)).check()


def check_page(row):
    """Problems of a page that has LAYERS' table, its row `base` replaced by `row`."""
    table = ["| layer | what | may include |", "|---|---|---|"]
    for layer, others in LAYERS.items():
        table.append(f"| {layer} | text | {' '.join(others) or '-'} |")
    table[2] = row
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "docs", "architecture.md")
        page.parent.mkdir()
        page.write_text("\n".join(table) + "\n", encoding="utf-8")
        return check_docs(Path(folder))


def self_test():
    failures = [f"clean tree: {problem}" for problem in check_tree(CLEAN)]
    for rule, where, additions in FAULTS:
        files = dict(CLEAN)
        for name, addition in additions.items():
            files[name] = files.get(name, "") + addition
        found = [(problem.rule, problem.where) for problem in check_tree(files)]
        if found != [(rule, where)]:
            failures.append(f"{rule} at {where}: found {found}")
    if problems := check_page("| base | text | - |"):
        failures.append(f"clean page: {problems[0]}")
    for row in ("| base | text | kernels |", "| bass | text | - |"):
        if not check_page(row):
            failures.append(f"docs: nothing wrong with the row {row}")
    for failure in failures:
        print(f"self-test: {failure}", file=sys.stderr)
    print(f"check_layers: self-test of {len(FAULTS) + 2} faults, {len(failures)} not as expected")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--check-docs", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if not (options.root / "src").is_dir():
        parser.error(f"{options.root}: has no folder src")
    if options.check_docs:
        problems, checked = check_docs(options.root), "docs/architecture.md"
    else:
        tree = Tree(options.root)
        problems, checked = tree.check(), f"{len(tree.text)} files"
    for problem in sorted(problems):
        print(problem, file=sys.stderr)
    print(f"check_layers: {checked}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
