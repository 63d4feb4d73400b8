"""One GPU: questions a second, what an edited layer costs, and what a sweep costs an item.

A Qwen2-Audio of the 7B checkpoint's shape with random weights, so that nothing is downloaded. Each
attention kernel that is asked for is measured by itself; one that the machine has not is said to be
"not measured", with the reason. `--tiny` runs the same code on a small configuration on the CPU and
shows that it works; its figures mean nothing.

    python benchmarks/gpu.py --json benchmarks/results/gpu.json      # 8 minutes on an H100
    python benchmarks/gpu.py --tiny
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from about_this_run import command, machine
from lm_eval.api.instance import Instance
from overhead import SIZES
from transformers import (
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    WhisperFeatureExtractor,
)

from tempo_attn import AttnScaleConfig
from tempo_attn.files.atomic import replacing
from tempo_attn.lab.engine.memory_and_batches import CPU_MEMORY, GPU_MEMORY, BatchPlan
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.items import Item
from tempo_attn.lab.sweep.grid import Grid
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.audio import file_handle
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.tiny.tokenizer_and_model import build_processor

RATE = 16_000
QUESTIONS = [
    f"<audio>Which sound event has the {what}?\nA. Dog bark\nB. Siren\nC. Door slam\nD. {last}\n"
    "Answer with the option's letter from the given choices directly."
    for what in ("earliest onset", "latest offset", "longest duration")
    for last in ("Bell", "Rain")
]
STRENGTHS = (0.2, 0.5, 0.8, 1.25, 2.0, 4.0)
ROWS = (("last",), ("keyword",), ("keyword", "last"))


def main() -> None:
    """Measures, and prints one JSON document; writes it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", nargs="+", default=["sdpa", "flash_attention_2"])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--tiny", action="store_true", help="a small model on the CPU")
    parser.add_argument("--json", type=Path, help="write the report to this file, too")
    options = parser.parse_args()
    if options.tiny:
        options.clips = 2
    elif not torch.cuda.is_available():
        raise SystemExit("no CUDA device: nothing is measured (--tiny shows that this runs)")
    device = "cpu" if options.tiny else "cuda"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        handles = _noises(Path(folder), options.clips)
        for kernel in options.kernels:
            try:
                rows.append({"kernel": kernel, **_measure(kernel, handles, device, options)})
            except (ImportError, ValueError, RuntimeError) as error:
                why = " ".join(str(error).split())[:300]
                rows.append({"kernel": kernel, "not measured": why})
    report = {
        "what": "the harness and the laboratory on one GPU",
        "command": command("gpu.py", sys.argv[1:]),
        "machine": machine(device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tiny": options.tiny,
        "rows": rows,
    }
    text = json.dumps(report, indent=2) + "\n"
    print(text, end="")
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(text)


def _measure(kernel, handles, device, options):
    model, processor = _model(kernel, device, options.tiny)
    plain, spent = _seconds(model, processor, handles, options)
    middle = model.config.text_config.num_hidden_layers // 2
    edit = AttnScaleConfig(strength=2.0, layers=[middle], queries=["last"])
    edited, _ = _seconds(model, processor, handles, options, attn_scale=edit)
    n_questions = len(handles) * len(QUESTIONS)
    return {
        "questions": n_questions,
        "questions_a_second": round(n_questions / plain, 2),
        "share_of_time_in_model": round(spent / plain, 3),
        "one_edited_layer": round(edited / plain, 3),
        "sweep": _sweep(model, processor, device, options),
    }


def _model(kernel, device, tiny):
    processor = build_processor()
    processor.feature_extractor = WhisperFeatureExtractor(
        feature_size=128, sampling_rate=RATE, hop_length=160, chunk_length=30,
        return_attention_mask=True,
    )  # fmt: skip
    tokenizer = processor.tokenizer
    end, pad, audio = map(
        tokenizer.convert_tokens_to_ids, ("<|im_end|>", "<|endoftext|>", "<|AUDIO|>")
    )
    small = {"d_model": 64, "encoder_layers": 1, "encoder_attention_heads": 2,
             "encoder_ffn_dim": 64}  # fmt: skip
    shape = {**SIZES["small"], "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4}
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "num_mel_bins": 128,
                      "max_source_positions": 1500, **(small if tiny else {})},
        text_config={"model_type": "qwen2", "vocab_size": len(tokenizer) if tiny else 156_032,
                     "max_position_embeddings": 8192, "eos_token_id": end, "pad_token_id": pad,
                     "bos_token_id": None, **(shape if tiny else SIZES["7b"])},
        audio_token_index=audio,
        tie_word_embeddings=False,
        attn_implementation=kernel,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32 if tiny else torch.bfloat16)
    try:
        with torch.device(device):
            model = Qwen2AudioForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = end, pad
    return model, processor


def _seconds(model, processor, handles, options, **arguments):
    """Seconds for all questions, after one clip to warm up; and those inside the model's calls."""
    lm = LALM(model, processor=processor, batch_size=options.batch_size, **arguments)
    try:
        _ask(lm, handles[:1])
        spent, started = [], []
        hooks = [
            model.register_forward_pre_hook(lambda *_: started.append(_now())),
            model.register_forward_hook(
                lambda *_: spent.append(_now() - started.pop()), always_call=True
            ),
        ]
        before = _now()
        _ask(lm, handles)
        whole = _now() - before
        for hook in hooks:
            hook.remove()
        if lm.sharing.reason:
            raise RuntimeError(f"nothing was shared: {lm.sharing.reason}")
        return whole, sum(spent)
    finally:
        if arguments:
            lm.model.unload()


def _ask(lm, handles):
    kwargs = {"max_gen_toks": 4, "do_sample": False, "until": ["\n"]}
    requests = [
        Instance("generate_until", {}, (text, kwargs, {"audio": [handle]}), 0)
        for text in QUESTIONS
        for handle in handles
    ]
    answers = lm.generate_until(requests, disable_tqdm=True)
    assert len(answers) == len(requests)


def _sweep(model, processor, device, options):
    """Seconds an item of up to 28 layers x 6 strengths x 3 sets of rows, by the engine."""
    lm = LALM(model, processor=processor, batch_size=1)
    wave = (0.1 * np.random.default_rng(1).standard_normal(30 * RATE)).astype(np.float32)
    inputs = dict(lm.inputs([lm.render(QUESTIONS[0], [{}])], [[wave]]))
    letters = tuple(lm.tokenizer.convert_tokens_to_ids(letter) for letter in "ABCD")
    item = Item(
        key=f"{0:064x}", index=0, id="0", cluster="0", kind="eo", condition="aqa",
        candidates=letters, answer=0, length=inputs["input_ids"].shape[1],
    )  # fmt: skip
    text = model.config.text_config
    grid = Grid(strengths={"scale": STRENGTHS}, rows=ROWS, nulls=())
    edits = [
        variant
        for variant in grid.variants(text.num_hidden_layers, text.num_attention_heads)
        if variant.role == "edit" and max(variant.layers) < 28
    ]
    subject = ModelUnderStudy(model, lambda items: inputs, tokenizer=lm.tokenizer)
    plan = BatchPlan(memory=CPU_MEMORY if device == "cpu" else GPU_MEMORY)
    sweeper = Sweeper(subject, edits, plan=plan, engine="fast")
    sweeper.answer(subject.read([item]))  # warm
    before = _now()
    logits = sweeper.answer(subject.read([item])).logits
    seconds = _now() - before
    assert logits.isfinite().all()
    return {"variants": len(edits), "seconds_an_item": round(seconds, 3)}


def _noises(folder, n_clips):
    rng, handles = np.random.default_rng(0), []
    for number in range(n_clips):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(30 * RATE), RATE)
        handles.append(file_handle(path))
    return handles


def _now():
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
