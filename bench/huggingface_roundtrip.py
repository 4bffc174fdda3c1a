"""Loads two checkpoints of one model with transformers and compares their outputs. Not part of modelpress.

  python bench/huggingface_roundtrip.py ORIGINAL_DIR EXPORTED_DIR
"""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers

transformers.logging.set_verbosity_error()


def load(folder, name):
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    problems = {key: sorted(value) for key, value in info.items() if value}
    return model.eval(), problems


def main():
    original, exported = sys.argv[1:]
    with open(os.path.join(exported, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    name = config["architectures"][0]
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, config["vocab_size"], (4, 16), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    outputs = []
    for folder in (original, exported):
        model, problems = load(folder, name)
        with torch.no_grad():
            outputs.append(model(input_ids=ids, attention_mask=mask)[0])
        print(f"{folder}: {name}, {problems or 'every tensor as expected'}")
    difference = (outputs[0] - outputs[1]).abs().max().item()
    print(f"max |difference| {difference:.1e}")
    sys.exit(0 if difference < 1e-5 and not problems else 1)


main()
