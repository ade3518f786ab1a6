#!/usr/bin/env python3
"""Compares a checkpoint's log-probs under Hugging Face transformers with those of `thinker score`.

A development script, no part of the tests: it needs Python 3.11 or later with PyTorch, transformers, Pillow, and torchvision, which
transformers asks for in order to load the processor (versions used: bench/results/transformers-checkpoint.md). It downloads nothing.

    thinker score --model DIR --dtype f32 --ban none --in answers.jsonl --out scores.jsonl
    check.py --checkpoint DIR --in answers.jsonl --scores scores.jsonl

The folder is loaded as a user of transformers would load it, in f32 with eager attention: weights, config, tokenizer, chat template and
preprocessor. Every key of the state dict must come from the folder, and every tensor of the folder must be used. The lines of --in are
those that `thinker score` reads: messages, or prompt_ids with the image tokens expanded and images; completion_ids, or completion.
Pictures' paths are absolute or relative to the folder of --in.

Standard output has a line a record and a last line with the worst difference. The exit status is 0 where no log-prob and no entropy
differs by more than --tolerance and nothing was warned about while loading, 1 where that does not hold, 2 where the files do not fit each
other.
"""
import argparse
import json
import logging
import math
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from PIL import Image


class Mismatch(Exception):
    """The records, the scores and the checkpoint do not belong together."""


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def note(text):
    print(text, file=sys.stderr, flush=True)


class Loaded:
    """What transformers makes of a checkpoint folder, and what it says about it."""

    def __init__(self, folder):
        self.said = said = []

        class Keep(logging.Handler):
            def emit(self, record):
                said.append(f"{record.levelname.lower()}: {record.getMessage()}")

        keep = Keep(logging.WARNING)
        transformers.utils.logging.get_logger()  # makes the library's root logger
        root = logging.getLogger("transformers")
        root.addHandler(keep)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.model, info = transformers.Qwen2_5_VLForConditionalGeneration.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
            self.processor = transformers.AutoProcessor.from_pretrained(folder, use_fast=False)
        root.removeHandler(keep)
        said += [f"{w.category.__name__}: {w.message}" for w in caught]
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            if info[kind]:
                said.append(f"{kind}: {sorted(map(str, info[kind]))}")
        self.model.eval()

    def prompt(self, record, base):
        """The ids of a record's prompt and the pictures' tensors for the model."""
        if "messages" in record:
            messages = [dict(m, content=content(m)) for m in record["messages"]]
            paths = [c["image"] for m in messages if isinstance(m["content"], list) for c in m["content"] if "image" in c]
            text = self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            x = self.processor(text=[text], images=pictures(paths, base), return_tensors="pt")
            ids = x["input_ids"][0].tolist()
            if record.get("prompt_ids", ids) != ids:
                raise Mismatch("messages and prompt_ids do not agree")
        else:
            ids, images = record["prompt_ids"], pictures(record.get("images", []), base)
            x = self.processor.image_processor(images=images, return_tensors="pt") if images else {}
            want = int(x["image_grid_thw"].prod(1).sum()) // self.processor.image_processor.merge_size ** 2 if images else 0
            if (have := ids.count(self.model.config.image_token_id)) != want:
                raise Mismatch(f"prompt_ids has {have} image tokens, the pictures take {want}")
        return ids, {k: x[k] for k in ("pixel_values", "image_grid_thw") if k in x}

    def completion(self, record):
        if "completion_ids" in record:
            return record["completion_ids"]
        return self.processor.tokenizer(record["completion"], add_special_tokens=False)["input_ids"]

    @torch.no_grad()
    def score(self, prompt, completion, images):
        """Log-probs of the completion's ids and the entropies of their distributions."""
        ids = torch.tensor([prompt + completion])
        logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **images).logits
        rows = torch.log_softmax(logits[0, len(prompt) - 1:-1].float(), dim=-1)
        chosen = rows.gather(1, torch.tensor(completion)[:, None])[:, 0]
        return chosen.tolist(), (-(rows.exp() * rows).sum(1)).tolist()


def content(message):
    """A message's content with its pictures under the key image."""
    if isinstance(message["content"], str):
        return message["content"]
    items = []
    for item in message["content"]:
        path = item.get("image", item.get("image_url", item.get("path", item.get("url"))))
        if path is not None:
            item = {"type": "image", "image": path["url"] if isinstance(path, dict) else path}
        items.append({"type": "text", **item})
    return items


def pictures(paths, base):
    return [Image.open(os.path.join(base, p)).convert("RGB") for p in paths] or None


def worst(ours, theirs, what):
    if len(ours) != len(theirs):
        raise Mismatch(f"scores has {len(theirs)} {what}, want {len(ours)}")
    if not all(map(math.isfinite, [*ours, *theirs])):
        return math.inf
    return max((abs(a - b) for a, b in zip(ours, theirs)), default=0.0)


def check(a):
    records, scores = lines(a.input), lines(a.scores)
    if len(records) != len(scores) or not records:
        raise Mismatch(f"{a.input} has {len(records)} records, {a.scores} has {len(scores)}")
    m = Loaded(a.checkpoint)
    for text in m.said:
        note(f"loading: {text}")
    base = os.path.dirname(os.path.abspath(a.input))
    all_lp = all_h = 0.0
    tokens = 0
    for n, (record, score) in enumerate(zip(records, scores), 1):
        try:
            prompt, images = m.prompt(record, base)
            ids = m.completion(record)
            if score["prompt_tokens"] != len(prompt) or score["completion_ids"] != ids:
                raise Mismatch(f"the prompt has {len(prompt)} tokens and {len(ids)} are scored; thinker: {score['prompt_tokens']} and "
                               f"{len(score['completion_ids'])}, or other ids")
            lp, h = m.score(prompt, ids, images)
            d_lp, d_h = worst(lp, score["logprobs"], "log-probs"), worst(h, score["entropy"], "entropies")
        except Mismatch as e:
            raise Mismatch(f"record {n}: {e}") from e
        count = len(images["image_grid_thw"]) if images else 0
        print(f"record {n}: {len(prompt)} prompt tokens, {count} pictures, {len(ids)} scored: log-probs {d_lp:.2e}, entropy {d_h:.2e}", flush=True)
        all_lp, all_h, tokens = max(all_lp, d_lp), max(all_h, d_h), tokens + len(ids)
    good = max(all_lp, all_h) <= a.tolerance and not m.said
    print(f"{'ok' if good else 'FAILED'}: {len(records)} records, {tokens} tokens: worst log-prob {all_lp:.2e}, worst entropy {all_h:.2e}, "
          f"{len(m.said)} remarks while loading (transformers {transformers.__version__}, torch {torch.__version__})")
    return 0 if good else 1


def main():
    p = argparse.ArgumentParser(description="Compare a checkpoint's log-probs under transformers with those of thinker score.")
    p.add_argument("--checkpoint", metavar="DIR", required=True, help="checkpoint folder")
    p.add_argument("--in", metavar="FILE", required=True, dest="input", help="the records that thinker score read, one JSON object a line")
    p.add_argument("--scores", metavar="FILE", required=True, help="what thinker score --dtype f32 --ban none wrote for them")
    p.add_argument("--tolerance", metavar="NATS", type=float, default=1e-4, help="most that a value may differ (default 1e-4)")
    p.add_argument("--threads", metavar="N", type=int, default=0, help="threads of PyTorch, 0 for its default")
    a = p.parse_args()
    if a.threads > 0:
        torch.set_num_threads(a.threads)
    try:
        return check(a)
    except (Mismatch, OSError) as e:
        note(f"check.py: {e}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
