#!/usr/bin/env python3
"""Writes small tokenizers that use one feature each, for tokenizer_fuzz.py.

usage: ../shared/tools/peer-lab run python3 bench/peers/tokenizer_variants.py TEXT FOLDER

TEXT is any prose to train on. FOLDER gets NAME/tokenizer.json, from Hugging Face's trainers, and
NAME.model, from the sentencepiece library.
"""
import json
import pathlib
import sys

import sentencepiece as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

BYTES = [f"<0x{b:02X}>" for b in range(256)]


def characters():
    """BPE over characters with all bytes to fall back on: ids show the normalised text."""
    vocab = {token: i for i, token in enumerate(["<unk>"] + BYTES + list("abcdefgh▁"))}
    merges = []
    for left, right in ["ab", "cd", ("ab", "cd"), "▁a", "ef"]:
        vocab[left + right] = len(vocab)
        merges.append((left, right))
    return models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True,
                      fuse_unk=True)


def pieces():
    """One id for each piece: ids show how often a text was cut."""
    return models.WordLevel({"<unk>": 0, "a": 1, " ": 2, "▁": 3}, unk_token="<unk>")


def fallback_decoder():
    return decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                              decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def normalizer_variants(charsmap):
    n = normalizers
    return {"nfc": n.NFC(), "nfd": n.NFD(), "nfkc": n.NFKC(), "nfkd": n.NFKD(),
            "lowercase": n.Lowercase(), "strip": n.Strip(), "strip_left": n.Strip(right=False),
            "nmt": n.Nmt(), "precompiled": n.Precompiled(charsmap),
            "replace_regex": n.Replace(Regex(r"\s+|[0-9]{2}"), "a▁"),
            "prepend": n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]),
            "byte_level_normalizer": n.ByteLevel(),
            "sequence": n.Sequence([n.NFKD(), n.Lowercase(), n.Strip(), n.NFC()])}


def pre_tokenizer_variants():
    p = pre_tokenizers
    variants = {"digits": p.Digits(), "digit": p.Digits(individual_digits=True),
                "whitespace_split": p.WhitespaceSplit(), "delimiter": p.CharDelimiterSplit("a"),
                "metaspace_always": p.Metaspace(),
                "metaspace_first": p.Sequence([p.WhitespaceSplit(),
                                               p.Metaspace(prepend_scheme="first")]),
                "metaspace_never": p.Metaspace(prepend_scheme="never"),
                "metaspace_whole": p.Metaspace(prepend_scheme="first", split=False)}
    for behavior in ["removed", "isolated", "contiguous", "merged_with_previous",
                     "merged_with_next"]:
        for invert in [False, True]:
            variants[f"split_{behavior}_{invert}"] = p.Split(Regex(r"[\s.]|\p{N}+|x*"), behavior,
                                                             invert)
    return variants


def write(folder, name, model, normalizer=None, pre_tokenizer=None, decoder=None, added=()):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.add_tokens(list(added))
    (folder / name).mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / name / "tokenizer.json"))


def write_trained(folder, text, charsmap):
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Precompiled(charsmap)
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train([text], trainers.UnigramTrainer(vocab_size=2000, unk_token="<unk>",
                                                  special_tokens=["<unk>", "<s>"],
                                                  show_progress=False))
    for name, fallback in [("unigram", False), ("unigram_bytes", True)]:
        content = json.loads(unigram.to_str())
        if fallback:
            content["model"]["byte_fallback"] = True
            content["model"]["vocab"] += [[token, -20.0] for token in BYTES]
            content["decoder"] = json.loads(fallback_decoder().__getstate__())
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "tokenizer.json").write_text(json.dumps(content))
    gpt2 = Tokenizer(models.BPE())
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    gpt2.decoder = decoders.ByteLevel()
    gpt2.post_processor = processors.ByteLevel()
    gpt2.train([text], trainers.BpeTrainer(vocab_size=3000, show_progress=False,
                                           initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    gpt2.add_tokens([AddedToken("THE", normalized=True), AddedToken("</s>", lstrip=True),
                     AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
                     AddedToken("and", single_word=True)])
    (folder / "gpt2").mkdir(parents=True, exist_ok=True)
    gpt2.save(str(folder / "gpt2" / "tokenizer.json"))


def train_sentencepiece(folder, text):
    common = {"input": text, "vocab_size": 1500, "minloglevel": 2}
    variants = {
        "unigram": {"model_type": "unigram"},
        "unigram_bytes": {"model_type": "unigram", "byte_fallback": True,
                          "user_defined_symbols": ["<think>", "the", "e\u0301"]},
        "bpe": {"model_type": "bpe", "byte_fallback": True},
        "bpe_identity": {"model_type": "bpe", "normalization_rule_name": "identity",
                         "remove_extra_whitespaces": False, "split_digits": True},
        "bpe_symbols": {"model_type": "bpe", "user_defined_symbols": ["<think>", "and", "..."],
                        "control_symbols": ["<sep>"], "add_dummy_prefix": False,
                        "normalization_rule_name": "nfkc_cf"},
        "bpe_suffix": {"model_type": "bpe", "treat_whitespace_as_suffix": True},
        "unigram_whole": {"model_type": "unigram", "split_by_whitespace": False}}
    for name, options in variants.items():
        spm.SentencePieceTrainer.train(model_prefix=str(folder / name), **common, **options)
        (folder / f"{name}.vocab").unlink()


def fields(data):
    """(number, value) of a protobuf message, whose fixed-size fields are skipped."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            size = varint()
            at += size
            yield key >> 3, data[at - size:at]
        else:
            at += 8 if key & 7 == 1 else 4


def charsmap_of(model_path):
    normalizer_spec = dict(fields(model_path.read_bytes()))[3]
    return dict(fields(normalizer_spec))[2]


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    text, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    train_sentencepiece(folder, text)
    charsmap = charsmap_of(folder / "unigram.model")
    write_trained(folder, text, charsmap)
    for name, normalizer in normalizer_variants(charsmap).items():
        write(folder, name, characters(), normalizer=normalizer, decoder=fallback_decoder(),
              added=[AddedToken("abc", normalized=True), AddedToken("H", normalized=False)])
    for name, pre_tokenizer in pre_tokenizer_variants().items():
        write(folder, name, pieces(), pre_tokenizer=pre_tokenizer,
              added=[AddedToken("<b>", normalized=False)])
    write(folder, "no_decoder", characters())
    write(folder, "metaspace_decoder", characters(), pre_tokenizer=pre_tokenizers.Metaspace(),
          decoder=decoders.Metaspace())
    return 0


if __name__ == "__main__":
    sys.exit(main())
