"""The demo: all `tempo_synth` tasks by the embedded model, through the harness."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import lm_eval

from tempo_attn.files.atomic import replacing
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.task_index import our_tasks
from tempo_tasks.questions.conditions import SUITE
from tempo_tasks.questions.questions import Kind


def run_demo(
    *, batch_size: int, scenes: int | None = None, output: Path | None = None
) -> dict[str, list[str]]:
    """Evaluate and return, for each condition, the cells EO, LO, LD and macro average.

    Args:
        batch_size: Questions a batch.
        scenes: Shortens the test set; None for the whole.
        output: Where to write lm-eval's results, without the samples.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    metadata: dict[str, Any] = {} if scenes is None else {"synth_scenes": scenes}
    results = lm_eval.simple_evaluate(
        model=LALM(batch_size=batch_size),
        tasks=["tempo_synth"],
        task_manager=our_tasks(metadata),
        log_samples=False,
        bootstrap_iters=1,  # only switches closed-form errors on
    )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as partial:
            partial.write_text(json.dumps(results, indent=2, default=str))
    scores = results["results"]
    table = {}
    for condition in SUITE:
        names = [f"tempo_synth_{kind.value}_{condition.value}" for kind in Kind]
        cells = [_cell(scores[name]) for name in names]
        table[condition.value] = [*cells, _cell(scores[f"tempo_synth_{condition.value}"])]
    return table


def _cell(score: dict[str, Any]) -> str:
    error = score["acc_stderr,none"]
    shown = f"{100 * error:.1f}" if isinstance(error, float) else error
    return f"{100 * score['acc,none']:.1f} ({shown})"
