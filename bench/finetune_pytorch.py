"""Fine-tunes a text classifier with PyTorch: the opponent of bench/finetune.ts. Not part of modelpress.

Reads a modelpress data set folder (dataset.json, <split>.jsonl) and either a Hugging Face checkpoint (--checkpoint) or a
BERT configuration trained from random weights (--layers, --hidden, --vocabulary). Prints one JSON line.

  python bench/finetune_pytorch.py --data DIR --checkpoint DIR --epochs 3 --lr 5e-5
"""
import argparse
import json
import os
import random
import resource
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
import torch
import transformers


def read_split(folder, split, labels):
    with open(os.path.join(folder, split + ".jsonl"), encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    index = {label: i for i, label in enumerate(labels)}
    return [(row["text"], row.get("pair"), index[row["label"]]) for row in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--checkpoint")
    parser.add_argument("--vocabulary", help="vocab.txt, for a model from random weights")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true", help="bf16 autocast")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    labels = json.load(open(os.path.join(args.data, "dataset.json"), encoding="utf-8"))["labels"]
    train, test = read_split(args.data, "train", labels), read_split(args.data, "test", labels)

    if args.checkpoint:
        tokenizer = transformers.AutoTokenizer.from_pretrained(args.checkpoint)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(args.checkpoint, num_labels=len(labels))
    else:
        tokenizer = transformers.BertTokenizerFast(vocab_file=args.vocabulary, do_lower_case=True)
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=args.hidden,
                num_hidden_layers=args.layers,
                num_attention_heads=args.hidden // 64,
                intermediate_size=4 * args.hidden,
                num_labels=len(labels),
            )
        )

    def encode(rows):
        pairs = [r[1] for r in rows]
        batch = tokenizer(
            [r[0] for r in rows],
            pairs if pairs[0] is not None else None,
            truncation=True,
            max_length=args.max_length,
            padding="longest",
            return_tensors="pt",
        )
        return batch, torch.tensor([r[2] for r in rows])

    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}], lr=args.lr, fused=True
    )
    steps = args.epochs * ((len(train) + args.batch - 1) // args.batch)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)

    epoch_seconds = []
    for _ in range(args.epochs):
        model.train()
        random.shuffle(train)
        started = time.perf_counter()
        for start in range(0, len(train), args.batch):
            inputs, target = encode(train[start : start + args.batch])
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                loss = model(**inputs, labels=target).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        epoch_seconds.append(time.perf_counter() - started)

    model.eval()
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(test), 64):
            predicted.extend(model(**encode(test[start : start + 64])[0]).logits.argmax(-1).tolist())
    actual = [row[2] for row in test]
    f1 = []
    for c in sorted(set(actual) | set(predicted)):
        hit = sum(1 for p, a in zip(predicted, actual) if p == a == c)
        f1.append(2 * hit / max(1, predicted.count(c) + actual.count(c)))
    print(
        json.dumps(
            {
                "accuracy": float(np.mean([p == a for p, a in zip(predicted, actual)])),
                "macroF1": float(np.mean(f1)),
                "epochSeconds": epoch_seconds,
                "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
