#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz/) with the preset `fuzz` and runs them. What they learn stays
# in build/fuzz/corpus, an input that breaks one goes to build/fuzz/artifacts.
#
# usage: tools/fuzz.sh [--seconds N] [--jobs N] [--seeds FOLDER] [TARGET...]
#   --seconds N      how long each target runs (default 60)
#   --jobs N         how many run at once (default 2)
#   --seeds FOLDER   more seeds: files below it that have a name of a format (tokenizer.json,
#                    config.json, *.gguf, *.model, *.jinja, *.safetensors) and at most 64 KB
#   TARGET...        safetensors, folder, gguf, tokenizer, sentencepiece, config, jinja (default: all)
# Exit code: 0 nothing found, 1 a target found something or does not build, 2 wrong usage.
# Again with one input: build/fuzz/fuzz_TARGET FILE
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
cd "$root"

all=$(cd tests/fuzz && for file in fuzz_*.cc; do name=${file#fuzz_}; echo "${name%.cc}"; done)
seconds=60 jobs=2 more="" targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds | --jobs | --seeds)
      [ $# -ge 2 ] || { echo "fuzz.sh: $1 needs a value (see --help)" >&2; exit 2; }
      case $1 in --seconds) seconds=$2 ;; --jobs) jobs=$2 ;; --seeds) more=$2 ;; esac
      shift 2 ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *)
      grep -qxF -- "$1" <<<"$all" || {
        echo "fuzz.sh: no target or argument $1; targets: ${all//$'\n'/ } (see --help)" >&2
        exit 2
      }
      targets+=("$1")
      shift ;;
  esac
done
for number in "$seconds" "$jobs"; do
  case $number in
    '' | 0 | *[!0-9]*) echo "fuzz.sh: $number: expected a whole number from 1 up" >&2; exit 2 ;;
  esac
done
# shellcheck disable=SC2206
[ ${#targets[@]} -gt 0 ] || targets=($all)
command -v clang++ >/dev/null || { echo "fuzz.sh: clang++ is missing; scripts/test.sh installs it" >&2; exit 2; }

build fuzz "${targets[@]/#/fuzz_}"
out=$root/build/fuzz
mkdir -p "$out/artifacts" "$out/corpus" "$out/logs"

# The names by which files of a target are known elsewhere.
pattern_of() {
  case $1 in
    safetensors | gguf | jinja) echo "*.$1" ;;
    sentencepiece) echo "*.model" ;;
    folder) echo "" ;;
    *) echo "$1.json" ;;
  esac
}

# Copies the files of FOLDER that TARGET reads: more_seeds TARGET FOLDER
more_seeds() {
  local pattern file
  pattern=$(pattern_of "$1")
  [ -n "$pattern" ] || return 0
  mkdir -p "$out/seeds/$1"
  find "$2" -type f -name "$pattern" -size -64k -print0 | while IFS= read -r -d '' file; do
    cp "$file" "$out/seeds/$1/$(sha256sum <"$file" | cut -c 1-16)"
  done
}

run_target() {
  local target=$1 folders=("$out/corpus/$1" "$root/tests/fuzz/seeds/$1") code=0
  mkdir -p "$out/corpus/$target"
  [ ! -d "$out/seeds/$target" ] || folders+=("$out/seeds/$target")
  # Without leak checks at exit: libFuzzer looks for leaks after each input.
  ASAN_OPTIONS="quarantine_size_mb=16:allocator_may_return_null=0" \
    UBSAN_OPTIONS="print_stacktrace=1" \
    "$out/fuzz_$target" -max_total_time="$seconds" -rss_limit_mb=2048 -malloc_limit_mb=512 \
    -timeout=10 -max_len=65536 -print_final_stats=1 -reload=0 \
    -dict="$root/tests/fuzz/dict/$target.dict" -artifact_prefix="$out/artifacts/$target-" \
    "${folders[@]}" >"$out/logs/$target.log" 2>&1 || code=$?
  echo "$code" >"$out/logs/$target.rc"
}

# One line of the table, from the log: row TARGET
row() {
  local log=$out/logs/$1.log runs speed coverage finding=none
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -c 6-)
  if [ "$(cat "$out/logs/$1.rc")" != 0 ]; then
    finding=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    finding=${finding:-"failed, see $log"}
  fi
  printf '%-14s %12s %8s %10s  %s\n' "$1" "${runs:-?}" "${speed:-?}" "${coverage:-?}" \
    "${finding#"$root/"}"
}

for target in "${targets[@]}"; do
  [ -z "$more" ] || more_seeds "$target" "$more"
done
say "fuzzing ${#targets[@]} targets, $seconds s each, $jobs at a time"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
  run_target "$target" &
done
wait

printf '%-14s %12s %8s %10s  %s\n' target runs exec/s coverage finding
failed=0
for target in "${targets[@]}"; do
  row "$target"
  [ "$(cat "$out/logs/$target.rc")" = 0 ] || {
    failed=1
    grep -m 1 -E '^(does not hold|allocation)|SUMMARY|ERROR: libFuzzer|runtime error|terminate called' \
      "$out/logs/$target.log" >&2 || true
  }
done
exit $failed
