"""Times training steps of a BERT classifier in PyTorch; called by training-step.ts.

One step = zero_grad, forward with attention mask (rows 50-100 % full), loss, backward, fused AdamW.
Prints one JSON object: {"ms": [...], "torch": "..."}.
"""

import argparse
import json
import time

import torch
from transformers import BertConfig, BertForSequenceClassification


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("layers", "hidden", "heads", "batch", "sequence", "steps", "warmup", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--dropout", type=float, required=True)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.hidden,
        hidden_dropout_prob=options.dropout,
        attention_probs_dropout_prob=options.dropout,
        num_labels=2,
        attn_implementation="sdpa",
    )
    model = BertForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    shape = (options.batch, options.sequence)
    ids = torch.randint(1, options.vocabulary, shape)
    lengths = torch.randint(options.sequence // 2, options.sequence + 1, (options.batch, 1))
    mask = (torch.arange(options.sequence)[None, :] < lengths).long()
    labels = torch.randint(0, 2, (options.batch,))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.bf16):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()

    for _ in range(options.warmup):
        step()
    times = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1000)
    print(json.dumps({"ms": times, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
