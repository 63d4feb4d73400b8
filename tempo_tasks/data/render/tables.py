"""What lies beside the rendered clips: when each event sounds, what of, and whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempo_tasks.data.build import written_tables as tables
from tempo_tasks.data.build.licences import ATTRIBUTION
from tempo_tasks.data.render.plan import Plan
from tempo_tasks.data.render.prepare import Prepared
from tempo_tasks.sources.recorded.backgrounds import choose
from tempo_tasks.sources.recorded.mixing import span_of
from tempo_tasks.sources.rendered_twins import MIRROR, TWIN

EVENTS = "events.csv"
_EVENT_COLUMNS = (
    *("filename", "label", "onset", "offset"),
    *("recording", "from", "to", "level_db"),
)
_ATTRIBUTION_COLUMNS = ("recording", "label", "licence", "author", "link", "sha256", "clips")


def write_tables(out: Path, plan: Plan, recordings: list[dict[str, Any]]) -> dict[str, str]:
    """Write the tables of a folder; return their SHA-256 sums by name.

    Args:
        out: The folder.
        plan: What is rendered and asked.
        recordings: As `recordings_of` returns them.
    """
    files = {
        tables.QUESTIONS: tables.write_questions(
            out / tables.QUESTIONS, plan.questions, audio=True
        ),
        tables.INTERVALS: tables.write_intervals(out / tables.INTERVALS, plan.clips()),
        tables.CAPTIONS: tables.write_captions(out / tables.CAPTIONS, plan.captions),
        EVENTS: tables.write_table(out / EVENTS, _EVENT_COLUMNS, _events(plan)),
        ATTRIBUTION: tables.write_table(
            out / ATTRIBUTION,
            _ATTRIBUTION_COLUMNS,
            [[str(row[column]) for column in _ATTRIBUTION_COLUMNS] for row in recordings],
        ),
    }
    if plan.twins:
        files[MIRROR] = tables.write_table(
            out / MIRROR, ("filename", TWIN), list(plan.twins.items())
        )
    return files


def _events(plan: Plan) -> list[list[str]]:
    """Return one row an interval: when it sounds, and of which part of which recording it is."""
    return [
        [
            name,
            event.label,
            tables.seconds(start),
            tables.seconds(end),
            source.recording,
            *map(tables.seconds, span_of(source)),
            tables.seconds(source.over),
        ]
        for name, scene in plan.scenes.items()
        for event, source in zip(scene.clip.events, scene.sources, strict=True)
        for start, end in event.intervals
    ]


def recordings_of(prepared: Prepared, plan: Plan) -> list[dict[str, Any]]:
    """Return every recording that is heard, sorted by name, with its licence and source."""
    clips: Counter[str] = Counter()
    for scene in plan.scenes.values():
        clips.update({source.recording for source in scene.sources})
        if prepared.backgrounds:
            clips[choose(sorted(prepared.backgrounds), scene.background)] += 1
    known: Mapping[str, Any] = {**prepared.used, **prepared.backgrounds}
    heard = {**prepared.heard, **prepared.heard_backgrounds}
    return [
        {
            "recording": name,
            "label": known[name].label,
            # Without line breaks, which a line of `tempo data cite` could not hold.
            **{
                key: " ".join(getattr(known[name], key).split())
                for key in ("licence", "author", "link")
            },
            "sha256": heard[name].sha256,
            "clips": count,
        }
        for name, count in sorted(clips.items())
    ]
