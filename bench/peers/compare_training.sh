#!/usr/bin/env bash
# The same 200 steps of pre-training in reckon and in transformers, from the same weights on the same
# batches, for the recipes of tinyshakespeare and wikitext-2; then the finished checkpoint opened in
# transformers. Needs a build with -DRECKON_BENCH=ON, the texts, and a command that runs python3 with
# torch and transformers.
#
# usage: bench/peers/compare_training.sh TEXT_FOLDER [--build build/release] [--steps 200]
#            [--python "COMMAND"] [--recipes "shakespeare wikitext-2"]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

texts="" build=build/release steps=200 python=python3 recipes="shakespeare wikitext-2"
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift 2 ;;
    --steps) steps=$2; shift 2 ;;
    --python) python=$2; shift 2 ;;
    --recipes) recipes=$2; shift 2 ;;
    -*) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
    *) texts=$1; shift ;;
  esac
done
[ -d "$texts" ] || { echo "compare_training.sh: the first argument is the folder of the texts" >&2; exit 2; }

for recipe in $recipes; do
  out=runs/compare-$recipe
  rm -rf "$out"
  "$build/training_dump" "configs/recipes/$recipe.json" --data "$texts" --out "$out" --steps "$steps"
  echo "$recipe:"
  $python bench/peers/torch_compare_training.py "$out" --steps "$steps" 2>/dev/null
done
