#!/usr/bin/env python3
"""Makes tests/fuzz/seeds/<target>/*: small inputs of every kind that the fuzz targets read, good
and bad ones. Needs nothing but Python; the same bytes each time.

usage: tests/fuzz/make_seeds.py [FOLDER]   (default: seeds/ beside this file)
"""

import json
import os
import struct
import sys

MARKER = b"%%%"


def write(folder, target, name, data):
    os.makedirs(os.path.join(folder, target), exist_ok=True)
    with open(os.path.join(folder, target, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# config.json and model folders -------------------------------------------------------------------

LLAMA = {
    "model_type": "llama", "vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 3,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64,
    "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1,
    "eos_token_id": [2, 3], "attention_bias": False, "mlp_bias": False,
}
LLAMA3 = dict(LLAMA, rope_scaling={
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192})
QWEN2 = dict(LLAMA, model_type="qwen2", tie_word_embeddings=True, use_sliding_window=False,
             rope_scaling={"type": "linear", "factor": 2.0})
DEEPSEEK = {
    "model_type": "deepseek_v3", "vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 3, "moe_intermediate_size": 2,
    "q_lora_rank": 3, "kv_lora_rank": 2, "qk_nope_head_dim": 2, "qk_rope_head_dim": 2,
    "v_head_dim": 2, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "moe_layer_freq": 1,
    "routed_scaling_factor": 2.5, "norm_topk_prob": True, "scoring_func": "sigmoid",
    "topk_method": "noaux_tc", "num_nextn_predict_layers": 1, "rms_norm_eps": 1e-6,
    "rope_theta": 10000, "max_position_embeddings": 163840, "hidden_act": "silu",
    "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                     "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
}
DEEPSEEK_V2 = dict(DEEPSEEK, model_type="deepseek_v2", scoring_func="softmax", q_lora_rank=None,
                   topk_method="group_limited_greedy", norm_topk_prob=False)
HUGE = dict(DEEPSEEK, n_routed_experts=1 << 24, moe_intermediate_size=1 << 24,
            hidden_size=1 << 24, num_hidden_layers=10000)


def llama_tensors(prefix="model."):
    layer = prefix + "layers.0."
    return {
        prefix + "embed_tokens.weight": [6, 4],
        layer + "input_layernorm.weight": [4],
        layer + "self_attn.q_proj.weight": [4, 4],
        layer + "self_attn.k_proj.weight": [2, 4],
        layer + "self_attn.v_proj.weight": [2, 4],
        layer + "self_attn.o_proj.weight": [4, 4],
        layer + "post_attention_layernorm.weight": [4],
        layer + "mlp.gate_proj.weight": [3, 4],
        layer + "mlp.up_proj.weight": [3, 4],
        layer + "mlp.down_proj.weight": [4, 3],
        prefix + "norm.weight": [4],
        "lm_head.weight": [6, 4],
    }


def deepseek_tensors():
    shapes = {"model.embed_tokens.weight": [6, 4], "model.norm.weight": [4],
              "lm_head.weight": [6, 4]}
    for i in range(2):
        layer = f"model.layers.{i}."
        attention = layer + "self_attn."
        shapes.update({
            layer + "input_layernorm.weight": [4], layer + "post_attention_layernorm.weight": [4],
            attention + "q_a_proj.weight": [3, 4], attention + "q_a_layernorm.weight": [3],
            attention + "q_b_proj.weight": [8, 3],
            attention + "kv_a_proj_with_mqa.weight": [4, 4],
            attention + "kv_a_layernorm.weight": [2], attention + "kv_b_proj.weight": [8, 2],
            attention + "o_proj.weight": [4, 4]})
        wide = [("mlp.", 3)]
        if i == 1:
            shapes[layer + "mlp.gate.weight"] = [4, 4]
            shapes[layer + "mlp.gate.e_score_correction_bias"] = [4]
            wide = [(f"mlp.experts.{e}.", 2) for e in range(4)] + [("mlp.shared_experts.", 2)]
        for prefix, size in wide:
            shapes[layer + prefix + "gate_proj.weight"] = [size, 4]
            shapes[layer + prefix + "up_proj.weight"] = [size, 4]
            shapes[layer + prefix + "down_proj.weight"] = [4, size]
    return shapes


def count(shape):
    n = 1
    for dim in shape:
        n *= dim
    return n


SIZE = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I64": 8, "F8_E4M3": 1, "U8": 1}


def safetensors(shapes, dtype="F32", metadata=None):
    """Header, NUL, data: as the target takes it."""
    header, offset = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, shape in shapes.items():
        size = count(shape) * SIZE[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return dump(header).encode() + b"\0" + bytes(range(256)) * (offset // 256) + bytes(offset % 256)


def make_safetensors(folder):
    def good(name, data):
        write(folder, "safetensors", name, b"h" + data)
        header, body = data.split(b"\0", 1)
        write(folder, "safetensors", name + "_raw",
              b"r" + struct.pack("<Q", len(header)) + header + body)

    good("f32", safetensors({"a": [2, 3], "b": [], "c": [0, 5]}, "F32", {"format": "pt"}))
    good("bf16", safetensors({"a": [3], "\u00e4": [1, 2]}, "BF16"))
    good("i64", safetensors({"ids": [4]}, "I64"))
    good("fp8", safetensors({"w": [2, 2], "w_scale_inv": [1, 1]}, "F8_E4M3"))
    bad = {
        "overlap": '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
                   '"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}\0xxx',
        "hole": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}\0xx',
        "wraps": '{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}\0',
        "negative": '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}\0xxxx',
        "twice": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                 '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}\0xx',
        "key": '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}\0x',
        "deep": '{"a":' + "[" * 30 + "]" * 30 + "}\0",
    }
    for name, text in bad.items():
        write(folder, "safetensors", name, "h" + text)
    write(folder, "safetensors", "not_utf8", b'h{"\xff\xfe":{"dtype":"U8"}}\0')
    write(folder, "safetensors", "long_header", b"r" + struct.pack("<Q", 1 << 40) + b"{}")


def make_configs(folder):
    for name, config in {"llama": LLAMA, "llama3": LLAMA3, "qwen2": QWEN2, "v3": DEEPSEEK,
                         "v2": DEEPSEEK_V2, "huge": HUGE, "alien": {"model_type": "mamba"},
                         "parameters": dict(LLAMA, rope_parameters={
                             "rope_type": "default", "rope_theta": 1e6}),
                         "generation": {"do_sample": True, "temperature": 0.6, "top_p": 0.95,
                                        "top_k": 20, "eos_token_id": [1, 2],
                                        "max_new_tokens": 100},
                         "tokenizer": {
                             "bos_token": {"content": "<s>"}, "eos_token": "</s>",
                             "chat_template": [{"name": "default", "template": "{{ bos_token }}"},
                                               {"name": "tool_use", "template": "{{ tools }}"}]},
                         }.items():
        write(folder, "config", name, dump(config))


def make_folders(folder):
    def parts(config, index, first, second=b"{}\0"):
        return MARKER.join([dump(config).encode(), index, first, second])

    def index_of(shards):
        return dump({"metadata": {}, "weight_map": {
            name: shard for shard, names in shards.items() for name in names}}).encode()

    tensors = llama_tensors()
    names = list(tensors)
    halves = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    a, b = ({name: tensors[name] for name in names} for names in halves.values())
    write(folder, "folder", "single", parts(LLAMA, b"", safetensors(tensors)))
    write(folder, "folder", "shards", parts(LLAMA, index_of(halves), safetensors(a, "BF16"),
                                            safetensors(b, "F16")))
    write(folder, "folder", "missing_shard",
          parts(LLAMA, index_of(dict(halves, **{"c.safetensors": ["x"]})), safetensors(a),
                safetensors(b)))
    write(folder, "folder", "twice", parts(LLAMA, index_of(halves), safetensors(a),
                                           safetensors(dict(b, **{names[0]: [6, 4]}))))
    write(folder, "folder", "tied", parts(QWEN2, b"", safetensors(tensors, "BF16")))
    deepseek = dict(DEEPSEEK, num_nextn_predict_layers=0)
    write(folder, "folder", "v3", parts(deepseek, b"", safetensors(deepseek_tensors(), "BF16")))
    write(folder, "folder", "huge", parts(HUGE, b"", safetensors(tensors)))


# GGUF --------------------------------------------------------------------------------------------

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 5, 6, 7, 8, 9, 10


def gguf_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(kind, value):
    if kind == STRING:
        return gguf_string(value)
    if kind == ARRAY:
        element, values = value
        return struct.pack("<IQ", element, len(values)) + b"".join(
            gguf_value(element, v) for v in values)
    return struct.pack({U8: "<B", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q"}[kind],
                       value)


def gguf(keys, tensors, version=3, alignment=32):
    """tensors: name -> (ne, ggml type, bytes)."""
    out = struct.pack("<IIQQ", 0x46554747, version, len(tensors), len(keys))
    for key, (kind, value) in keys.items():
        out += gguf_string(key) + struct.pack("<I", kind) + gguf_value(kind, value)
    data = b""
    for name, (ne, kind, content) in tensors.items():
        data += bytes(-len(data) % alignment)
        out += gguf_string(name) + struct.pack("<I", len(ne)) + b"".join(
            struct.pack("<Q", n) for n in ne) + struct.pack("<IQ", kind, len(data))
        data += content
    return out + bytes(-len(out) % alignment) + data


def llama_keys():
    return {
        "general.architecture": (STRING, "llama"), "llama.context_length": (U32, 64),
        "llama.embedding_length": (U32, 4), "llama.block_count": (U32, 1),
        "llama.feed_forward_length": (U32, 3), "llama.attention.head_count": (U32, 2),
        "llama.attention.head_count_kv": (U32, 1), "llama.rope.dimension_count": (U32, 2),
        "llama.attention.layer_norm_rms_epsilon": (F32, 1e-5),
    }


def deepseek_keys():
    return {
        "general.architecture": (STRING, "deepseek2"), "deepseek2.context_length": (U32, 64),
        "deepseek2.embedding_length": (U32, 4), "deepseek2.block_count": (U32, 2),
        "deepseek2.feed_forward_length": (U32, 3), "deepseek2.attention.head_count": (U32, 2),
        "deepseek2.attention.layer_norm_rms_epsilon": (F32, 1e-5),
        "deepseek2.attention.key_length": (U32, 4), "deepseek2.attention.value_length": (U32, 2),
        "deepseek2.attention.kv_lora_rank": (U32, 2), "deepseek2.rope.dimension_count": (U32, 2),
        "deepseek2.attention.key_length_mla": (U32, 4),
        "deepseek2.attention.value_length_mla": (U32, 2),
        "deepseek2.expert_count": (U32, 4), "deepseek2.expert_used_count": (U32, 2),
        "deepseek2.expert_shared_count": (U32, 1), "deepseek2.expert_gating_func": (U32, 2),
        "deepseek2.expert_feed_forward_length": (U32, 2),
        "deepseek2.leading_dense_block_count": (U32, 1),
        "deepseek2.expert_weights_norm": (BOOL, 1),
        "deepseek2.rope.scaling.type": (STRING, "yarn"),
        "deepseek2.rope.scaling.factor": (F32, 40.0),
        "deepseek2.rope.scaling.original_context_length": (U32, 16),
        "deepseek2.rope.scaling.yarn_log_multiplier": (F32, 0.1),
    }


def f32_tensors(shapes):
    return {name: (shape[::-1], 0, struct.pack(f"<{count(shape)}f", *range(count(shape))))
            for name, shape in shapes.items()}


def llama_gguf_tensors():
    return f32_tensors({
        "token_embd.weight": [6, 4], "output_norm.weight": [4], "output.weight": [6, 4],
        "blk.0.attn_norm.weight": [4], "blk.0.attn_q.weight": [4, 4],
        "blk.0.attn_k.weight": [2, 4], "blk.0.attn_v.weight": [2, 4],
        "blk.0.attn_output.weight": [4, 4], "blk.0.ffn_norm.weight": [4],
        "blk.0.ffn_gate.weight": [3, 4], "blk.0.ffn_up.weight": [3, 4],
        "blk.0.ffn_down.weight": [4, 3]})


def deepseek_gguf_tensors():
    shapes = {"token_embd.weight": [6, 4], "output_norm.weight": [4], "output.weight": [6, 4]}
    for i in range(2):
        block = f"blk.{i}."
        shapes.update({
            block + "attn_norm.weight": [4], block + "ffn_norm.weight": [4],
            block + "attn_q.weight": [8, 4], block + "attn_kv_a_mqa.weight": [4, 4],
            block + "attn_kv_a_norm.weight": [2], block + "attn_output.weight": [4, 4]})
        if i == 0:
            shapes.update({block + "attn_kv_b.weight": [8, 2], block + "ffn_gate.weight": [3, 4],
                           block + "ffn_up.weight": [3, 4], block + "ffn_down.weight": [4, 3]})
        else:
            shapes.update({
                block + "attn_k_b.weight": [2, 2, 2], block + "attn_v_b.weight": [2, 2, 2],
                block + "ffn_gate_inp.weight": [4, 4], block + "exp_probs_b.bias": [4],
                block + "ffn_gate_exps.weight": [4, 2, 4],
                block + "ffn_up_exps.weight": [4, 2, 4],
                block + "ffn_down_exps.weight": [4, 4, 2],
                block + "ffn_gate_shexp.weight": [2, 4], block + "ffn_up_shexp.weight": [2, 4],
                block + "ffn_down_shexp.weight": [4, 2]})
    return f32_tensors(shapes)


def bpe_keys():
    prefix = "tokenizer.ggml."
    tokens = ["H", "i", "Hi", "\u0120", "1", "<s>"]
    return {
        prefix + "model": (STRING, "gpt2"), prefix + "pre": (STRING, "qwen2"),
        prefix + "tokens": (ARRAY, (STRING, tokens)),
        prefix + "token_type": (ARRAY, (I32, [1, 1, 1, 1, 1, 3])),
        prefix + "merges": (ARRAY, (STRING, ["H i"])),
        prefix + "bos_token_id": (U32, 5), prefix + "eos_token_id": (U32, 5),
        prefix + "add_bos_token": (BOOL, 1),
    }


def piece_keys(model):
    prefix = "tokenizer.ggml."
    tokens = ["<unk>", "<s>", "<0x41>", "\u2581H", "i", "\u2581Hi"]
    return {
        prefix + "model": (STRING, model),
        prefix + "tokens": (ARRAY, (STRING, tokens)),
        prefix + "scores": (ARRAY, (F32, [0.0, 0.0, 0.0, -1.0, -2.0, -0.5])),
        prefix + "token_type": (ARRAY, (I32, [2, 3, 6, 1, 1, 1])),
        prefix + "bos_token_id": (U32, 1), prefix + "unknown_token_id": (U32, 0),
        prefix + "add_space_prefix": (BOOL, 1),
    }


def make_gguf(folder):
    def seed(name, data):
        write(folder, "gguf", name, data)

    seed("empty", gguf({}, {}))
    seed("llama", gguf(llama_keys(), llama_gguf_tensors()))
    seed("llama_bpe", gguf({**llama_keys(), **bpe_keys()}, llama_gguf_tensors()))
    seed("llama3", gguf({**llama_keys(), "llama.rope.scaling.type": (STRING, "linear"),
                         "llama.rope.scaling.factor": (F32, 2.0)},
                        {**llama_gguf_tensors(), **f32_tensors({"rope_freqs.weight": [1]})}))
    seed("deepseek", gguf({**deepseek_keys(), **piece_keys("llama")}, deepseek_gguf_tensors()))
    seed("bpe", gguf(bpe_keys(), {}))
    seed("template", gguf({**bpe_keys(), "tokenizer.chat_template": (
        STRING, "{{ eos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | tojson }}"
                "{% endfor %}")}, {}))
    seed("llama_pieces", gguf(piece_keys("llama"), {}, version=2))
    seed("t5_pieces", gguf(piece_keys("t5"), {}))
    seed("values", gguf({
        "a": (ARRAY, (ARRAY, [(U8, [1, 2]), (STRING, ["x"])])), "general.alignment": (U32, 64),
        "b": (U64, 1 << 63), "split.count": (U32, 1), "c": (ARRAY, (BOOL, [0, 1]))},
        f32_tensors({"t": [2, 3], "u": [1]}), alignment=64))
    q8 = (b"\x00\x3c" + bytes(range(32))) * 2
    seed("blocks", gguf({}, {"q": ([32, 2], 8, q8), "k": ([256], 12, bytes(144))}))
    seed("bytes", gguf(dict(piece_keys("llama"), **{"tokenizer.ggml.tokens": (ARRAY, (STRING, [
        "<unk>", "<s>", "<0x-1>", "<0x100>", "", "<0xFF>"]))}), {}))


# SentencePiece -----------------------------------------------------------------------------------

def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def charsmap():
    """A double array of one unit for nothing, and an empty list of texts."""
    return struct.pack("<I", 4 * 256) + struct.pack("<256I", *([0] * 256)) + b"x\0"


def sentencepiece(model_type, byte_fallback, normalizer=b""):
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("\u2581", -3.0, 1),
              ("\u2581a", -1.0, 1), ("b", -2.0, 1), ("ab", -1.5, 1), ("<user>", 0.0, 4),
              ("H", -4.0, 5)]
    if byte_fallback:
        pieces += [(f"<0x{b:02X}>", 0.0, 6) for b in (0x41, 0xE4, 0xFF)]
    out = b"".join(field(1, field(1, text) + field(2, score) + field(3, kind))
                   for text, score, kind in pieces)
    out += field(2, field(3, model_type) + field(35, int(byte_fallback)) + field(44, " ? ") +
                 field(46, "<s>") + field(47, "</s>"))
    return out + field(3, field(1, "identity") + field(3, 1) + field(4, 1) + field(5, 1) +
                       normalizer)


def make_sentencepiece(folder):
    for kind, name in ((1, "unigram"), (2, "bpe")):
        write(folder, "sentencepiece", name, sentencepiece(kind, False))
        write(folder, "sentencepiece", name + "_bytes", sentencepiece(kind, True))
    write(folder, "sentencepiece", "charsmap", sentencepiece(1, False, field(2, charsmap())))
    write(folder, "sentencepiece", "word", sentencepiece(3, False))
    write(folder, "sentencepiece", "long_piece",
          varint(1 << 3 | 2) + varint(1 << 40) + b"x")


# tokenizer.json ----------------------------------------------------------------------------------

def bpe_model(vocab, merges, **more):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False, "vocab": {token: i for i, token in enumerate(vocab)},
            "merges": merges, **more}


def added(id_, content, special=True):
    return {"id": id_, "content": content, "single_word": False, "lstrip": False,
            "rstrip": not special, "normalized": not special, "special": special}


def tokenizer(model, **more):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
            "model": model, **more}


def tokenizers():
    letters = ["H", "i", "t", "s", "'", "\u0120", "1", "2", "\u010a"]
    byte_bpe = bpe_model(letters + ["Hi", "\u0120i"], ["H i", "\u0120 i"])
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    pattern = ("(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+")
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
             "invert": False}
    meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first",
            "split": True}
    pieces = ["<unk>", "<s>", "\u2581", "\u2581H", "i", "a", "ab", "<0x0A>", "<0xE4>"]
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    yield "byte_level", tokenizer(byte_bpe, pre_tokenizer=byte_level, decoder=byte_level,
                                  post_processor=byte_level,
                                  added_tokens=[added(11, "<s>"), added(12, "it", False)])
    yield "split", tokenizer(
        byte_bpe, normalizer={"type": "NFC"},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            split, {"type": "Digits", "individual_digits": True},
            dict(byte_level, use_regex=False)]}, decoder=byte_level)
    yield "llama", tokenizer(
        bpe_model(pieces + ["b"], [["a", "b"]], unk_token="<unk>", byte_fallback=True,
                  fuse_unk=True),
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        post_processor=template, added_tokens=[added(1, "<s>")],
        decoder={"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
    yield "unigram", tokenizer(
        {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
         "vocab": [[piece, -float(i)] for i, piece in enumerate(pieces)]},
        pre_tokenizer=meta, decoder=meta, normalizer={"type": "NFKC"})
    yield "word_level", tokenizer(
        {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "Hi": 1}},
        pre_tokenizer={"type": "Whitespace"}, normalizer={"type": "Lowercase"})


def make_tokenizers(folder):
    for name, value in tokenizers():
        write(folder, "tokenizer", name, dump(value).encode() + MARKER + b"Hi 12 it's \xe4 <s>")
    deep = tokenizer(bpe_model(["a"], []))
    for _ in range(60):
        deep["normalizer"] = {"type": "Sequence", "normalizers": [deep["normalizer"]]}
    write(folder, "tokenizer", "deep", dump(deep))
    write(folder, "tokenizer", "far_id",
          dump(tokenizer(bpe_model(["a"], []), added_tokens=[added(1 << 24, "x")])))
    write(folder, "tokenizer", "loop_pattern", dump(tokenizer(
        bpe_model(["a"], []), pre_tokenizer={
            "type": "Split", "pattern": {"Regex": "(a+)+$|(?:)*"}, "behavior": "Removed",
            "invert": True})) + "%%%" + "a" * 60 + "b")


# Jinja -------------------------------------------------------------------------------------------

TEMPLATES = {
    "chat": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<u>{{ m['content'] | "
            "trim }}{% elif m.tool_calls %}{% for c in m.tool_calls %}{{ c.function.arguments | "
            "tojson }}{% endfor %}{% else %}{{ m.content or '' }}{% endif %}{% endfor %}"
            "{%- if add_generation_prompt %}<a>{% endif %}",
    "macro": "{%- macro f(x, y=2) -%}{{ x ~ y }}{%- endmacro -%}{{ f(1) }}{{ f(1, y=[1,{'a':2}]) }}"
             "{% call f(3) %}in{% endcall %}",
    "set": "{% set ns = namespace(n=0) %}{% for i in range(5) %}{% set ns.n = ns.n + i %}"
           "{% if i == 3 %}{% break %}{% endif %}{{ loop.index0 }}{% endfor %}{{ ns.n }}"
           "{% set t %}x{% endset %}{{ t }}",
    "filters": "{{ [3,1,2] | sort | join(',') }}{{ 'a b' | upper | replace('A','b') | length }}"
               "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | "
               "list }}{{ tools | tojson(indent=2) }}{{ 3.5 | round | int }}{{ x | default('d') }}"
               "{{ {'a': 1} | items | list }}{{ 'abc'[::-1] }}{{ 'x' * 3 }}",
    "operators": "{{ 1 + 2 * 3 // 2 % 5 - -1 ** 2 }}{{ 'a' in 'abc' and not none is none }}"
                 "{{ 1 if x is defined else 'no' }}{{ [1, 2][0:1] + (3,) | list }}{{ 1 < 2 <= 3 }}",
    "methods": "{{ 'a,b'.split(',') }}{{ ' x '.strip() }}{{ 'x{}y{:>5}'.format(1, 'z') }}"
               "{{ '%s %d' % ('a', 3) }}{{ messages[0].items() | list }}{{ 'abc'.find('c') }}",
    "time": "{{ strftime_now('%d %b %Y') }}{{ raise_exception('no') }}",
    "loop_forever": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in "
                    "range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "doubling": "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x "
                "%}{% endfor %}",
    "parens": "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "injection": "{{ messages[1].content }}{{ ''.__class__.__mro__ }}{{ self }}{{ cycler.__init__ "
                 "}}",
    "generation": "{% generation %}a{% endgeneration %}{# c #}{% raw %}{{ x }}{% endraw %}"
                  "{% filter upper %}x{% endfilter %}{% with a=1 %}{{ a }}{% endwith %}",
}


def make_jinja(folder):
    for name, text in TEMPLATES.items():
        write(folder, "jinja", name, text)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(
        os.path.abspath(__file__)), "seeds")
    for make in (make_safetensors, make_configs, make_folders, make_gguf, make_sentencepiece,
                 make_tokenizers, make_jinja):
        make(folder)


if __name__ == "__main__":
    main()
