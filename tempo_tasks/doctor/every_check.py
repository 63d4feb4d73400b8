"""All checks in order, each with what to do where it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tempo_tasks.doctor import (
    answer_checks,
    batch_checks,
    edit_checks,
    hearing_checks,
    laboratory_checks,
    prompt_checks,
)
from tempo_tasks.doctor.diagnosis import Finding, Number, Outcome, failed
from tempo_tasks.doctor.examination import Examination

_MOST_CHARACTERS = 700


class Examined(Protocol):
    """What a check looks at: a loaded model, or one on a server."""

    def without_paths(self, message: str) -> str:
        """Return a message without where things lie on this machine."""


E = TypeVar("E", bound=Examined)


@dataclass(frozen=True)
class Check(Generic[E]):
    """One check.

    Attributes:
        name: Its name in the JSON.
        title: What is checked, in a few words.
        run: Tells the outcome; an exception is a failure, whose message is the reason.
        to_do: What to do where it fails.
    """

    name: str
    title: str
    run: Callable[[E], Outcome]
    to_do: str

    def finding(self, exam: E) -> Finding:
        """Run the check; whatever goes wrong in it is its own failure."""
        try:
            outcome = self.run(exam)
        except Exception as error:
            outcome = failed(f"{type(error).__name__}: {error}")
        reason = " ".join(exam.without_paths(outcome.reason).split())
        if len(reason) > _MOST_CHARACTERS:
            reason = reason[:_MOST_CHARACTERS] + " ..."
        return Finding(
            name=self.name,
            title=self.title,
            status=outcome.status,
            reason=reason,
            to_do=(outcome.to_do or self.to_do) if outcome.status == "failed" else "",
            numbers={name: _finite(number) for name, number in outcome.numbers.items()},
        )


def _finite(number: Number) -> Number:
    """Return a number, or None for NaN and infinity, which are no JSON."""
    return None if isinstance(number, float) and not math.isfinite(number) else number


CHECKS: tuple[Check[Examination], ...] = (
    Check(
        "template_has_audio",
        "chat template takes audio",
        hearing_checks.template_has_audio,
        "take the instruct checkpoint, or a processor whose chat template renders parts of type "
        "audio (--model_args processor=FOLDER_OR_ID)",
    ),
    Check(
        "positions_match",
        "audio positions = what the encoder fills",
        hearing_checks.positions_match,
        "check that processor and weights belong together (same revision); else "
        "`n_audio_tokens` of the family is wrong for this checkpoint: report it",
    ),
    Check(
        "silence_differs",
        "silence changes the answer's logits",
        hearing_checks.silence_differs,
        "do not score this model: its audio does not arrive. Compare processor, audio token and "
        "encoder weights with the released checkpoint",
    ),
    Check(
        "batch_equals_single",
        "a batch of clips = one at a time",
        batch_checks.batch_equals_single,
        "use batch_size=1 until it is explained; try dtype=float32 (on a GPU with "
        "NVIDIA_TF32_OVERRIDE=0), then attn_implementation=eager",
    ),
    Check(
        "left_padding_harmless",
        "padding on the left is harmless",
        batch_checks.left_padding_harmless,
        "use batch_size=1; the model does not take account of its attention mask, or the processor "
        "pads on the right",
    ),
    Check(
        "letters_told_apart",
        "letters told apart by their first tokens",
        prompt_checks.letters_told_apart,
        "score by generation (the tasks without _ll): likelihoods and the laboratory compare the "
        "letters' first tokens",
    ),
    Check(
        "rows_found",
        "keyword and option rows found",
        prompt_checks.rows_found,
        "edit last rows only (queries: last), or state the rows with "
        "`model.positions(questions=..., options=...)`; report the tokenizer",
    ),
    Check(
        "edit_applied",
        "an edit is applied",
        edit_checks.edit_applied,
        "do not use attn_scale with this model: its attention cannot be reached. Try "
        "attn_implementation=eager, and report it",
    ),
    Check(
        "edit_removed",
        "an edit comes off without a trace",
        edit_checks.edit_removed,
        "load the model anew for each configuration, and report it",
    ),
    Check(
        "neutral_edit_changes_nothing",
        "alpha = 1 changes nothing",
        edit_checks.neutral_edit_changes_nothing,
        "do not compare edits with the plain model, and report it",
    ),
    Check(
        "generation_agrees",
        "generation agrees with likelihood",
        answer_checks.generation_agrees,
        "do not mix scores by generation and by likelihood; look for processing of logits in the "
        "checkpoint's generation_config or its own `generate`",
    ),
    Check(
        "engine_agrees",
        "laboratory's fast engine = full forwards",
        laboratory_checks.engine_agrees,
        "sweeps still run, by full forwards (--engine full), and take longer; report it",
    ),
)
"""All but that of a given configuration, and speed, which is measured last."""

ATTN_SCALE: Check[Examination] = Check(
    "attn_scale_fits",
    "the given configuration fits",
    edit_checks.attn_scale_fits,
    "take a configuration that was chosen for this model: its layers, heads and keys are the "
    "model's (attn_scale_config.json)",
)
SPEED = ("speed", "speed here", "the reason above holds for every run of this model: mend it first")


def findings(exam: Examination) -> Iterator[Finding]:
    """Run the checks one by one; one that fails does not stop the others.

    Yields:
        Each finding as soon as it is known; that of speed is made elsewhere.
    """
    for check in (*CHECKS, *(() if exam.attn_scale is None else (ATTN_SCALE,))):
        yield check.finding(exam)
