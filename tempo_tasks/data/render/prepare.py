"""From a source to what scenes are made of: recordings heard, checked, chosen and counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tempo_tasks.data.render.request import NO_GROUPS, RenderRequest
from tempo_tasks.data.render.workers import mapped
from tempo_tasks.errors import BadRecordingsError
from tempo_tasks.sources.csv_reader import listed
from tempo_tasks.sources.recorded.alike import built_in, read_groups
from tempo_tasks.sources.recorded.backgrounds import find_backgrounds
from tempo_tasks.sources.recorded.envelope import Form, Trim
from tempo_tasks.sources.recorded.layouts import read_sounds
from tempo_tasks.sources.recorded.listening import Heard, listen
from tempo_tasks.sources.recorded.recordings import Recording, Sounds, one_spelling
from tempo_tasks.sources.recorded.scenes import Bank


@dataclass(frozen=True)
class LeftOut:
    """A recording that is not used.

    Attributes:
        name: The recording.
        why: In words.
        repaired: It is one that cannot be used, which `--repair` left out; else it is left out in
            any case, because it has no clear burst, say.
    """

    name: str
    why: str
    repaired: bool = False


@dataclass(frozen=True)
class Prepared:
    """What scenes are made of.

    Attributes:
        sounds: The source.
        used: Recordings that events are made of, by name.
        heard: Of each of them, what was heard.
        backgrounds: Recordings that sound behind events, by name; their labels are empty.
        heard_backgrounds: Of each of them, what was heard.
        bank: Bursts by label.
        forms: How many recordings sound in each way.
        left_out: What is not used.
    """

    sounds: Sounds
    used: Mapping[str, Recording]
    heard: Mapping[str, Heard]
    backgrounds: Mapping[str, Recording]
    heard_backgrounds: Mapping[str, Heard]
    bank: Bank
    forms: Mapping[str, int]
    left_out: Sequence[LeftOut]


def prepare(request: RenderRequest, *, progress: bool = False) -> Prepared:
    """Hear all recordings of a request and choose those that can be used.

    Raises:
        TempoError: See `read_sounds`.
        BadRecordingsError: Recordings that cannot be used, without `--repair`; all are listed.
    """
    sounds = read_sounds(request.sounds, request.layout, licence=request.licence)
    spelled = one_spelling(sounds.recordings)
    folds = sounds.test_folds if request.test_folds is None else request.test_folds
    chosen = {
        one.name: replace(one, label=spelled.get(one.label, one.label))
        for one in sounds.recordings
        if request.split == "all" or one.in_test(folds) is (request.split == "test")
    }
    heard = _hear(chosen, request, progress)
    behind, heard_behind = _backgrounds(request, progress)
    left_out = [LeftOut(name, why) for name, why in sounds.left_out]
    faults = _faults(chosen, heard, request, left_out)
    faults += [
        LeftOut(name, one.fault or f"{one.seconds:g} s, shorter than a clip of {request.seconds:g}")
        for name, one in heard_behind.items()
        if one.fault or one.seconds < request.seconds
    ]
    if faults and not request.repair:
        lines = [f"  {fault.name}: {fault.why}" for fault in faults]
        raise BadRecordingsError(
            f"{request.sounds}: {len(faults)} recordings cannot be used; mend or remove them, or "
            f"use --repair to leave them out (each is listed in the manifest):\n{listed(lines)}"
        )
    left_out += [replace(fault, repaired=True) for fault in faults]
    gone = {one.name for one in left_out}
    used = {name: one for name, one in chosen.items() if name not in gone}
    behind = {name: one for name, one in behind.items() if name not in gone}
    if not used or (heard_behind and not behind):
        raise BadRecordingsError(
            f"{request.sounds}: no {'background' if used else 'recording'} is left:\n"
            + listed([f"  {one.name}: {one.why}" for one in left_out])
        )
    return Prepared(
        sounds,
        used,
        {name: heard[name] for name in used},
        behind,
        {name: heard_behind[name] for name in behind},
        _bank(used, heard, request),
        Counter(one.form for one in heard.values() if one.form),
        left_out,
    )


# What the processes that hear recordings are set up with.
_setup: dict[str, tuple[int, Trim]] = {}


def _set_up(rate: int, trim: Trim) -> None:
    _setup["listen"] = (rate, trim)


def _listen(task: tuple[Path, str]) -> Heard:
    rate, trim = _setup["listen"]
    return listen(*task, rate, trim)


def _hear(
    recordings: Mapping[str, Recording], request: RenderRequest, progress: bool
) -> dict[str, Heard]:
    found = mapped(
        _listen,
        [(one.path, name) for name, one in recordings.items()],
        workers=request.workers,
        progress=progress,
        title="Hearing recordings",
        setup=_set_up,
        setup_arguments=(request.rate, request.trim),
    )
    return {one.name: one for one in found}


def _backgrounds(
    request: RenderRequest, progress: bool
) -> tuple[dict[str, Recording], dict[str, Heard]]:
    if request.background_kind != "folder":
        return {}, {}
    found = {
        f"background/{name}": Recording(path, f"background/{name}", "", licence=request.licence)
        for name, path in find_backgrounds(Path(request.background)).items()
    }
    return found, _hear(found, request, progress)


def _faults(
    chosen: Mapping[str, Recording],
    heard: Mapping[str, Heard],
    request: RenderRequest,
    left_out: list[LeftOut],
) -> list[LeftOut]:
    """Return what cannot be used; what is left out in any case is added to `left_out`."""
    faults = [LeftOut(name, one.fault) for name, one in heard.items() if one.fault]
    fine = {name: one for name, one in heard.items() if not one.fault}
    same: dict[str, list[str]] = defaultdict(list)
    for name, one in fine.items():
        same[one.sound].append(name)
    twice: set[str] = set()
    for names in same.values():
        labels = sorted({chosen[name].label for name in names})
        if len(labels) > 1:
            why = f"the same sound has the labels {', '.join(labels)} ({', '.join(sorted(names))})"
            faults += [LeftOut(name, why) for name in names]
            twice.update(names)
        else:
            left_out += [LeftOut(name, f"the same sound as {names[0]}") for name in names[1:]]
            twice.update(names[1:])
    counts: Counter[str] = Counter()
    for name, one in fine.items():
        if name in twice:
            continue
        if not one.bursts:
            left_out.append(LeftOut(name, Form.UNCLEAR.value))
        elif one.form == Form.SEVERAL.value and request.bursts != "apart":
            left_out.append(LeftOut(name, Form.SEVERAL.value))
        else:
            counts[chosen[name].label] += 1
    gone = {one.name for one in (*left_out, *faults)}
    for name, recording in chosen.items():
        count = counts[recording.label]
        if name not in gone and count < request.min_recordings:
            why = f"{recording.label!r} has {count} recordings that can be used; asked for are "
            faults.append(LeftOut(name, f"{why}{request.min_recordings} (--min-recordings)"))
    return faults


def _bank(
    used: Mapping[str, Recording], heard: Mapping[str, Heard], request: RenderRequest
) -> Bank:
    bursts: dict[str, list[tuple[str, Sequence[object]]]] = defaultdict(list)
    for name in sorted(used):
        bursts[used[name].label].append((name, heard[name].bursts))
    if request.alike is None:
        alike = built_in(bursts)
    elif request.alike == NO_GROUPS:
        alike = {label: frozenset() for label in bursts}
    else:
        alike = read_groups(Path(request.alike), bursts)
    return Bank(bursts, alike)  # type: ignore[arg-type]
