"""What an edit costs: prefill and decoding of a wrapped model against the plain one.

All arms are copies of one model that share its weights; in each round they run in shuffled order,
and ratios are taken within a round, so that a busy machine disturbs all alike. The prompt has no
audio features: the time is the decoder's alone, which is the strictest comparison. On the CPU, CPU
time on one thread; on a GPU, wall time around a synchronised call.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --json benchmarks/results/overhead.json
    python benchmarks/overhead.py --size 7b --device cuda --dtype bfloat16 --bases sdpa \
        flash_attention_2 --json benchmarks/results/overhead_gpu.json
"""

import argparse
import copy
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from about_this_run import command, machine
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap
from tqdm import tqdm
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

from tempo_attn import AttnScaleConfig, apply_attn_scale
from tempo_attn.files.atomic import replacing
from tempo_tasks.tiny.tokenizer_and_model import build_tokenizer

SIZES = {
    "small": {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
}
ROWS = {"last": ["last"], "keyword+last": ["keyword", "last"], "all text": ["all_text"]}
STEPS = 16
QUESTION = (
    "Which sound event has the latest offset?\nA. Dog bark\nB. Siren\nC. Door slam\nD. Bell\n"
    "Answer with the option's letter from the given choices directly.<|im_end|>\n"
    "<|im_start|>assistant\n"
)


def main() -> None:
    """Measures, and prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--lengths", type=int, nargs="+", default=[300, 1000, 2000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bases", nargs="+", default=["sdpa"], help="kernels of the plain model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    model = _model(tokenizer, options)
    rows = []
    for base in options.bases:
        arms = _arms(model, tokenizer, base)
        for length in options.lengths:
            rows += _measure(arms, tokenizer, base, length, options)
    report = {
        "what": "time of a wrapped model as a ratio of the plain one's, by phase",
        "command": command("overhead.py", sys.argv[1:]),
        "machine": machine(options.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "clock": "CPU time, one thread" if options.device == "cpu" else "wall time, synchronised",
        "model": {**SIZES[options.size], "dtype": options.dtype, "weights": "random"},
        "rounds": options.rounds,
        "decoding_steps": STEPS,
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")


def _model(tokenizer, options):
    torch.manual_seed(0)
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "encoder_layers": 1},
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 8192,
            **SIZES[options.size],
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    torch.set_default_dtype(getattr(torch, options.dtype))
    with torch.device(options.device):
        model = Qwen2AudioForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    return model


def _arms(model, tokenizer, base):
    """One copy of the model for each arm; the weights are shared."""

    def twin(kernel):
        clone = copy.deepcopy(model, {id(p): p for p in model.parameters()})
        clone.set_attn_implementation({"text_config": kernel})
        return clone

    middle = model.config.text_config.num_hidden_layers // 2
    arms = {"plain": twin(base), "eager": twin("eager")}
    for rows, queries in ROWS.items():
        for name, layers in (("one layer", [middle]), ("all layers", "all")):
            phase = "all" if rows != "keyword+last" else "prefill"
            config = AttnScaleConfig(strength=1.5, layers=layers, queries=queries, phase=phase)
            arms[f"{name}, {rows}"] = apply_attn_scale(twin(base), config, tokenizer=tokenizer)
    return arms


def _measure(arms, tokenizer, base, length, options):
    ids = _prompt(tokenizer, length).to(options.device)
    times: dict[str, dict[str, list[float]]] = {
        name: {"prefill": [], "decode": []} for name in arms
    }
    order = random.Random(0)
    for round_number in tqdm(range(options.rounds + 2), desc=f"{base}, {length} tokens"):
        for name in order.sample(sorted(arms), len(arms)):
            prefill, decode = _time(arms[name], ids, options.device)
            if round_number >= 2:
                times[name]["prefill"].append(prefill)
                times[name]["decode"].append(decode)
    return [
        {
            "base": base,
            "tokens": length,
            "phase": phase,
            "arm": name,
            "plain_ms": round(1000 * float(np.median(times["plain"][phase])), 3),
            **_ratio(times[name][phase], times["plain"][phase]),
        }
        for phase in ("prefill", "decode")
        for name in arms
        if name != "plain"
    ]


def _prompt(tokenizer, length):
    """Ids of a prompt: a system turn, audio positions, a question."""
    head = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1: "
    start = tokenizer(head + "<|audio_bos|>", add_special_tokens=False).input_ids
    end = tokenizer("<|audio_eos|>\n" + QUESTION, add_special_tokens=False).input_ids
    audio = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    return torch.tensor([[*start, *[audio] * (length - len(start) - len(end)), *end]])


def _time(model, ids, device):
    """Return seconds of one prefill and of one decoding step."""
    with torch.inference_mode():
        begin = _clock(device)
        output = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        prefill = _clock(device) - begin
        token = ids[:, -1:]
        begin = _clock(device)
        for _ in range(STEPS):
            output = model(input_ids=token, past_key_values=output.past_key_values, use_cache=True)
        return prefill, (_clock(device) - begin) / STEPS


def _clock(device):
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _ratio(times, plain):
    """Median ratio within rounds, with a 95 % bootstrap interval of the median."""
    ratios = np.array(times) / np.array(plain)
    result = bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0))
    low, high = result.confidence_interval
    return {
        "ratio": round(float(np.median(ratios)), 4),
        "ratio_ci95": [round(float(low), 4), round(float(high), 4)],
        "ratio_quartiles": [round(float(q), 4) for q in np.quantile(ratios, [0.25, 0.75])],
    }


def _print(report):
    table = Table(title=f"{report['clock']}; {report['machine']}")
    for column in ("base", "tokens", "phase", "arm", "plain, ms", "added, %", "95 % interval"):
        table.add_column(column, justify="left" if column in ("base", "phase", "arm") else "right")
    for row in report["rows"]:
        low, high = (100 * (bound - 1) for bound in row["ratio_ci95"])
        added = f"{100 * (row['ratio'] - 1):+.1f}"
        table.add_row(
            row["base"],
            str(row["tokens"]),
            row["phase"],
            row["arm"],
            f"{row['plain_ms']:.1f}",
            added,
            f"{low:+.1f} to {high:+.1f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
