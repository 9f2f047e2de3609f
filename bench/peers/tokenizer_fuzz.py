#!/usr/bin/env python3
"""Random Unicode strings through reckon and Hugging Face's tokenizers: ids and decoded texts.

usage: ../shared/tools/peer-lab run python3 bench/peers/tokenizer_fuzz.py [--count N]
           [--reckon build/dev/tokenizer_dump] [--seed S] TOKENIZER...

TOKENIZER is a tokenizer.json, or a SentencePiece .model, which is compared with the sentencepiece
library. Strings are made of characters from all of Unicode (no surrogates), of ASCII, white space,
combining marks, Hangul, digits, contractions and the tokenizer's own added tokens. Both programs
get the same strings; reckon's side is bench/tokenizer_dump.cc. Prints a line for each tokenizer and
the first strings that differ; exit code 1 where any does.
"""
import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "true"

SPACES = " \t\n\r\u00a0\u3000\u2028\u0085\u200b"
COMMON = ["'s", "'LL", "'\u017f", "the", " and", "12", "3456", "\u00bd", "\u0301", "\u0308", "e\u0301",
          "\u1112\u1161\u11ab", "\ud55c", "\u4f60\u597d", "\u3042\u30ab\u30fc", "\u0e19\u0e49\u0e33",
          "\U0001f600", "\u200d", "\ufe0f", "\u212b", "\ufb01", "\ufdfa", "\u2581", "...", "!=", "//",
          "\r\n", "\n\n", "    ", "x_y", "A.B", "\u0130", "\u01c5"]


def make_alphabets(added):
    everything = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    assigned = [c for c in everything if unicodedata.category(c) not in ("Cn", "Co")]
    marks = [c for c in assigned if unicodedata.category(c)[0] == "M"]
    decomposing = [c for c in assigned if unicodedata.decomposition(c)]
    return {"everything": everything, "assigned": assigned, "marks": marks,
            "decomposing": decomposing, "latin": [chr(c) for c in range(0x20, 0x250)],
            "ascii": [chr(c) for c in range(128)], "spaces": list(SPACES), "common": COMMON,
            "added": added or COMMON}


def random_string(rng, alphabets, names):
    parts = []
    for _ in range(rng.randrange(1, 6)):
        alphabet = alphabets[rng.choice(names)]
        parts += rng.choices(alphabet, k=rng.randrange(1, 9))
    if rng.random() < 0.3:
        rng.shuffle(parts)
    return "".join(parts)


def hugging_face(path):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(path)
    added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]

    def run(texts):
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ids = [e.ids for e in encodings]
        return ids, tokenizer.decode_batch(ids, skip_special_tokens=False)
    return run, added


def sentencepiece(path):
    import sentencepiece as spm
    model = spm.SentencePieceProcessor(model_file=path)

    def run(texts):
        ids = [model.encode(text) for text in texts]
        return ids, [model.decode(i) for i in ids]
    return run, []


class Reckon:
    """Speaks with tokenizer_dump: length and bytes in; ids and the decoded bytes out."""

    def __init__(self, program, path):
        self.process = subprocess.Popen([program, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def run(self, texts):
        with tempfile.TemporaryFile() as out:  # both pipes at once would block
            message = b"".join(struct.pack("<I", len(t)) + t for t in texts)
            self.process.stdin.write(struct.pack("<I", len(texts)) + message)
            self.process.stdin.flush()
        ids, decoded = [], []
        for _ in texts:
            count, = struct.unpack("<I", self.process.stdout.read(4))
            ids.append(list(struct.unpack(f"<{count}i", self.process.stdout.read(4 * count))))
            size, = struct.unpack("<I", self.process.stdout.read(4))
            decoded.append(self.process.stdout.read(size))
        return ids, decoded


def compare(path, args):
    run, added = sentencepiece(path) if path.endswith(".model") else hugging_face(path)
    alphabets = make_alphabets(added)
    names = list(alphabets) + ["ascii", "latin", "spaces", "common"]
    rng = random.Random(f"{args.seed} {path}")
    reckon = Reckon(args.reckon, path)
    done = other_ids = other_texts = round_trips = 0
    while done < args.count:
        texts = [random_string(rng, alphabets, names)
                 for _ in range(min(args.batch, args.count - done))]
        want_ids, want_texts = run(texts)
        got_ids, got_texts = reckon.run([t.encode() for t in texts])
        for text, a, b, c, d in zip(texts, want_ids, got_ids, want_texts, got_texts):
            round_trips += d == text.encode()
            if a != b:
                other_ids += 1
                if other_ids <= args.show:
                    print(f"  ids: {text!r} {[hex(ord(x)) for x in text]}\n    theirs {a}\n"
                          f"    ours   {b}")
            elif c != d.decode(errors="replace"):
                other_texts += 1
                if other_texts <= args.show:
                    print(f"  text: {text!r} {a}\n    theirs {c!r}\n    ours   {d!r}")
        done += len(texts)
    print(f"{path}: {done} strings, {other_ids} with other ids, {other_texts} with another text, "
          f"{round_trips} give back their own bytes", flush=True)
    return other_ids + other_texts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--reckon", default="build/dev/tokenizer_dump")
    args = parser.parse_args()
    return 1 if sum(compare(path, args) for path in args.tokenizers) else 0


if __name__ == "__main__":
    sys.exit(main())
