"""What `lalm` costs beside what a user would write or pick instead: same model, clips, questions.

Arms, in shuffled order within each round:

- `script`: a plain transformers script: decode, processor, `generate`, 16 prompts a batch.
- `lalm`: the model class of this project; `lalm, whole prompts` is the same with
  `share_prefix=False`.
- `lm_eval`: the harness's own audio class, mended for its crashes only: the keyword `audio=`, the
  device, the sampling rate, padding on the left (generation is all that it has).
- `lmms-eval`: that harness's Qwen2-Audio model, in a process of its own, where `--lmms` names a
  Python that has it; see `lmms_arm.py`.

Before anything is timed, every arm's answers are compared with those of one prompt at a time, and
`lalm`'s log-probabilities of the letters with that reference's (relative to the largest logit): a
difference ends the benchmark with status 1. CPU time of the process at one thread, wall time,
medians and ranges over rounds. The bound is the CPU time inside the model's own forward calls of
the `lalm` arm (encoder passes, prefills, decoding steps): what is left is all that the harness
adds, features included. Peak memory by the number of items is measured by `harness_memory.py`.

    python benchmarks/harness.py                    # 20 minutes on 2 quiet cores
    python benchmarks/harness.py --quick            # two minutes; shows that it works
    python benchmarks/harness.py --json benchmarks/results/harness.json
    python benchmarks/harness.py --read harness.json --plot harness_speed    # measures nothing
"""

import argparse
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import types
from contextlib import contextmanager
from pathlib import Path

import lm_eval.models
import numpy as np
import soundfile
import torch
import transformers
from about_this_run import command, machine
from harness_memory import measured
from harness_plot import draw
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager
from random_qwen2_audio import save_random_model
from rich.console import Console
from rich.table import Table

from tempo_attn.files.atomic import replacing
from tempo_tasks.audio import file_handle, read_audio
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.tiny import WEIGHTS_DIR

BATCH = 16
RATE = 16_000
LETTERS = "ABCD"
TOLERANCE = 1e-5
LMMS = Path(".venv-lmms/bin/python")
QUESTIONS = [
    f"<audio>Which sound event has the {what}?\nA. Dog bark\nB. Siren\nC. Door slam\nD. {last}\n"
    "Answer with the option's letter from the given choices directly."
    for what in ("earliest onset", "latest offset", "longest duration")
    for last in ("Bell", "Rain")
]
GENERATION = {"max_gen_toks": 4, "do_sample": False, "until": ["\n"]}


def main() -> None:
    """Measures, and prints tables; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", type=int, default=60, help="clips of the tempo_synth group")
    parser.add_argument("--clips", type=int, default=16, help="clips of 30 s for the deep decoder")
    parser.add_argument("--quick", action="store_true", help="one round, few clips, no growth")
    parser.add_argument("--lmms", type=Path, default=LMMS, help="a Python that has lmms-eval")
    parser.add_argument("--items", type=int, nargs="*", default=[1000, 20_000], help="for memory")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--plot", type=Path, help="draw it, PNG and SVG; without suffix")
    parser.add_argument("--read", type=Path, help="draw this report; nothing is measured")
    options = parser.parse_args()
    if options.read:
        if not options.plot:
            parser.error("--read draws a report: name a file by --plot")
        draw(json.loads(options.read.read_text()), options.plot)
        return
    if options.quick:
        options.rounds, options.scenes, options.clips, options.items = 1, 6, 2, []
    torch.set_num_threads(1)
    for name in ("tempo_tasks", "lm_eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        deep = _deep_model(Path(folder) / "deep")
        requests = _group(options.scenes)
        noises = _noises(Path(folder), options.clips, seconds=30)
        rows = _compare("tempo_synth", str(WEIGHTS_DIR), requests, options, Path(folder))
        rows += _compare("12 x 512", deep, _requests(noises), options)
        growth = [] if options.quick else _growth(requests, Path(folder), options)
    report = {
        "what": "the harness's model class beside a plain script and lm_eval's audio class",
        "command": command("harness.py", sys.argv[1:]),
        "machine": machine("cpu"),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "batch_size": BATCH,
        "rounds": options.rounds,
        "answers": "identical to one prompt at a time in every arm, or there would be no report",
        "tolerance": TOLERANCE,
        "rows": rows,
        "growth": growth,
        "memory": measured(options.items),
        "not_measured": {}
        if options.lmms.exists()
        else {
            "lmms-eval": f"not measured: there is no {options.lmms}, a Python that has lmms-eval",
        },
    }
    _print(report)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    if options.plot:
        draw(report, options.plot)


# ---------------------------------------------------------------------- models and questions


def _deep_model(folder):
    """Save a decoder of 12 layers, 512 wide, that hears 30 s in 750 positions; random weights."""
    return save_random_model(
        folder,
        audio={
            "num_mel_bins": 64, "d_model": 128, "encoder_layers": 3,
            "encoder_attention_heads": 4, "encoder_ffn_dim": 512, "max_source_positions": 1500,
        },
        text={
            "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 12,
            "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 2048,
        },
        features={"feature_size": 64, "hop_length": 160, "chunk_length": 30},
    )  # fmt: skip


def _noises(folder, n_clips, seconds):
    rng, handles = np.random.default_rng(seconds), []
    for number in range(n_clips):
        path = folder / f"{seconds}-{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(int(seconds * RATE)), RATE)
        handles.append(file_handle(path))
    return handles


def _requests(handles, questions=QUESTIONS, kind="generate_until"):
    return [
        Instance(kind, {}, (text, GENERATION, {"audio": [handle]}), 0)
        for text in questions
        for handle in handles
    ]


def _group(scenes):
    """All requests of the tempo_synth group, as lm_eval makes them."""
    manager = TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata={"synth_scenes": scenes}
    )
    requests = []
    for task in _flat(manager.load_task_or_group(["tempo_synth"])):
        task.build_all_requests(limit=None, rank=0, world_size=1)
        requests += task.instances
    return requests


def _flat(tasks):
    for task in tasks.values():
        if isinstance(task, dict):
            yield from _flat(task)
        else:
            yield task


# ---------------------------------------------------------------------- arms


def _rendered(lm, requests):
    """Prompts and clips, for the arms that are no part of the harness."""
    return [
        (lm.render(request.args[0], request.args[2]["audio"]), request.args[2]["audio"])
        for request in requests
    ]


def _script(model, processor, rows, n_new, batch):
    """The plain script: what a user writes in an hour. Text alone goes in batches of its own."""
    processor.tokenizer.padding_side = "left"
    answers = {}
    with_audio = [number for number, (_, handles) in enumerate(rows) if handles]
    others = [number for number, (_, handles) in enumerate(rows) if not handles]
    for numbers in (with_audio, others):
        for at in range(0, len(numbers), batch):
            chosen = numbers[at : at + batch]
            waves = [read_audio(handle, RATE) for n in chosen for handle in rows[n][1]]
            inputs = processor(
                text=[rows[n][0] for n in chosen], audio=waves or None, sampling_rate=RATE,
                return_tensors="pt", padding=True,
            )  # fmt: skip
            with torch.inference_mode():
                output = model.generate(**inputs, max_new_tokens=n_new, do_sample=False)
            new = output[:, inputs["input_ids"].shape[1] :]
            texts = processor.batch_decode(new, skip_special_tokens=True)
            answers.update(zip(chosen, (text.split("\n")[0] for text in texts), strict=True))
    return [answers[number] for number in range(len(rows))]


def _mended(pretrained):
    """lm_eval's audio class with what makes it crash repaired, and nothing else."""
    # Importing it crashes, too: its name is registered for a class that does not exist.
    source = Path(lm_eval.models.__file__).with_name("hf_audiolm.py").read_text()
    repairs = {
        "audios=audios,": f"audio=audios or None, sampling_rate={RATE},",
        '.to("cuda")': ".to(self.device)",
        '@register_model("hf-audiolm-qwen")': "",
    }
    for wrong, right in repairs.items():
        if wrong not in source:
            raise SystemExit(f"lm_eval's audio class has no {wrong!r} any more: look at it anew")
        source = source.replace(wrong, right)
    module = types.ModuleType("mended")
    exec(compile(source, "mended", "exec"), module.__dict__)
    lm = module.HFAUDIOLMQWEN(pretrained, batch_size=BATCH, device="cpu")
    lm.tokenizer.padding_side = "left"
    lm.chat_applied = True
    return lm


@contextmanager
def _inside_model(model, spent):
    """Add up the CPU time of this thread inside the model's own forward calls."""
    started = []
    hooks = [
        model.register_forward_pre_hook(lambda *_: started.append(time.thread_time())),
        model.register_forward_hook(
            lambda *_: spent.append(time.thread_time() - started.pop()), always_call=True
        ),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# ---------------------------------------------------------------------- comparisons


def _lmms(python, pretrained, requests, rows, folder):
    """lmms-eval's class in its own environment; its CPU time is taken there, without the start."""
    names = {}
    for _, handles in rows:
        for handle in handles:
            key = handle["path"], handle["silence"]
            names.setdefault(key, (f"clip{len(names)}", read_audio(handle, RATE)))
    questions, clips, answers = (folder / name for name in ("q.json", "clips.npz", "answers.json"))
    np.savez(clips, **dict(names.values()))
    given = {
        "pretrained": pretrained, "batch": BATCH, "rate": RATE,
        "n_new": requests[0].args[1]["max_gen_toks"],
        "rows": [
            {
                "prompt": prompt,
                "context": request.args[0].replace("<audio>", ""),
                "clips": [names[handle["path"], handle["silence"]][0] for handle in handles],
            }
            for request, (prompt, handles) in zip(requests, rows, strict=True)
        ],
    }  # fmt: skip
    questions.write_text(json.dumps(given))
    script = Path(__file__).with_name("lmms_arm.py")
    done = subprocess.run(
        [python, script, questions, clips, answers], capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"lmms-eval: {done.stderr[-3000:]}")
    found = json.loads(answers.read_text())
    return found.pop("answers"), found


def _compare(name, pretrained, requests, options, folder=None):
    """Time the arms, after comparing what they answer.

    Without a folder the model is one that takes minutes: the first two arms, once, and the letters
    of 12 prompts.
    """
    few = folder is None
    lm = LALM(pretrained, batch_size=BATCH, device="cpu", dtype="float32")
    n_new = requests[0].args[1]["max_gen_toks"]
    rows = _rendered(lm, requests)
    reference = _script(lm.model, lm.processor, rows, n_new, batch=1)
    _check_letters(lm, rows, 12 if few else 48)

    def lalm(share):
        fresh = LALM(lm.model, processor=lm.processor, batch_size=BATCH, share_prefix=share)
        spent = []
        clock = time.thread_time()
        with _inside_model(fresh.model, spent):
            texts = fresh.generate_until(requests, disable_tqdm=True)
        if share and fresh.sharing.reason:
            raise SystemExit(f"{name}: nothing was shared: {fresh.sharing.reason}")
        return texts, {"forward": sum(spent), "main_thread": time.thread_time() - clock}

    arms = {
        "script": lambda: (_script(lm.model, lm.processor, rows, n_new, BATCH), {}),
        "lalm": lambda: lalm(True),
    }
    if not few:
        arms["lalm, whole prompts"] = lambda: lalm(False)
        mended = _mended(pretrained)
        # It knows no prompts without audio beside others, so these are its own batches.
        parts = [
            [
                Instance("generate_until", {}, (prompt, dict(request.args[1]), _arrays(handles)), 0)
                for request, (prompt, handles) in zip(requests, rows, strict=True)
                if bool(handles) == heard
            ]
            for heard in (True, False)
        ]
        places = [
            [n for n, (_, handles) in enumerate(rows) if bool(handles) == heard]
            for heard in (True, False)
        ]

        def theirs():
            found = {}
            for part, numbers in zip(parts, places, strict=True):
                texts = mended.generate_until(part, disable_tqdm=True) if part else []
                found.update(zip(numbers, (text.split("\n")[0] for text in texts), strict=True))
            return [found[number] for number in range(len(rows))], {}

        arms["lm_eval"] = theirs
        if options.lmms.exists():
            arms["lmms-eval"] = lambda: _lmms(options.lmms, pretrained, requests, rows, folder)
    seen = {arm: [] for arm in arms}
    for number in range(1 if few else options.rounds):
        order = list(arms)
        random.Random(number).shuffle(order)
        for arm in order:
            cpu, wall = time.process_time(), time.perf_counter()
            texts, more = arms[arm]()
            took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, **more}
            if "forward" in took:
                took["times_bound"] = took["cpu"] / took["forward"]
            wrong = [n for n, text in enumerate(texts) if text.strip() != reference[n].strip()]
            if wrong:
                raise SystemExit(
                    f"{name}, {arm}: {len(wrong)} of {len(texts)} answers are not those of one "
                    f"prompt at a time, such as {texts[wrong[0]]!r} for {reference[wrong[0]]!r}"
                )
            seen[arm].append(took)
    return [
        {
            "model": name, "arm": arm, "questions": len(rows),
            **{key: _spread([took[key] for took in rounds]) for key in rounds[0]},
            "times_lalm": _spread(
                [a["cpu"] / b["cpu"] for a, b in zip(rounds, seen["lalm"], strict=True)]
            ),
        }
        for arm, rounds in seen.items()
    ]  # fmt: skip


def _arrays(handles):
    """Clips decoded before the clock runs, as lm_eval hands them over."""
    return {"audio": [{"array": read_audio(handle, RATE)} for handle in handles]}


def _check_letters(lm, rows, at_most):
    """Compare the letters' log-probabilities with those of one whole prompt at a time."""
    some = [row for row in rows if row[1]][:at_most]
    requests = [
        Instance("loglikelihood", {}, (prompt, letter, {"audio": handles}), 0)
        for prompt, handles in some
        for letter in LETTERS
    ]
    found = [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]
    expected = []
    for prompt, handles in some:
        inputs = lm.inputs([prompt], [lm.waves(handles)])
        with torch.inference_mode():
            logits = lm.model(**inputs).logits[0, -1]
        shares, largest = logits.log_softmax(-1), max(1.0, float(logits.abs().max()))
        tokens = [lm.continuation(prompt, letter)[0] for letter in LETTERS]
        expected += [(float(shares[token]), largest) for token in tokens]
    # A log-probability is a difference of logits, each rounded: relative to the largest of them.
    worst = max(
        abs(score - share) / largest
        for score, (share, largest) in zip(found, expected, strict=True)
    )
    if worst > TOLERANCE:
        raise SystemExit(f"log-probabilities differ by {worst:.2g}; at most {TOLERANCE} is allowed")


def _growth(requests, folder, options):
    """How `lalm`'s time grows: with questions, clips, and the batch size."""
    rows = []
    for questions in (1, 2, 4, 6):
        rows.append(_once("questions a clip", questions, _requests(
            _noises(folder, 24, 10), QUESTIONS[:questions]), BATCH))  # fmt: skip
    for clips in (12, 24, 48):
        rows.append(_once("clips", clips, _requests(_noises(folder, clips, 10)), BATCH))
    for long in (2, 5, 10):
        rows.append(_once("seconds a clip", long, _requests(_noises(folder, 24, long)), BATCH))
    for batch in (4, 16, 64):
        rows.append(_once("batch size", batch, requests, batch))
    return rows


def _once(what, value, requests, batch):
    lm = LALM(str(WEIGHTS_DIR), batch_size=batch, device="cpu", dtype="float32")
    spent, cpu = [], time.process_time()
    with _inside_model(lm.model, spent):
        lm.generate_until(requests, disable_tqdm=True)
    cpu = time.process_time() - cpu
    return {"what": what, "value": value, "questions": len(requests), "cpu": round(cpu, 3),
            "forward": round(sum(spent), 3)}  # fmt: skip


def _spread(values):
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def _print(report):
    console = Console(width=100)
    table = Table(title="CPU seconds, one thread: median (range)")
    for column in ("model", "arm", "questions", "CPU s", "wall s", "in forward", "times lalm"):
        table.add_column(column)
    for row in report["rows"]:
        table.add_row(
            row["model"], row["arm"], str(row["questions"]), _text(row["cpu"]), _text(row["wall"]),
            _text(row["forward"]) if "forward" in row else "", _text(row["times_lalm"]),
        )  # fmt: skip
    console.print(table)
    for row in report["rows"]:
        if "times_bound" in row:
            console.print(f"{row['model']}, {row['arm']}: {_text(row['times_bound'])} of the bound")
    for row in report["memory"]:
        console.print(f"{row['items']} items: {row['peak_mib']} MiB at most")
    for name, why in report["not_measured"].items():
        console.print(f"{name}: {why}")
    for row in report["growth"]:
        console.print(f"{row['what']} {row['value']}: {row['cpu']} s, {row['forward']} in forward")


def _text(spread):
    return f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"


if __name__ == "__main__":
    main()
