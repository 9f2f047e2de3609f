#!/usr/bin/env python3
"""Runs reckon's peer_bench beside PyTorch, interleaved, and prints a table of ratios.

The peer is run live when it can be: by `--peer-lab PATH` (a command that runs python3 with torch and
transformers as `PATH run python3 ...`), or by this python3 if it has them. Else the recorded figures
below are used and labelled so.

usage: compare.py [--build build/release] [--rounds 3] [--peer-lab PATH] [--precision bf16] [--json]
"""
import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = "configs/models/peer-moe-14m.json"
# PyTorch 2.14.1 with transformers 5.12.1 on two cores of a Zen 4 EPYC, 2026-11-23, its fastest setting.
RECORDED = {"train_tokens_per_s": 3438.0, "generate_tokens_per_s": 1656.0, "grpo_step_s": 28.3}
SLOW_BLAS_GFLOPS = 30.0  # on two cores: above what the reference BLAS reaches, below any other
FIGURES = [("train_tokens_per_s", "training, tokens/s", True, 1.3),
           ("generate_tokens_per_s", "sampling, new tokens/s", True, 5.0),
           ("grpo_step_s", "GRPO step, s", False, 2.0)]


def run_json(command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def peer_command(args):
    script = ["bench/peers/torch_bench.py", CONFIG, "--threads", str(args.threads), "--repeat", "1"]
    if args.peer_lab:
        return [args.peer_lab, "run", "python3"] + script
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        return [sys.executable] + script
    return None


def medians(results):
    keys = {key for result in results for key in result if isinstance(result[key], (int, float))}
    return {key: statistics.median(r[key] for r in results if key in r) for key in keys}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--peer-lab", default="")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    ours_command = [os.path.join(args.build, "peer_bench"), CONFIG, "--threads", str(args.threads),
                    "--repeat", "3", "--precision", args.precision]
    theirs_command = peer_command(args)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(run_json(ours_command))
        if theirs_command:
            theirs.append(run_json(theirs_command))
    if theirs and theirs[0]["f32_gflops"] < SLOW_BLAS_GFLOPS:
        print(f"compare.py: the peer multiplies f32 matrices at {theirs[0]['f32_gflops']:.0f} GFLOP/s: "
              "its BLAS is the reference one, so the ratios flatter us; give it libopenblas0-openmp",
              file=sys.stderr)
    mine = medians(ours)
    peer = medians(theirs) if theirs else RECORDED
    label = "PyTorch, same run" if theirs else "PyTorch, RECORDED (no peer installed)"
    rows = []
    for key, name, more_is_better, target in FIGURES:
        ratio = mine[key] / peer[key] if more_is_better else peer[key] / mine[key]
        rows.append({"figure": name, "reckon": mine[key], "peer": peer[key], "ratio": ratio,
                     "target": target, "holds": ratio >= target})
    if args.json:
        print(json.dumps({"peer": label, "reckon": mine, "rows": rows}, indent=2))
        return
    print(f"model {CONFIG}, {args.threads} threads, {ours[0]['isa']} {args.precision}, "
          f"median of {args.rounds} rounds; peer: {label}")
    print(f"matrix-product peak {mine['gemm_peak_gflops']:.0f} GFLOP/s, training at "
          f"{100 * mine['train_share_of_gemm_peak']:.0f}% of it "
          f"({mine['train_model_gflops_per_s']:.0f} model GFLOP/s)")
    print(f"{'figure':<26}{'reckon':>12}{'peer':>12}{'ratio':>8}{'target':>8}")
    for row in rows:
        print(f"{row['figure']:<26}{row['reckon']:>12.1f}{row['peer']:>12.1f}{row['ratio']:>7.2f}x"
              f"{row['target']:>7.1f}x{'' if row['holds'] else '  below'}")


if __name__ == "__main__":
    main()
