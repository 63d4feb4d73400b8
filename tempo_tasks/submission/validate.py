"""Whether a bundle can be believed: everything in it is worked out again, from samples and data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tempo_attn.errors import ConfigError, TempoError
from tempo_attn.files.json_types import misfit
from tempo_attn.files.strict_json import parse_json_object
from tempo_tasks.errors import BundleError, SamplesError
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.stats.runs import Run
from tempo_tasks.submission.asked_documents import Asked, AskedData, checked_settings
from tempo_tasks.submission.check_audit import check_audit
from tempo_tasks.submission.check_derived import check_derived
from tempo_tasks.submission.check_samples import check_task, read_task
from tempo_tasks.submission.derived_files import derived_files, in_order, to_run
from tempo_tasks.submission.open_bundle import open_bundle
from tempo_tasks.submission.sample_lines import Line, parse_bounded
from tempo_tasks.submission.schema import (
    ABOUT,
    AUDIT,
    DERIVED,
    EVAL_RESULTS,
    EVERY_EVAL_EVER,
    MANIFEST,
    ROW,
    SCHEMA,
    SCHEMA_VERSION,
    TASK_NAME,
    About,
    samples_file,
)
from tempo_tasks.submission.task_scoring import task_scoring

MAX_TASKS = 100
LONGEST = 300
"""Characters of a text in `bundle.json` that pages show."""


@dataclass
class Verdict:
    """What was found.

    Attributes:
        bundle: The path.
        faults: What is wrong.
        unchecked: What could not be checked, which is not accepted either.
        about: `bundle.json`.
        run: The answers; None where they cannot be read.
        row: The row of the leaderboard, worked out here; None where there are faults.
        audit: The audit of the data, worked out here, where the bundle has one.
    """

    bundle: Path
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    about: About | None = None
    run: Run | None = None
    row: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None

    @property
    def accepted(self) -> bool:
        """Whether nothing is wrong and everything was checked."""
        return not self.faults and not self.unchecked

    def sentences(self) -> list[str]:
        """Return what was found, for a terminal: texts of strangers cannot steer it."""
        lines = [f"fault: {fault}" for fault in self.faults]
        lines += [f"not checked: {what}" for what in self.unchecked]
        if self.accepted:
            assert self.about is not None
            n = sum(task.n for task in self.about.tasks.values())
            lines.append(
                f"Accepted: {self.about.label}, {len(self.about.tasks)} tasks, {n} answers; all "
                "worked out again from the samples and the data"
            )
        else:
            parts = [f"{len(self.faults)} faults"] if self.faults else []
            parts += [f"{len(self.unchecked)} parts not checked"] if self.unchecked else []
            lines.append(f"Not accepted: {', '.join(parts)}")
        return [inert(line) for line in lines]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "bundle": self.bundle.name,
            "accepted": self.accepted,
            "faults": self.faults,
            "unchecked": self.unchecked,
            "entry": None if self.about is None else self.about.label,
            "tasks": {} if self.about is None else {n: t.n for n, t in self.about.tasks.items()},
        }


def inert(text: str) -> str:
    """Return text without characters that a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def validate(bundle: Path, data: AskedData) -> Verdict:
    """Check a bundle.

    Args:
        bundle: A folder, or a zip of one.
        data: The data, and where they are.

    Raises:
        BundleError: It cannot be read as a bundle at all: a hostile file, another version.
    """
    verdict = Verdict(bundle)
    with open_bundle(bundle) as folder:
        about = verdict.about = read_about(folder, str(bundle))
        present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        verdict.faults += _manifest(folder, present)
        verdict.faults += texts_that_cannot_be(about)
        lines, asked = _samples(folder, verdict, data)
        if AUDIT in present:
            _audit(folder, verdict, data, complete=None not in asked.values())
        files = _worked_out(verdict, lines) if lines is not None else None
        verdict.faults += check_derived(folder, files, present)
        known = {ABOUT, AUDIT, MANIFEST, *DERIVED, *map(samples_file, about.tasks), *(files or {})}
        if files is None:  # the names of these files follow from the samples
            unknown = (f"{EVAL_RESULTS}/", f"{EVERY_EVAL_EVER}/")
            known |= {name for name in present if name.startswith(unknown)}
        verdict.faults += [f"{name}: belongs to no task" for name in sorted(present - known)]
    return verdict


def _worked_out(verdict: Verdict, lines: Mapping[str, list[Line]]) -> dict[str, Any] | None:
    """Return the files that follow from the samples; None where that cannot be."""
    assert verdict.about is not None
    try:
        run = verdict.run = to_run(verdict.about, lines)
        files = derived_files(verdict.about, run, lines)
    # Statistics of answers that a stranger made up may fail in ways that nobody foresaw.
    except (SamplesError, ArithmeticError, ValueError, LookupError, TypeError) as error:
        verdict.faults.append(f"the samples cannot be worked out again: {error}")
        return None
    verdict.row = files[ROW]  # type: ignore[assignment]
    return files


def read_about(folder: Path, where: str) -> About:
    """Return a bundle's `bundle.json`.

    Raises:
        BundleError: There is none, or it is of another version or form.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise BundleError(f"{where}: no {ABOUT}; expected what `tempo submit` wrote")
    try:
        found = parse_json_object(path.read_bytes(), ABOUT)
    except ConfigError as error:
        raise BundleError(f"{where}: {error}") from None
    named = found.get("schema"), found.get("schema_version")
    if named != (SCHEMA, SCHEMA_VERSION) or isinstance(named[1], bool):
        raise BundleError(
            f"{where}: schema {str(named[0])[:40]!r}, version {str(named[1])[:40]!r}; this release "
            f"reads {SCHEMA!r}, version {SCHEMA_VERSION}. Use the release that wrote it, or write "
            "it again with this one"
        )
    if wrong := misfit(found, About):
        raise BundleError(f"{where}: {ABOUT}: {wrong}")
    tasks = found["tasks"]
    if not 1 <= len(tasks) <= MAX_TASKS:
        raise BundleError(f"{where}: {len(tasks)} tasks; expected 1 to {MAX_TASKS}")
    for task, told in tasks.items():
        if not TASK_NAME.fullmatch(task):
            raise BundleError(f"{where}: {task[:80]!r} is no task of tempo's")
        try:
            task_scoring(task)
            in_order([task])
            checked_settings(told["settings"])
        except (BundleError, ValueError) as error:
            raise BundleError(f"{where}: {ABOUT}, {task}: {error}") from None
    return About.from_dict(found)


def texts_that_cannot_be(about: About) -> Iterator[str]:
    """Yield which texts of `bundle.json` no page can show."""
    shown = {"label": about.label, "model.name": about.model.name, "family": about.model.family}
    shown |= {f"links.{name}": text for name, text in vars(about.links).items()}
    for name, text in shown.items():
        if text is not None and (not text.strip() or len(text) > LONGEST or not text.isprintable()):
            yield f"{ABOUT}: {name} is empty, longer than {LONGEST} characters, or not printable"
    for name in ("model_url", "results_url"):
        url = getattr(about.links, name)
        if url is not None and not re.match(r"https://[^/\s@]+(/|$)", url):
            yield f"{ABOUT}: links.{name} is {url[:80]!r}; expected an address with https://"
    try:
        datetime.strptime(about.date, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        yield f"{ABOUT}: date is {about.date[:40]!r}; expected such as 2026-11-21T10:00:00Z"
    if edit := about.attention:
        yield from _edit(edit.fingerprint, edit.config)


def _edit(fingerprint: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the edit of attention: it must be one, and the one it is called."""
    from tempo_attn.config import AttnScaleConfig

    try:
        found = AttnScaleConfig.from_json(json.dumps(config).encode(), where="attention.config")
    except TempoError as error:
        yield f"{ABOUT}: {error}"
        return
    if found.fingerprint() != fingerprint:
        yield (
            f"{ABOUT}: attention.fingerprint is {fingerprint[:64]!r}; that of the configuration is "
            f"{found.fingerprint()}"
        )


def _manifest(folder: Path, present: set[str]) -> Iterator[str]:
    """Yield how the files differ from the manifest."""
    if MANIFEST not in present:
        yield f"{MANIFEST} is missing"
        return
    text = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")
    told: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if not found or found[2] in told:
            yield f"{MANIFEST}, line {number}: no line of sha256sum, or a file twice"
            return
        told[found[2]] = found[1]
    for name in sorted(told.keys() | (present - {MANIFEST})):
        if name not in told:
            yield f"{name}: not in {MANIFEST}"
        elif name not in present:
            yield f"{name}: in {MANIFEST}, and missing"
        elif hash_file(folder / name, "sha256") != [told[name]]:
            yield f"{name}: its SHA-256 sum is not that in {MANIFEST}; the file was changed"


def _samples(
    folder: Path, verdict: Verdict, data: AskedData
) -> tuple[dict[str, list[Line]] | None, dict[str, Asked | None]]:
    """Check all samples; return them where every file can be read."""
    assert verdict.about is not None
    lines: dict[str, list[Line]] = {}
    asked: dict[str, Asked | None] = {}
    whole = True
    for task, told in verdict.about.tasks.items():
        try:
            asked[task] = data.documents(task, told)
        except TempoError as error:
            asked[task] = None
            reason = " ".join(str(error).split())
            verdict.unchecked.append(f"{task}: the data cannot be had: {reason}")
        lines[task], faults = read_task(folder, task)
        whole = whole and not faults
        verdict.faults += faults
        verdict.faults += check_task(task, told, lines[task], asked[task])
    return (lines if whole else None), asked


def _audit(folder: Path, verdict: Verdict, data: AskedData, *, complete: bool) -> None:
    assert verdict.about is not None
    try:
        given = parse_bounded((folder / AUDIT).read_bytes())
        if not isinstance(given, dict):
            raise ValueError("no object")
    except ValueError as error:
        verdict.faults.append(f"{AUDIT}: {str(error)[:200]}")
        return
    if not complete:
        verdict.unchecked.append(f"{AUDIT}: the data cannot be had")
        return
    ours = data.audit(verdict.about)
    verdict.faults += check_audit(given, ours)
    verdict.audit = ours
