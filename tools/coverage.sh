#!/usr/bin/env bash
# Builds with the preset `coverage`, runs the tests and prints which share of the lines of each
# layer they ran. A line counts once, however many objects it was compiled into.
#
# usage: tools/coverage.sh [-b BUILD] [--report-only] [CTEST_ARG...]
#   -b BUILD        build folder (default: build/coverage)
#   --report-only   prints what an earlier run left in BUILD
#   CTEST_ARG...    for example -L unit or -R tape (default: all tests)
# Exit code: 0 counted, 1 the build or a test failed (the table is printed all the same), 2 wrong
# usage or no gcov.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=build/coverage run=1 arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    -b)
      [ $# -ge 2 ] || { echo "coverage.sh: -b needs a value (see --help)" >&2; exit 2; }
      build=$2
      shift 2 ;;
    --report-only) run=0; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) arguments+=("$1"); shift ;;
  esac
done
command -v gcov >/dev/null || { echo "coverage.sh: gcov is missing; it comes with g++" >&2; exit 2; }

failed=0
if [ $run = 1 ]; then
  # gcov reads what g++ wrote.
  CXX=g++ cmake --preset coverage -B "$build" >/dev/null
  cmake --build "$build" >&2
  find "$build" -name '*.gcda' -delete
  ctest --test-dir "$build" -j "$(nproc)" --output-on-failure "${arguments[@]}" >&2 || failed=1
fi
[ -n "$(find "$build" -name '*.gcda' -print -quit)" ] || {
  echo "coverage.sh: $build has no counts; run it without --report-only" >&2
  exit 2
}

if command -v gcovr >/dev/null; then
  list() { gcovr --root . --filter src/ --exclude '.*_test\.cc$' --json - "$build" 2>/dev/null; }
else
  # One JSON object a line for each object file, sources named as the compiler saw them.
  list() {
    find "$build" -name '*.gcda' -print0 |
      xargs -0 -n 16 gcov --json-format --stdout --source-prefix "$PWD" 2>/dev/null
  }
fi
list | python3 -c '
import collections, json, os, sys

root = os.getcwd() + "/src/"
runs = collections.defaultdict(dict)  # file below src/ -> line -> times it ran
for text in sys.stdin:
    if not text.strip():
        continue
    for file in json.loads(text)["files"]:
        path = os.path.abspath(file["file"])
        if not path.startswith(root) or path.endswith("_test.cc"):
            continue
        lines = runs[path[len(root):]]
        for line in file["lines"]:
            number = line["line_number"]
            lines[number] = lines.get(number, 0) + line["count"]
if not runs:
    sys.exit("coverage.sh: gcov named no file of src/")
layers = collections.defaultdict(lambda: [0, 0])
for path, lines in runs.items():
    for name in (path.split("/")[0], "all"):
        layers[name][0] += sum(count > 0 for count in lines.values())
        layers[name][1] += len(lines)
print("layer        lines      run   share")
for name in sorted(layers, key=lambda name: (name == "all", name)):
    run, lines = layers[name]
    print(f"{name:10} {lines:7} {run:8} {100 * run / max(lines, 1):6.1f}%")
'
exit $failed
