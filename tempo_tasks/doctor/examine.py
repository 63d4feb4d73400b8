"""A model is loaded and goes through all checks; what is found is told on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tempo_attn.hub.model_names import loaded_name
from tempo_tasks.doctor import laboratory_checks
from tempo_tasks.doctor.clips import check_clip
from tempo_tasks.doctor.diagnosis import Diagnosis, Facts, Finding, Number, Outcome, Segment
from tempo_tasks.doctor.every_check import SPEED, Check, findings
from tempo_tasks.doctor.examination import Examination, examination
from tempo_tasks.doctor.facts import facts_of, peak_memory
from tempo_tasks.doctor.loading import Request, load
from tempo_tasks.doctor.prompt_checks import marked_prompt


@dataclass(frozen=True)
class Watch:
    """Who is told on the way: a large model takes minutes a check.

    Attributes:
        facts: Is told what the model is, once it is loaded.
        finding: Is told of each check.
    """

    facts: Callable[[Facts], None] = lambda facts: None
    finding: Callable[[Finding], None] = lambda finding: None


def diagnose(
    request: Request, *, clip: Path | None = None, watch: Watch | None = None
) -> Diagnosis:
    """Load a model and run all checks on it.

    Args:
        request: Which model, and how it is loaded.
        clip: An audio file to listen to; None for a rendered scene.
        watch: Is told on the way.

    Raises:
        TempoError: It cannot be loaded, or the clip cannot be read: see `loading.load` and
            `examination.examination`.
    """
    check_clip(clip)
    lm, edit = load(request)
    with examination(lm, clip=clip, attn_scale=edit) as exam:
        return examine(exam, watch or Watch(), attn_scale=request.attn_scale)


def examine(exam: Examination, watch: Watch, *, attn_scale: str | None = None) -> Diagnosis:
    """Run all checks on a loaded model.

    Args:
        exam: The model and what it is tried on.
        watch: Is told on the way.
        attn_scale: What the user called the configuration that is tried.
    """
    facts = facts_of(exam.lm)
    watch.facts(facts)
    found = []
    for finding in findings(exam):
        watch.finding(finding)
        found.append(finding)
    finding, speed = _speed(exam)
    watch.finding(finding)
    return Diagnosis(
        facts=facts,
        clip=exam.clip,
        attn_scale=None if attn_scale is None else loaded_name(attn_scale),
        findings=[*found, finding],
        prompt=_prompt(exam),
        speed=speed,
        memory=peak_memory(exam.lm),
    )


def _speed(exam: Examination) -> tuple[Finding, dict[str, Number]]:
    measured: dict[str, Number] = {}

    def run(exam: Examination) -> Outcome:
        speed = laboratory_checks.measure(exam)
        measured.update(speed.to_dict())
        return laboratory_checks.speed_of(speed)

    name, title, to_do = SPEED
    return Check(name, title, run, to_do).finding(exam), measured


def _prompt(exam: Examination) -> list[Segment]:
    try:
        return marked_prompt(exam)
    except Exception:  # a check has told why
        return []
