#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy) on the sources, warnings being errors. Keeps nothing between runs.
#
# usage: tools/tidy.sh [-j N] [-p BUILD] [FILE...]
#   -j N      processes (default: one a processor)
#   -p BUILD  folder with compile_commands.json (default: build/tsan or build/dev, else a new one)
#   FILE...   sources to look at (default: all of src, tests and bench that the build knows)
# Exit code: 0 nothing found, 1 something was, 2 wrong usage or no clang-tidy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=$(nproc) build="" files=()
while [ $# -gt 0 ]; do
  case $1 in
    -j | -p)
      [ $# -ge 2 ] || { echo "tidy.sh: $1 needs a value (see --help)" >&2; exit 2; }
      if [ "$1" = -j ]; then jobs=$2; else build=$2; fi
      shift 2 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "tidy.sh: unknown argument $1 (see --help)" >&2; exit 2 ;;
    *) files+=("$1"); shift ;;
  esac
done
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || {
  echo "tidy.sh: clang-tidy is missing; scripts/test.sh installs it" >&2
  exit 2
}
for folder in build/tsan build/dev; do
  [ -n "$build" ] || [ ! -f "$folder/compile_commands.json" ] || build=$folder
done
if [ -z "$build" ]; then
  build=build/dev
  cmake --preset dev >/dev/null
fi
[ -f "$build/compile_commands.json" ] || {
  echo "tidy.sh: $build has no compile_commands.json; configure it with cmake --preset dev" >&2
  exit 2
}

# Only what the build knows: a source that was never compiled would be read with wrong flags.
known=$(sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" | sort -u)
if [ ${#files[@]} -eq 0 ]; then
  # Longest first, so that the last process does not run alone.
  mapfile -t files < <(grep -E '/(src|tests|bench)/' <<<"$known" | xargs wc -l | sort -rn |
    awk '$2 != "total" {print $2}')
fi
# One file; prints only what is wrong. -Wno-...: the flags may be g++'s.
check() {
  local checks=() found
  [[ $1 != *_test.cc && $1 != *_bench.cc ]] || checks=(--checks=-clang-analyzer-*)
  found=$("$tidy" -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option "${checks[@]}" "$1" \
    2>/dev/null) && return
  printf '%s\n' "${found:-$1: clang-tidy cannot read it}"
  return 1
}
export -f check
export tidy build

begin=$SECONDS
# shellcheck disable=SC2016
if printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$jobs" bash -c 'check "$1"' tidy; then
  echo "tidy.sh: ${#files[@]} files, nothing found, $((SECONDS - begin)) s"
else
  echo "tidy.sh: ${#files[@]} files, findings above, $((SECONDS - begin)) s" >&2
  exit 1
fi
