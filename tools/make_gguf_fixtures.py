#!/usr/bin/env python3
"""Makes tests/data/blocks.gguf and tests/data/blocks.f32, the known answers of the block formats.

Runs inside the peer lab (python3 with numpy and gguf, llama-quantize), from the root of the tree:
  ../shared/tools/peer-lab run python3 tools/make_gguf_fixtures.py

blocks.gguf holds, for every format that reckon reads, a tensor "<name>.random" of random bytes (all
bit patterns of the codes and packed scales; the f16 scales are kept finite) and a tensor
"<name>.quantized" that llama-quantize made of random normal values, in one row each. blocks.f32 is
what the gguf package's dequantize gives, as F32, tensor after tensor in ascending order of name.
source.f32 is what llama-quantize was given.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import gguf

Type = gguf.GGMLQuantizationType
# The bytes at which a block keeps an f16: its exponent must not be all ones.
F16_AT = {"F16": [0], "BF16": [0], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0],
          "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": []}
QUANTIZED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
             "IQ4_NL", "IQ4_XS"]
COLUMNS = 512
VOCABULARY = 32


def write_tiny_llama(path, rows):
    """A llama model of one layer, so that llama-quantize has something it knows."""
    writer = gguf.GGUFWriter(path, "llama")
    width = COLUMNS
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(8)
    writer.add_head_count_kv(8)
    writer.add_rope_dimension_count(width // 8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{i}" for i in range(VOCABULARY)])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([1] * VOCABULARY)
    zeros = np.zeros((width, width), dtype=np.float32)
    for name, count in [("token_embd", VOCABULARY), ("output", VOCABULARY)]:
        writer.add_tensor(name + ".weight", np.zeros((count, width), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for name in ["attn_norm", "ffn_norm"]:
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(width, dtype=np.float32))
    for name in ["attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        writer.add_tensor(f"blk.0.{name}.weight", zeros)
    square = zeros.copy()
    square[: rows.shape[0]] = rows
    writer.add_tensor("blk.0.attn_q.weight", square)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_quantized(folder, source, name):
    """The first row of attn_q as llama-quantize writes it in this format."""
    output = os.path.join(folder, name + ".gguf")
    command = ["llama-quantize", "--pure", source, output, name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr[-2000:]}")
    for tensor in gguf.GGUFReader(output).tensors:
        if tensor.name == "blk.0.attn_q.weight":
            assert tensor.tensor_type == Type[name], (name, tensor.tensor_type)
            return np.array(tensor.data[0:1])
    sys.exit(f"{name}: no attn_q")


def random_blocks(rng, name):
    block, size = gguf.GGML_QUANT_SIZES[Type[name]]
    count = max(1, 256 // block)
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in F16_AT[name]:
        data[:, at + 1] = (data[:, at + 1] & 0x83) | (rng.integers(8, 17, count) << 2)
    return data.reshape(1, -1)


def main():
    rng = np.random.default_rng(20250120)
    row = (rng.standard_normal((1, COLUMNS)) * 0.05).astype(np.float32)
    row[0, 7] = 0.31  # an outlier, as real weights have them
    tensors = {}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        source = os.path.join(folder, "source.gguf")
        write_tiny_llama(source, row)
        for name in F16_AT:
            tensors[name + ".random"] = (Type[name], random_blocks(rng, name))
        for name in QUANTIZED:
            tensors[name + ".quantized"] = (Type[name], llama_quantized(folder, source, name))
    writer = gguf.GGUFWriter("tests/data/blocks.gguf", "none")
    writer.add_uint32("test.seed", 20250120)
    writer.add_array("test.names", sorted(tensors))
    answers = []
    for name in sorted(tensors):
        kind, data = tensors[name]
        if name.startswith("BF16") or name.startswith("F16"):
            data = data.view(np.uint16 if kind == Type.BF16 else np.float16)
            writer.add_tensor(name, data, raw_dtype=kind)
            wide = data.astype(np.float32)
            if kind == Type.BF16:
                wide = (data.astype(np.uint32) << 16).view(np.float32)
        else:
            writer.add_tensor(name, data, raw_dtype=kind)
            wide = gguf.dequantize(data, kind)
        answers.append(np.ascontiguousarray(wide, dtype=np.float32).ravel())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.concatenate(answers).tofile("tests/data/blocks.f32")
    row.tofile("tests/data/source.f32")


if __name__ == "__main__":
    main()
