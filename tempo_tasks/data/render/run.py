"""Rendering a benchmark: labelled recordings in, a folder in the released layout out.

The folder runs with `TEMPO_DATA=<folder> lm_eval --tasks tempo,tempo_hard,tempo_mirror`. The same
recordings, options and seed give the same bytes, whatever the number of processes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import tempo_tasks
from tempo_tasks.data.build import build_manifest as manifest
from tempo_tasks.data.build import written_tables as tables
from tempo_tasks.data.counts import count_kinds
from tempo_tasks.data.render.plan import Plan, draw_plan
from tempo_tasks.data.render.prepare import Prepared, prepare
from tempo_tasks.data.render.rendering import write_clips
from tempo_tasks.data.render.request import NO_GROUPS, QUARTETS, RenderRequest
from tempo_tasks.data.render.tables import recordings_of, write_tables
from tempo_tasks.file_hashes import hash_file
from tempo_tasks.questions.questions import fingerprint
from tempo_tasks.sources.recorded.scenes import RENDER_VERSION, UNDER_BACKGROUND, most_at_once
from tempo_tasks.sources.synth.scene import MARGIN


def render(
    request: RenderRequest, out: Path, *, command: str = "", progress: bool = False
) -> tuple[dict[str, Any], bool]:
    """Render a benchmark into a folder, or go on where a killed rendering stopped.

    Args:
        request: What to render, and from what.
        out: The folder; new, empty, or with the same rendering.
        command: What the user typed, for the manifest.
        progress: Show bars.

    Returns:
        The manifest, and whether it was there already, complete.

    Raises:
        OptionError: Options that are wrong, or too few labels for what is asked.
        BadRecordingsError: Recordings that cannot be used; all are listed.
        PlacementError: Events that find no place.
        BuildMismatchError: Another rendering, or other files, lie in the folder.
        DamagedBuildError: The folder's complete rendering was changed.
        TempoError: See `read_sounds`.
    """
    request.check()
    manifest.refuse_foreign(out)
    prepared = prepare(request, progress=progress)
    spec = _spec(request, prepared)
    done = manifest.find_complete(out, spec)
    if done is not None:
        return done, True
    plan = draw_plan(request, prepared.bank)
    recordings = recordings_of(prepared, plan)
    about = {
        "version": tempo_tasks.__version__,
        "command": command,
        "spec": spec,
        **_contents(request, prepared, plan, recordings),
    }
    # Only now: recordings that cannot be used leave no folder.
    with manifest.writing(out, spec) as done:
        if done is not None:
            return done, True
        files = write_tables(out, plan, recordings)
        clips = write_clips(request, prepared, plan, out / tables.AUDIO, progress=progress)
        files.update({f"{tables.AUDIO}/{name}": digest for name, digest in clips.items()})
        return manifest.finish(out, {**about, "files": files}, manifest.RENDERED), False


def _spec(request: RenderRequest, prepared: Prepared) -> dict[str, Any]:
    """Return all that the content depends on, as plain JSON without paths."""
    style = request.style
    quartets = request.kind == QUARTETS
    folds = prepared.sounds.test_folds if request.test_folds is None else request.test_folds
    return {
        "render_version": RENDER_VERSION,
        "sounds": _digest(
            [
                [name, one.label, one.licence, one.author, one.link, prepared.heard[name].sha256]
                for name, one in sorted(prepared.used.items())
            ]
        ),
        "layout": prepared.sounds.layout,
        "set": request.kind,
        "clips": request.clips,
        "seconds": request.seconds,
        "events": [4, 4] if quartets else list(style.events),
        "repeats": 2 if quartets else style.repeats,
        "levels_db": list(style.levels),
        "audible_db": -UNDER_BACKGROUND,
        "background": style.background,
        "backgrounds": _digest(
            [[name, one.sha256] for name, one in sorted(prepared.heard_backgrounds.items())]
        )
        if prepared.heard_backgrounds
        else "none",
        "max_overlap": style.max_overlap,
        "margin": MARGIN,
        "split": request.split,
        "test_folds": list(folds) if request.split != "all" else [],
        "alike": _alike(request.alike),
        "min_recordings": request.min_recordings,
        "bursts": request.bursts,
        "seed": request.seed,
        "rate": request.rate,
        "repair": request.repair,
        "trim": request.trim.as_json(),
    }


def _alike(given: str | None) -> str:
    if given is None:
        return "built in"
    return NO_GROUPS if given == NO_GROUPS else hash_file(Path(given), "sha256")[0]


def _digest(rows: list[list[str]]) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def _contents(
    request: RenderRequest, prepared: Prepared, plan: Plan, recordings: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what the manifest says of questions, clips and recordings."""
    licences = Counter(row["licence"] or "unknown" for row in recordings)
    overlap = Counter(
        most_at_once([event.intervals for event in scene.clip.events])
        for scene in plan.scenes.values()
    )
    groups = {label: sorted(others) for label, others in sorted(prepared.bank.alike.items())}
    return {
        "fingerprint": fingerprint(plan.questions),
        "questions": len(plan.questions),
        "kinds": count_kinds(plan.questions),
        "clips": len({question.clip_id for question in plan.questions}),
        "twins": len(plan.twins),
        "labels": sorted(prepared.bank.bursts),
        "alike": {label: others for label, others in groups.items() if others},
        "events_at_once": {str(count): overlap[count] for count in sorted(overlap)},
        "captions": len(plan.captions),
        "audio": True,
        "licences": dict(sorted(licences.items(), key=lambda item: (-item[1], item[0]))),
        "cite": list(prepared.sounds.cite),
        "recordings": recordings,
        "recordings_heard": {form: prepared.forms[form] for form in sorted(prepared.forms)},
        "left_out": [
            {"recording": one.name, "why": one.why}
            for one in sorted(prepared.left_out, key=lambda one: (one.name, one.why))
        ],
        "repairs": [
            {
                "file": prepared.sounds.layout,
                "row": 0,
                "filename": one.name,
                "what": f"{one.why}; left out",
            }
            for one in sorted(prepared.left_out, key=lambda one: (one.name, one.why))
            if one.repaired
        ],
        "notes": _notes(request, prepared),
    }


def _notes(request: RenderRequest, prepared: Prepared) -> list[str]:
    reasons = Counter(one.why.partition(":")[0] for one in prepared.left_out if not one.repaired)
    heard = ", ".join(f"{form} {count}" for form, count in sorted(prepared.forms.items()))
    notes = [
        f"recordings: {len(prepared.used)} used of {len(prepared.used) + len(prepared.left_out)}; "
        f"they sound: {heard}"
    ]
    if reasons:
        # A reason that names a recording is one of many of its kind.
        told = Counter("a copy" if why.startswith("the same sound") else why for why in reasons)
        told.update({why: reasons[why] - 1 for why in reasons if why in told})
        notes.append("left out: " + ", ".join(f"{why} {n}" for why, n in sorted(told.items())))
    if request.kind == QUARTETS:
        notes.append("quartets: whatever hears no time is right in 25 %, by construction")
    return notes
