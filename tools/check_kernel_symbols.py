#!/usr/bin/env python3
"""Checks the symbols of the objects that are compiled for one instruction set.

A function that the linker may share (an inline of std::, a template) and that was compiled with
AVX-512 flags may be the copy that the whole program gets, which then dies on an older CPU. So a
kernel object shares nothing: it defines Fill<Isa>Table and calls memcpy and its like.

usage:
  tools/check_kernel_symbols.py [--instrumented] PATH...
      PATH is the static library, an object, or a build folder that has libreckon_core.a
  tools/check_kernel_symbols.py --self-test [--cxx COMPILER]
      compiles objects that break one rule each

Rules, by the name that an error ends in:
  weak       no weak, unique or indirect symbol
  std        no symbol of namespace std
  export     nothing is defined for others but reckon::Fill<Isa>Table(reckon::KernelTable&)
  undefined  nothing is called but ALLOWED; with --instrumented also what sanitizers and gcov add
  missing    the scalar and the AVX2 object are there

Exit code: 0 all is well, 1 something breaks a rule, 2 wrong usage or nm failed.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What a compiler may call without being asked.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
# Without FMA instructions a fused multiply-add is libm's, exact by its definition.
ALLOWED_SCALAR = {"fmaf"}
INSTRUMENTATION = re.compile(r"__(asan|ubsan|tsan|sanitizer|gcov|llvm)_|__odr_asan")
EXPORT = re.compile(r"reckon::Fill\w+Table\(reckon::KernelTable&\)")
KERNEL_OBJECT = re.compile(r"_(scalar|avx2|avx512\w*)(\.cc)?\.o$")
NEEDED = ("scalar", "avx2")
SYMBOL = re.compile(r"^(?:[0-9a-fA-F]+| +) (\S) (.+)$")


def symbols(path):
    """Yields (object, type, demangled name) for the kernel objects of a library or object."""
    listing = subprocess.run(["nm", "-C", str(path)], capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        print(f"nm {path}: {listing.stderr.strip()}", file=sys.stderr)
        sys.exit(2)
    member = path.name
    for line in listing.stdout.splitlines():
        if line.endswith(":") and not SYMBOL.match(line):
            member = line[:-1]
        elif (match := SYMBOL.match(line)) and KERNEL_OBJECT.search(member):
            yield member, match[1], match[2]


def fault(member, kind, name, instrumented):
    """The rule that a symbol breaks, or None."""
    added = instrumented and INSTRUMENTATION.search(name)
    if kind in "WwVvui":
        return None if added else "weak"
    if re.search(r"(?<![\w:])std::", name):
        return "std"
    if kind == "U":
        allowed = ALLOWED | (ALLOWED_SCALAR if "_scalar." in member else set())
        return None if added or name in allowed else "undefined"
    if kind.isupper() and not added and not EXPORT.fullmatch(name):
        return "export"
    return None


def check(paths, instrumented):
    """The problems, as (object, symbol, rule), and the objects that were looked at."""
    problems, objects = [], set()
    for path in paths:
        if path.is_dir():
            path = path / "libreckon_core.a"
        for member, kind, name in symbols(path):
            objects.add(member)
            if rule := fault(member, kind, name, instrumented):
                problems.append((member, f"{kind} {name}", rule))
    for isa in NEEDED:
        if not any(KERNEL_OBJECT.search(member)[1] == isa for member in objects):
            problems.append((", ".join(map(str, paths)), f"no *_{isa}.cc.o", "missing"))
    return problems, objects


HEAD = "namespace reckon { struct KernelTable { float (*f)(float); };\n"
GOOD = HEAD + """namespace { float F(float x) { return x + 1.0f; } }
void Fill%sTable(KernelTable& table) { table.f = F; } }
"""
# The rule that the AVX2 object breaks, and its text.
FAULTS = [
    ("weak", HEAD + "inline float F(float x) { return x; }\n"
     "void FillTestTable(KernelTable& table) { table.f = F; } }\n"),
    ("std", "#include <stdexcept>\n" + HEAD +
     "void FillTestTable(KernelTable&) { throw std::runtime_error(\"\"); } }\n"),
    ("undefined", HEAD + "extern \"C\" float expf(float);\n"
     "void FillTestTable(KernelTable& t) { t.f = expf; } }\n"),
    ("undefined", HEAD + "float G(float);\nvoid FillTestTable(KernelTable& t) { t.f = G; } }\n"),
    ("export", HEAD + "float F(float x) { return x; }\n"
     "void FillTestTable(KernelTable& t) { t.f = F; } }\n"),
]


def self_test(compiler):
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        def compile_object(name, text):
            source, target = Path(folder, name), Path(folder, name + ".o")
            source.write_text(text, encoding="utf-8")
            subprocess.run([compiler, "-std=c++20", "-O1", "-c", source, "-o", target], check=True)
            return target

        scalar = compile_object("table_scalar.cc", GOOD % "Scalar")
        good = compile_object("table_avx2.cc", GOOD % "Avx2")
        library = Path(folder, "libreckon_core.a")
        subprocess.run(["ar", "rcs", library, scalar, good], check=True)
        for paths in ([scalar, good], [library], [Path(folder)]):
            if problems := check(paths, False)[0]:
                failures.append(f"{paths}: {problems}")
        if [rule for _, _, rule in check([scalar], False)[0]] != ["missing"]:
            failures.append("nobody missed the AVX2 object")
        for rule, text in FAULTS:
            bad = compile_object("table_avx2.cc", text)
            for instrumented in (False, True):
                found = {problem[2] for problem in check([scalar, bad], instrumented)[0]}
                if rule not in found:
                    failures.append(f"{rule} was not seen in {text!r}, found {sorted(found)}")
    for failure in failures:
        print(f"self-test: {failure}", file=sys.stderr)
    print(f"check_kernel_symbols: self-test of {len(FAULTS) + 1} faults, "
          f"{len(failures)} not as expected")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--instrumented", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--cxx", default=os.environ.get("CXX", "c++"))
    options = parser.parse_args()
    if options.self_test:
        return self_test(options.cxx)
    if not options.paths:
        parser.error("name the library, objects or a build folder")
    problems, objects = check(options.paths, options.instrumented)
    for member, what, rule in problems:
        print(f"{member}: {what} [{rule}]", file=sys.stderr)
    print(f"check_kernel_symbols: {len(objects)} objects, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
