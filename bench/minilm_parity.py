"""Writes what transformers computes for a sentence encoder: the reference of bench/minilm-parity.ts. Not part of modelpress.

  python bench/minilm_parity.py MODEL_DIR OUT.safetensors < texts.json
"""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer


def main():
    folder, out = sys.argv[1:]
    texts = json.load(sys.stdin)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = (states[-1] * mask).sum(1) / mask.sum(1)
    tensors = {name: value.contiguous() for name, value in batch.items()}
    tensors.update({f"hidden{i}": state.contiguous() for i, state in enumerate(states)})
    tensors["embedding"] = torch.nn.functional.normalize(mean, dim=1)
    save_file(tensors, out)


main()
