#!/usr/bin/env python3
"""Trains transformers' DeepseekV3ForCausalLM in f32 from reckon's initial weights on reckon's batches,
and compares the loss of every step with reckon's.

usage: torch_compare_training.py RUN_FOLDER [--steps 200] [--json]

RUN_FOLDER is what `bench/peers/compare_training.sh` leaves: initial/ and model/ (Hugging Face folders),
batches.json ({"batches": [[[ids of an example], ...], ...]}), settings.json (learning rates by step,
betas, epsilon, weight decay, clipping), metrics.jsonl (reckon's losses) and logits.json ({"ids": [...],
"logits": [[...], ...]} of the finished model).
"""
import argparse
import json
import os

import torch
from transformers import AutoModelForCausalLM


def load(folder, name):
    with open(os.path.join(folder, name)) as file:
        return json.load(file)


def reckon_losses(folder):
    with open(os.path.join(folder, "metrics.jsonl")) as file:
        return [json.loads(line)["loss"] for line in file if '"loss"' in line]


def load_model(path):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32,
                                                attn_implementation="eager")


def train(model, folder, steps):
    settings = load(folder, "settings.json")
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings["weight_decay"]},
         {"params": plain, "weight_decay": 0.0}],
        lr=1.0, betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])
    losses = []
    for step, batch in enumerate(load(folder, "batches.json")["batches"][:steps]):
        ids = torch.tensor(batch)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_grad_norm"])
        for group in optimizer.param_groups:
            group["lr"] = settings["learning_rates"][step]
        optimizer.step()
        losses.append(loss.item())
    return losses


def logit_difference(folder):
    model = load_model(os.path.join(folder, "model"))
    reference = load(folder, "logits.json")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([reference["ids"]]), use_cache=False).logits[0]
    return (logits - torch.tensor(reference["logits"])).abs().max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    difference = logit_difference(args.folder)
    theirs = train(load_model(os.path.join(args.folder, "initial")), args.folder, args.steps)
    ours = reckon_losses(args.folder)[:len(theirs)]
    relative = [abs(a - b) / b for a, b in zip(ours, theirs)]
    worst = max(range(len(relative)), key=relative.__getitem__)
    result = {"steps": len(relative), "first": [ours[0], theirs[0]], "last": [ours[-1], theirs[-1]],
              "worst_relative_difference": relative[worst], "at_step": worst,
              "logit_difference": difference,
              "holds": relative[worst] < 0.005 and difference < 1e-4}
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['steps']} steps; loss reckon / transformers: first {ours[0]:.5f} / {theirs[0]:.5f}, "
          f"last {ours[-1]:.5f} / {theirs[-1]:.5f}")
    print(f"worst relative difference {100 * relative[worst]:.4f}% at step {worst} (allowed 0.5%)")
    print(f"logits of the finished model, opened in transformers: largest difference {difference:.2e} "
          f"(allowed 1e-4)")


if __name__ == "__main__":
    main()
