#!/usr/bin/env bash
# Lays out the C++ sources with clang-format (.clang-format).
#
# usage: tools/format.sh [--check] [FILE...]
#   --check   changes nothing, names what is laid out otherwise
#   FILE...   default: all of src, tests and bench
# Exit code: 0 all is well, 1 --check found something, 2 wrong usage or no clang-format.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mode=(-i) files=()
for argument in "$@"; do
  case $argument in
    --check) mode=(--dry-run -Werror) ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "format.sh: unknown argument $argument (see --help)" >&2; exit 2 ;;
    *) files+=("$argument") ;;
  esac
done
format=$(command -v clang-format-14 || command -v clang-format) || {
  echo "format.sh: clang-format is missing; scripts/test.sh installs it" >&2
  exit 2
}
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(find src tests bench -name '*.cc' -o -name '*.h' | sort)
fi
if ! "$format" "${mode[@]}" "${files[@]}"; then
  echo "format.sh: run tools/format.sh" >&2
  exit 1
fi
