#!/usr/bin/env bash
# From a fresh clone to a model that reasons: installs the Debian packages that are missing, builds,
# and runs the miniature R1 recipe (pre-training, cold start, GRPO, and a control of more SFT).
#
# usage: scripts/quickstart.sh [--seed N] [--out DIR]
#   --seed N   seed of weights, data and sampling (default 1)
#   --out DIR  folder of the run (default runs/quickstart-seed<N>); run again, it goes on
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seed=1 out=""
while [ $# -gt 0 ]; do
  case $1 in
    --seed=* | --out=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --seed | --out)
      [ $# -ge 2 ] || { echo "quickstart.sh: $1 needs a value (see --help)" >&2; exit 2; }
      if [ "$1" = --seed ]; then seed=$2; else out=$2; fi
      shift 2 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "quickstart.sh: unknown argument $1 (see --help)" >&2; exit 2 ;;
  esac
done
case $seed in
  '' | *[!0-9]*) echo "quickstart.sh: --seed $seed: expected a whole number from 0 up" >&2; exit 2 ;;
esac
[ -n "$out" ] || out="$root/runs/quickstart-seed$seed"

# shellcheck disable=SC2086
need_packages $build_packages
say "building (about three minutes on two cores)"
build release reckon -- -DRECKON_TESTS=OFF
say "training: the curves will be in $out/report.html"
"$root/build/release/reckon" recipe run "$root/configs/recipes/quickstart.json" --seed "$seed" --out "$out"
cat <<EOF

Talk to it:     $root/build/release/reckon chat $out/grpo/model
                (type a problem such as those above, say a:4711+0815=)
Look at it:     $out/report.html
What it cost:   $out/receipt.json
EOF
