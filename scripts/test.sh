#!/usr/bin/env bash
# Installs the Debian packages that are missing, builds, and runs all the tests: what CI does.
#
# usage: scripts/test.sh [--quick]
#   --quick   one build with the default compiler and its tests; no linters, no sanitizers,
#             no fuzzing
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

quick=0
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "test.sh: unknown argument $argument (see --help)" >&2; exit 2 ;;
  esac
done

# shellcheck disable=SC2086
need_packages $build_packages $test_packages
cd "$root"
failed="" table=""

# phase NAME COMMAND...: runs it, notes its time, goes on when it fails.
phase() {
  local name=$1 begin=$SECONDS result=passed
  shift
  say "$name"
  "$@" || { result=FAILED; failed="$failed $name;"; }
  table+=$(printf '%-34s %-7s %4d s' "$name" "$result" $((SECONDS - begin)))$'\n'
}

run_tests() { ctest --preset "$1" -j "$(nproc)" --no-tests=error "${@:2}" >"build/$1/ctest.log" 2>&1 || {
  tail -n 60 "build/$1/ctest.log"; return 1; }
  tail -n 12 "build/$1/ctest.log"
  grep -h 'Skipped)' "build/$1/ctest.log" | sort | uniq | head -n 20 || true
}

build_and_test() {
  local preset=$1
  shift
  (build "$preset" all -- "$@") && run_tests "$preset"
}

if [ $quick = 1 ]; then
  phase "g++, release" build_and_test release -DRECKON_TESTS=ON
else
  phase "format" tools/format.sh --check
  phase "g++ without warnings, tests" build_and_test dev
  phase "clang++ without warnings, threads" build_and_test tsan
  phase "address and undefined behaviour" build_and_test asan-ubsan
  phase "fuzzing, a minute a target" tools/fuzz.sh --seconds 60 --jobs 2
  phase "clang-tidy" tools/tidy.sh -p build/tsan
fi

printf '\n%s' "$table"
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
echo "all passed"
