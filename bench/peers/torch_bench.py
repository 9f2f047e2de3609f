#!/usr/bin/env python3
"""PyTorch and transformers on the model of bench/recipes: a training step, sampling, a GRPO step.

Prints one JSON object. The model is transformers' own DeepseekV3ForCausalLM with random weights, the
settings are the fastest that docs/performance.md found for it on two CPU cores: bf16 autocast with
grouped_mm experts and eager attention for training, f32 for sampling, fused AdamW.

usage: torch_bench.py CONFIG.json [--threads 2] [--repeat 3] [--only train,generate,grpo]
"""
import argparse
import json
import statistics
import time

import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

TRAIN_BATCH, TRAIN_LEN = 16, 256
GEN_BATCH, GEN_PROMPT, GEN_NEW = 64, 32, 128
GRPO_PROMPTS, GRPO_SAMPLES, GRPO_PROMPT, GRPO_NEW = 64, 8, 32, 64
GRPO_MICRO_BATCH = 64  # sequences a micro-batch of the update


def make_model(path):
    with open(path) as file:
        config = DeepseekV3Config(**json.load(file))
    config._attn_implementation = "eager"
    config._experts_implementation = "grouped_mm"
    torch.manual_seed(0)
    return DeepseekV3ForCausalLM(config)


def f32_gflops():
    """Rate of an f32 product: tells a BLAS from the reference one, fifteen times slower."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    seconds = seconds_of(lambda: a @ b, 3)
    return 2e-9 * 1024 ** 3 / seconds


def random_ids(model, *shape):
    return torch.randint(2, model.config.vocab_size, shape)


def seconds_of(function, repeat):
    function()  # warm-up
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def train_step(model, optimizer, ids):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def generate(model, prompts, new_tokens):
    with torch.no_grad():
        return model.generate(prompts, attention_mask=torch.ones_like(prompts), do_sample=True,
                              temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=new_tokens,
                              max_new_tokens=new_tokens, pad_token_id=0)


def token_logprobs(model, ids, prompt_len):
    logits = model(input_ids=ids, use_cache=False).logits[:, prompt_len - 1:-1].float()
    return torch.log_softmax(logits, -1).gather(-1, ids[:, prompt_len:, None])[..., 0]


def grpo_step(model, optimizer, prompts):
    """Rollout, then one policy-gradient update; old log-probabilities equal new ones (one update)."""
    model.eval()
    ids = generate(model, prompts.repeat_interleave(GRPO_SAMPLES, 0), GRPO_NEW)
    rewards = torch.rand(ids.shape[0]).view(-1, GRPO_SAMPLES)
    advantages = ((rewards - rewards.mean(1, True)) / (rewards.std(1, keepdim=True) + 1e-4)).view(-1)
    model.train()
    count = ids.shape[0] * GRPO_NEW
    for begin in range(0, ids.shape[0], GRPO_MICRO_BATCH):
        rows = slice(begin, begin + GRPO_MICRO_BATCH)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            new = token_logprobs(model, ids[rows], GRPO_PROMPT)
        ratio = torch.exp(new - new.detach())
        a = advantages[rows, None]
        loss = -torch.min(ratio * a, ratio.clamp(0.8, 1.28) * a).sum() / count
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="train,generate,grpo")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    wanted = args.only.split(",")
    model = make_model(args.config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    result = {"torch": torch.__version__, "parameters": sum(p.numel() for p in model.parameters()),
              "f32_gflops": f32_gflops()}
    if "train" in wanted:
        ids = random_ids(model, TRAIN_BATCH, TRAIN_LEN)
        seconds = seconds_of(lambda: train_step(model, optimizer, ids), args.repeat)
        result["train_tokens_per_s"] = TRAIN_BATCH * TRAIN_LEN / seconds
    if "generate" in wanted:
        model.eval()
        prompts = random_ids(model, GEN_BATCH, GEN_PROMPT)
        seconds = seconds_of(lambda: generate(model, prompts, GEN_NEW), args.repeat)
        result["generate_tokens_per_s"] = GEN_BATCH * GEN_NEW / seconds
    if "grpo" in wanted:
        prompts = random_ids(model, GRPO_PROMPTS, GRPO_PROMPT)
        result["grpo_step_s"] = seconds_of(lambda: grpo_step(model, optimizer, prompts), 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
