"""What a layer sweep costs: the engine against one full forward for every variant.

Both run in one process on the same prompts; naive is a loop over `apply_attn_scale` adapters, each
with one full forward (without a cache, unembedding the last position only). CPU time on one thread;
on a GPU, wall time around synchronised calls. The bound is arithmetic alone: one prefill and, for
every variant, the rows behind the first edited one from the edited layer up.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --json benchmarks/results/sweep.json --plot docs/images/sweep_cost
    python benchmarks/sweep.py --models 7b --device cuda --dtype bfloat16 --json sweep_gpu.json
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from about_this_run import command, machine
from overhead import SIZES, _prompt
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm
from transformers import (
    AutoModelForMultimodalLM,
    AutoProcessor,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
)

from tempo_attn import apply_attn_scale
from tempo_attn.families import get_family
from tempo_attn.files.atomic import replacing
from tempo_attn.lab.engine.memory_and_batches import CPU_MEMORY, GPU_MEMORY, BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.items import Item
from tempo_attn.lab.sweep.edited_rows import EditedRows
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.audio import read_audio
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.sources.synth.testset import load_synth
from tempo_tasks.tiny import WEIGHTS_DIR
from tempo_tasks.tiny.tokenizer_and_model import build_tokenizer

STRENGTHS = tuple(round(float(s), 3) for s in np.geomspace(0.2, 4.0, 16))
ROWS = {"last": ("last",), "keyword+last": ("keyword", "last")}
EMBEDDED_12 = {
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""The embedded model's decoder, twice as deep."""
MODELS = {
    "embedded": "the embedded model (6 layers, 128 wide) with its encoder, on rendered scenes",
    "embedded-12": "the same with 12 layers of random weights",
    "embedded-12, no encoder": "its decoder alone, on prompts of the same length",
    "12 x 512": "a decoder alone: 12 layers, 512 wide, 600 tokens, random weights",
    "7b": "a decoder alone: 32 layers, 4096 wide, 900 tokens, random weights",
}


def main() -> None:
    """Measures, and prints a table; writes JSON and a plot where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS)[:4])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--variants", type=int, nargs="+", default=[12, 24, 48])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--plot", type=Path, help="draw the ratios, PNG and SVG; without suffix")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    rows = [row for name in options.models for row in _measure(name, options)]
    report = {
        "what": "a layer sweep by the engine and by one full forward for every variant",
        "command": command("sweep.py", sys.argv[1:]),
        "machine": machine(options.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "clock": "CPU time, one thread" if options.device == "cpu" else "wall time, synchronised",
        "dtype": options.dtype,
        "rounds": options.rounds,
        "models": {name: MODELS[name] for name in options.models},
        "rows": rows,
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    if options.plot:
        _plot(rows, options.plot)


# ---------------------------------------------------------------------- models and prompts


def _embedded(options, deeper):
    """The embedded model on rendered scenes: audio encoder and all."""
    processor = AutoProcessor.from_pretrained(WEIGHTS_DIR)
    model = AutoModelForMultimodalLM.from_pretrained(WEIGHTS_DIR, dtype=options.dtype).eval()
    if deeper:
        torch.manual_seed(0)
        text = model.config.text_config
        text.num_hidden_layers, text.layer_types = 12, 2 * text.layer_types
        model = type(model)(model.config).to(model.dtype).eval()
    family = get_family(model.config)
    questions = load_synth(Kind.EO, scenes=8)
    texts, waves = [], []
    for question in questions.questions:
        prompt = make_prompt(question, Condition.AQA, audio=questions.audio[question.clip_id])
        texts.append(family.chat(processor, [{"role": "user", "content": prompt.text}]))
        waves += [read_audio(handle, family.sampling_rate(processor)) for handle in prompt.audio]
    inputs = dict(family.process(processor, texts, waves))
    return model.to(options.device), processor.tokenizer, inputs


def _random(size, n_tokens, n_items, options):
    """A decoder of random weights, fed with audio positions but no audio: no encoder runs."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "encoder_layers": 1},
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 8192,
            **size,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    torch.set_default_dtype(getattr(torch, options.dtype))
    with torch.device(options.device):
        model = Qwen2AudioForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    ids = _prompt(tokenizer, n_tokens).repeat(n_items, 1)
    return model, tokenizer, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _subject(name, options):
    if name in ("embedded", "embedded-12"):
        return _embedded(options, deeper=name == "embedded-12")
    if name == "embedded-12, no encoder":
        return _random(EMBEDDED_12, 194, 8, options)  # tokens and batch as on the scenes
    if name == "12 x 512":
        return _random(SIZES["small"], 600, 1, options)
    return _random(SIZES["7b"], 900, 1, options)


def _items(inputs, tokenizer):
    letters = tuple(tokenizer.convert_tokens_to_ids(letter) for letter in LETTERS)
    return [
        Item(
            key=f"{row:064x}",
            index=row,
            id=str(row),
            cluster=str(row),
            kind="eo",
            condition="aqa",
            candidates=letters,
            answer=0,
            length=1,
        )
        for row in range(len(inputs["input_ids"]))
    ]


# ---------------------------------------------------------------------- measuring


def _measure(name, options):
    model, tokenizer, inputs = _subject(name, options)
    floats = {
        k: v.to(getattr(torch, options.dtype)) for k, v in inputs.items() if v.is_floating_point()
    }
    inputs = {k: v.to(options.device) for k, v in (inputs | floats).items()}
    n_layers = get_family(model.config).decoder(model).config.num_hidden_layers
    n_heads = get_family(model.config).decoder(model).config.num_attention_heads
    found = []
    for queries in options.rows:
        for n_variants in options.variants:
            n_strengths = max(1, n_variants // n_layers)
            strengths = STRENGTHS[:: len(STRENGTHS) // n_strengths]
            grid = Grid(strengths={"scale": strengths}, rows=[ROWS[queries]], nulls=())
            edits = [v for v in grid.variants(n_layers, n_heads) if v.role == "edit"]
            memory = CPU_MEMORY if options.device == "cpu" else GPU_MEMORY
            subject = ModelUnderStudy(model, lambda items: inputs, tokenizer=tokenizer)
            sweeper = Sweeper(subject, edits, plan=BatchPlan(memory=memory), engine="fast")
            items = _items(inputs, tokenizer)
            _engine(sweeper, items)  # warm
            times = {"naive": [], "engine": []}
            label = f"{name}, {queries}, {len(edits)} variants"
            for _ in tqdm(range(options.rounds), desc=label):
                begin = _clock(options.device)
                fast = _engine(sweeper, items)
                times["engine"].append(_clock(options.device) - begin)
                begin = _clock(options.device)
                slow = _naive(model, tokenizer, inputs, edits, items)
                times["naive"].append(_clock(options.device) - begin)
            ratios = np.array(times["naive"]) / np.array(times["engine"])
            bound = _bound(model, sweeper, inputs, items, edits)
            found.append(
                {
                    "model": name,
                    "queries": queries,
                    "variants": len(edits),
                    "layers": n_layers,
                    "strengths": n_strengths,
                    "items": len(items),
                    "tokens": inputs["input_ids"].shape[1],
                    "naive_cpu_s": round(float(np.median(times["naive"])), 4),
                    "engine_cpu_s": round(float(np.median(times["engine"])), 4),
                    "ratio": round(float(np.median(ratios)), 2),
                    "ratio_range": [round(float(r), 2) for r in (ratios.min(), ratios.max())],
                    "bound": round(bound, 2),
                    "share_of_bound": round(float(np.median(ratios)) / bound, 3),
                    "max_abs_diff": float((fast - slow).abs().max()),
                    "largest_logit": round(float(slow.abs().max()), 3),
                }
            )
    return found


def _engine(sweeper, items):
    return sweeper.answer(sweeper.subject.read(items)).logits.cpu()


def _naive(model, tokenizer, inputs, edits, items):
    """One full forward of the wrapped model for every variant."""
    wrapped = apply_attn_scale(model, edits[0].config(), "0", tokenizer=tokenizer)
    try:
        for number, edit in enumerate(edits[1:], 1):
            wrapped.add_adapter(str(number), edit.config())
        logits = []
        with torch.inference_mode():
            for number in range(len(edits)):
                wrapped.set_adapter(str(number))
                last = wrapped(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
                logits.append(last[:, list(items[0].candidates)].float().cpu())
        return torch.stack(logits, 1)
    finally:
        wrapped.unload()


def _clock(device):
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _bound(model, sweeper, inputs, items, edits):
    """Ratio of the arithmetic: full forwards against one prefill and the suffixes."""
    config = get_family(model.config).decoder(model).config
    width, inner = config.hidden_size, config.intermediate_size
    dim = getattr(config, "head_dim", None) or width // config.num_attention_heads
    heads, kv = config.num_attention_heads * dim, config.num_key_value_heads * dim
    keys_of = 2 * width * 2 * kv
    of_row = 2 * (2 * width * heads + 3 * width * inner) + keys_of
    n_layers, n_tokens = config.num_hidden_layers, inputs["input_ids"].shape[1]

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
    outside = (counter.get_total_flops() - n_layers * language) / len(items)
    full = outside + n_layers * layer(n_tokens, n_tokens / 2)  # causal: half of the keys
    batch = sweeper.subject.read(items)
    rows = EditedRows.of(batch, edits[0].rows, 0, torch.device("cpu"))
    suffix, n_rows = n_tokens - rows.first, rows.index.shape[1]
    total = full
    for edit in edits:
        first = edit.layers[0]
        total += layer(n_rows, n_tokens)
        total += max(0, n_layers - first - 2) * layer(suffix, n_tokens)
        if first < n_layers - 1:  # of the last layer: keys and values, and the last row
            total += suffix * keys_of + layer(1, n_tokens)
    return len(edits) * full / total


# ---------------------------------------------------------------------- showing


def _print(report):
    table = Table(title=f"{report['clock']}; {report['machine']}")
    columns = ("model", "rows", "variants", "naive, s", "engine, s", "ratio", "range", "bound")
    for column in (*columns, "diff"):
        table.add_column(column, justify="left" if column in ("model", "rows") else "right")
    for row in report["rows"]:
        table.add_row(
            row["model"],
            row["queries"],
            str(row["variants"]),
            f"{row['naive_cpu_s']:.2f}",
            f"{row['engine_cpu_s']:.2f}",
            f"{row['ratio']:.1f}",
            "{:.1f} to {:.1f}".format(*row["ratio_range"]),
            f"{row['bound']:.1f}",
            f"{row['max_abs_diff']:.1e}",
        )
    Console(width=120).print(table)


def _plot(rows, path):
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    from tempo_attn.figures import save

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    styles = dict(zip(MODELS, ("o", "s", "v", "^", "D"), strict=True))
    for model in dict.fromkeys(row["model"] for row in rows):
        for queries, line in (("last", "-"), ("keyword+last", "--")):
            mine = [r for r in rows if r["model"] == model and r["queries"] == queries]
            if mine:
                axes.plot(
                    [r["variants"] for r in mine],
                    [r["ratio"] for r in mine],
                    line,
                    marker=styles[model],
                    color="0.2" if queries == "last" else "0.5",
                    label=f"{model}, {queries}",
                )
    axes.set_xlabel("variants")
    axes.set_ylabel("times as fast as one full forward each")
    for axis, ticks in (
        (axes.xaxis, sorted({row["variants"] for row in rows})),
        (axes.yaxis, [4, 8, 16, 32, 64]),
    ):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    figure.legend(loc="outside upper left", ncols=2, fontsize="small")
    axes.grid(alpha=0.3)
    save(figure, path)


if __name__ == "__main__":
    main()
