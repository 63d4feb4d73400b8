"""What a causal trace costs: the engine against one full forward for every patch.

Both run in one process on the same prompts. Naive keeps the states of the other run once, and then
runs one full forward for every patch with a hook that writes them (without a cache, unembedding the
last position only). CPU time on one thread; ratios are taken within a round. The bound is
arithmetic alone: one forward of each run and, for every patch, the rows behind the first patched
one from the patched layer up. Exits with 1 where the two differ.

    python benchmarks/trace.py
    python benchmarks/trace.py --json benchmarks/results/trace.json
    python benchmarks/trace.py --models embedded --sites groups --rounds 1
"""

import argparse
import json
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers
from about_this_run import command, machine
from overhead import SIZES
from rich.console import Console
from rich.table import Table
from sweep import _embedded, _items, _random
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from tempo_attn.files.atomic import replacing
from tempo_attn.lab.engine.hidden_states import COMPONENTS
from tempo_attn.lab.engine.memory_and_batches import CPU_MEMORY, BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.trace.run import Tracer
from tempo_attn.lab.trace.sites import GROUPS, places, sites

MODELS = {
    "embedded": "the embedded model (6 layers, 128 wide) with its encoder, on rendered scenes",
    "12 x 512": "a decoder alone: 12 layers, 512 wide, 600 tokens, random weights",
}
TEXT_GROUPS = tuple(group for group in GROUPS if group != "audio")
SITES = {
    "groups": {"groups": TEXT_GROUPS},
    "groups+audio": {"groups": GROUPS},
    "all components": {"groups": GROUPS, "components": COMPONENTS},
}
"""Of every layer; the residual stream where nothing else is said. A null costs as much."""
TOLERANCE = 1e-4


def main() -> int:
    """Measures, and prints a table; writes JSON where asked. Returns 1 where the two differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--sites", nargs="+", choices=SITES, default=list(SITES))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args()
    options.device, options.dtype = "cpu", "float32"
    torch.set_num_threads(1)
    rows = [row for name in options.models for row in _measure(name, options)]
    report = {
        "what": "a causal trace by the engine and by one full forward for every patch",
        "command": command("trace.py", sys.argv[1:]),
        "machine": machine(options.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "clock": "CPU time, one thread",
        "rounds": options.rounds,
        "models": {name: MODELS[name] for name in options.models},
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    wrong = [row for row in rows if not row["max_abs_diff"] < TOLERANCE]
    for row in wrong:
        print(f"{row['model']}, {row['sites']}: probabilities differ by {row['max_abs_diff']:.1e}")
    return 1 if wrong else 0


# ---------------------------------------------------------------------- models and prompts


def _runs(name, options):
    """Return a model, its tokenizer, and the inputs of the clean and of the corrupted run."""
    if name == "embedded":
        model, tokenizer, clean = _embedded(options, deeper=False)
        # Every question with the next one's clip; all are equally long.
        features = clean["input_features"].roll(1, 0)
        return model, tokenizer, clean, {**clean, "input_features": features}
    model, tokenizer, clean = _random(SIZES["small"], 600, 1, options)
    ids = clean["input_ids"].clone()
    # No encoder runs here, so the words before the audio are others: the cost is the same.
    start = int((ids[0] == model.config.audio_token_id).nonzero()[0])
    ids[:, : start - 1] = ids[:, : start - 1].flip(1)
    return model, tokenizer, clean, {**clean, "input_ids": ids}


# ---------------------------------------------------------------------- measuring


def _measure(name, options):
    model, tokenizer, clean, corrupted = _runs(name, options)
    items = _items(clean, tokenizer)
    twins = [replace(item, content="corrupted") for item in items]
    n_layers = len(model.get_decoder().layers)

    def prepare(chosen):
        return corrupted if chosen[0].content == "corrupted" else clean

    found = []
    for label in options.sites:
        chosen = sites(n_layers, nulls=False, **SITES[label])
        subject = ModelUnderStudy(model, prepare, tokenizer=tokenizer)
        plan = BatchPlan(memory=CPU_MEMORY)
        tracer = Tracer(subject, lambda item: twins[item.index], chosen, plan=plan, engine="fast")
        where = _positions(subject, items, SITES[label]["groups"])
        tracer.trace(items, twins)  # warm
        times = {"naive": [], "engine": []}
        for _ in tqdm(range(options.rounds), desc=f"{name}, {label}, {len(chosen)} patches"):
            begin = time.process_time()
            fast = tracer.trace(items, twins).patched["recover"]
            times["engine"].append(time.process_time() - begin)
            begin = time.process_time()
            slow = _naive(model, corrupted, clean, chosen, where, items)
            times["naive"].append(time.process_time() - begin)
        ratios = np.array(times["naive"]) / np.array(times["engine"])
        bound = _bound(model, clean, where, chosen)
        found.append(
            {
                "model": name,
                "sites": label,
                "patches": len(chosen),
                "layers": n_layers,
                "items": len(items),
                "tokens": clean["input_ids"].shape[1],
                "naive_cpu_s": round(float(np.median(times["naive"])), 4),
                "engine_cpu_s": round(float(np.median(times["engine"])), 4),
                "ratio": round(float(np.median(ratios)), 2),
                "ratio_range": [round(float(r), 2) for r in (ratios.min(), ratios.max())],
                "bound": round(bound, 2),
                "share_of_bound": round(float(np.median(ratios)) / bound, 3),
                "max_abs_diff": float((fast - slow).abs().max()),
                "largest_effect": round(float((slow - slow[:, :1]).abs().max()), 4),
            }
        )
    return found


def _positions(subject, items, groups):
    """By group: (items, tokens) bool."""
    batch = subject.read(items)
    return {
        group: torch.zeros_like(batch.real).scatter(1, places(batch, group).index, True)
        for group in groups
    }


# ---------------------------------------------------------------------- one forward for every patch


def _naive(model, base, source, chosen, where, items):
    """Probabilities of the right answers under every patch, (items, sites), by plain hooks."""
    states = {}
    with torch.inference_mode():
        with _keeping(model, chosen, states):
            model(**source, use_cache=False, logits_to_keep=1)
        probabilities = []
        for site in chosen:
            mask, new = where[site.group][..., None], states[site.component, site.layer]
            with _writing(model, site, mask, new):
                last = model(**base, use_cache=False, logits_to_keep=1).logits[:, -1]
            shares = last[:, list(items[0].candidates)].float().softmax(-1)
            probabilities.append(shares[range(len(items)), [item.answer for item in items]])
        return torch.stack(probabilities, 1)


def _module(model, site):
    layer = model.get_decoder().layers[max(site.layer, 0)]
    return {"residual": layer, "attention": layer.self_attn, "mlp": layer.mlp}[site.component]


@contextmanager
def _hooked(model, site, change):
    """Let `change` make the states that leave a site, or enter the first layer."""

    def enter(module, args):
        return change(args[0]), *args[1:]

    def leave(module, args, output):
        if isinstance(output, tuple):
            return change(output[0]), *output[1:]
        return change(output)

    module = _module(model, site)
    if site.layer < 0:
        handle = module.register_forward_pre_hook(enter)
    else:
        handle = module.register_forward_hook(leave)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _keeping(model, chosen, states):
    by_place = {(site.component, site.layer): site for site in chosen}

    def keep(place):
        def change(hidden):
            states[place] = hidden.clone()
            return hidden

        return change

    contexts = [_hooked(model, site, keep(place)) for place, site in by_place.items()]
    for context in contexts:
        context.__enter__()
    try:
        yield
    finally:
        for context in contexts:
            context.__exit__(None, None, None)


def _writing(model, site, mask, new):
    return _hooked(model, site, lambda old: torch.where(mask, new, old))


# ---------------------------------------------------------------------- the bound


def _bound(model, inputs, where, chosen):
    """Ratio of the arithmetic: full forwards against two of them and the suffixes."""
    config = model.get_decoder().config
    width, inner = config.hidden_size, config.intermediate_size
    dim = getattr(config, "head_dim", None) or width // config.num_attention_heads
    heads, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
    keys_of = 2 * width * 2 * kv
    of_row = 2 * (2 * width * heads + 3 * width * inner) + keys_of
    n_layers, (n_items, n_tokens) = config.num_hidden_layers, inputs["input_ids"].shape

    def layer(rows, n_keys):
        return rows * (of_row + 4 * heads * n_keys)

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(**inputs, use_cache=False, logits_to_keep=1)
    counts = counter.get_flop_counts()
    language = sum(
        sum(total.values())
        for name, total in counts.items()
        if name.endswith("language_model.layers.0")
    )
    # The encoder, the projector and the unembedding: all that is not a decoder layer.
    outside = (counter.get_total_flops() - n_layers * language) / n_items
    full = outside + n_layers * layer(n_tokens, n_tokens / 2)  # causal: half of the keys
    total = 2 * full
    for site in chosen:
        mask = where[site.group]
        suffix = n_tokens - int(mask.any(0).nonzero()[0])
        if site.component != "residual":  # the patched layer runs for the patched rows
            total += layer(int(mask.sum(1).max()), n_tokens)
        total += max(0, n_layers - site.layer - 2) * layer(suffix, n_tokens)
        if site.layer < n_layers - 1:  # of the last layer: keys and values, and the last row
            total += suffix * keys_of + layer(1, n_tokens)
    return (len(chosen) + 1) * full / total


# ---------------------------------------------------------------------- showing


def _print(report):
    table = Table(title=f"{report['clock']}; {report['machine']}")
    columns = ("model", "sites", "patches", "naive, s", "engine, s", "ratio", "range", "bound")
    for column in (*columns, "diff"):
        table.add_column(column, justify="left" if column in ("model", "sites") else "right")
    for row in report["rows"]:
        table.add_row(
            row["model"],
            row["sites"],
            str(row["patches"]),
            f"{row['naive_cpu_s']:.2f}",
            f"{row['engine_cpu_s']:.2f}",
            f"{row['ratio']:.1f}",
            "{:.1f} to {:.1f}".format(*row["ratio_range"]),
            f"{row['bound']:.1f}",
            f"{row['max_abs_diff']:.1e}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
