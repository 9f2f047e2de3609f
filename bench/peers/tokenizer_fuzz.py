#!/usr/bin/env python3
"""Random Unicode strings through reckon and Hugging Face's tokenizers: ids and decoded texts.

usage: python3 bench/peers/tokenizer_fuzz.py [--count N] [--seed S] [--peer COMMAND]
           [--reckon build/dev/tokenizer_dump] TOKENIZER...

TOKENIZER is a tokenizer.json, or a SentencePiece .model, which is compared with the sentencepiece
library. Strings are made of characters from all of Unicode (no surrogates), of ASCII, white space,
combining marks, Hangul, digits, contractions and the tokenizer's own added tokens. This program
starts itself again, with --serve, under the Python that has the peer's library (the peer lab's);
reckon's side is bench/tokenizer_dump.cc. Prints a line for each tokenizer and the first strings
that differ; exit code 1 where any does.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
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


def write_bytes(out, data):
    out.write(struct.pack("<I", len(data)) + data)


def write_ids(out, ids):
    out.write(struct.pack(f"<I{len(ids)}i", len(ids), *ids))


def read_bytes(source):
    size, = struct.unpack("<I", source.read(4))
    return source.read(size)


def read_ids(source):
    count, = struct.unpack("<I", source.read(4))
    return struct.unpack(f"<{count}i", source.read(4 * count))


def serve(path, args):
    """Writes strings with the peer's ids and decoded texts."""
    run, added = sentencepiece(path) if path.endswith(".model") else hugging_face(path)
    alphabets = make_alphabets(added)
    names = list(alphabets) + ["ascii", "latin", "spaces", "common"]
    rng = random.Random(f"{args.seed} {os.path.basename(os.path.dirname(path))}")
    out = sys.stdout.buffer
    for begin in range(0, args.count, args.batch):
        texts = [random_string(rng, alphabets, names)
                 for _ in range(min(args.batch, args.count - begin))]
        for text, ids, decoded in zip(texts, *run(texts)):
            write_bytes(out, text.encode())
            write_ids(out, ids)
            write_bytes(out, decoded.encode())
        out.flush()


class Difference:
    def __init__(self, name, limit):
        self.name, self.limit, self.count = name, limit, 0

    def found(self, text, theirs, ours):
        self.count += 1
        if self.count <= self.limit:
            codes = " ".join(f"{ord(c):X}" for c in text.decode())
            print(f"  {self.name}: {text.decode()!r} ({codes})\n    theirs {theirs}\n    ours   {ours}")


def compare(path, args):
    command = args.peer.split() + [__file__, "--serve", path, "--count", str(args.count),
                                   "--batch", str(args.batch), "--seed", str(args.seed)]
    peer = subprocess.Popen(command, stdout=subprocess.PIPE)
    reckon = subprocess.Popen([args.reckon, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ids, texts = Difference("ids", args.show), Difference("text", args.show)
    done = round_trips = 0
    while done < args.count:
        batch = [(read_bytes(peer.stdout), read_ids(peer.stdout), read_bytes(peer.stdout))
                 for _ in range(min(args.batch, args.count - done))]
        reckon.stdin.write(struct.pack("<I", len(batch)))
        for text, _, _ in batch:
            write_bytes(reckon.stdin, text)
        reckon.stdin.flush()
        for text, their_ids, their_text in batch:
            our_ids, our_text = read_ids(reckon.stdout), read_bytes(reckon.stdout)
            round_trips += our_text == text
            if our_ids != their_ids:
                ids.found(text, their_ids, our_ids)
            elif our_text.decode(errors="replace").encode() != their_text:
                texts.found(text, their_text, our_text)
        done += len(batch)
    print(f"{path}: {done} strings, {ids.count} with other ids, {texts.count} with another text, "
          f"{round_trips} give back their own bytes", flush=True)
    return ids.count + texts.count


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="*")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--peer", default="../shared/tools/peer-lab run python3")
    parser.add_argument("--reckon", default="build/dev/tokenizer_dump")
    parser.add_argument("--serve", help="for the program itself")
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve, args)
    return 1 if sum(compare(path, args) for path in args.tokenizers) else 0


if __name__ == "__main__":
    sys.exit(main())
