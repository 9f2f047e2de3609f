#!/usr/bin/env python3
"""Encoding speed of Hugging Face's tokenizers, one thread; called by bench/tokenizer_bench.cc.

Prints {"tokenizer": {"text": {"mb_per_s": ..., "ids": ...}}}.
"""
import argparse
import json
import os
import pathlib
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402  (after the environment that it reads)


def best_seconds(tokenizer, text, runs):
    """Of encode, and of encode_batch_fast, which leaves out offsets, the faster one."""
    best, count = float("inf"), 0
    for encode in (lambda: tokenizer.encode(text, add_special_tokens=False),
                   lambda: tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]):
        for _ in range(runs):
            begin = time.perf_counter()
            encoding = encode()
            best = min(best, time.perf_counter() - begin)
            count = len(encoding.ids)
    return best, count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizers", default="../shared/data/tokenizers")
    parser.add_argument("--texts", default="../shared/data/text")
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    results = {}
    for name in args.names:
        path = pathlib.Path(args.tokenizers) / name / "tokenizer.json"
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        results[name] = {}
        for text_path in sorted(pathlib.Path(args.texts).glob("*.txt")):
            data = text_path.read_bytes()
            seconds, count = best_seconds(tokenizer, data.decode(), args.runs)
            results[name][text_path.name] = {"mb_per_s": len(data) / 1e6 / seconds, "ids": count}
    json.dump(results, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
