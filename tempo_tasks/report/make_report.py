"""From what was given to the page: reading, joining and rendering, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tempo_tasks
from tempo_tasks.report.answers_summary import failure_rows, letter_rows
from tempo_tasks.report.baselines import baseline_rows
from tempo_tasks.report.choices import section_of_choice
from tempo_tasks.report.clips_on_page import MEGABYTE, ClipsOnPage, clips_on_page
from tempo_tasks.report.data_of_runs import asked_by_laboratory, asked_by_run, load_data
from tempo_tasks.report.diagnoses import section_of as diagnosis_section
from tempo_tasks.report.edits_by_item import (
    add_attention,
    add_edits,
    add_windows,
    tells_of_items,
)
from tempo_tasks.report.inputs import Inputs
from tempo_tasks.report.item_browser import ItemBrowser
from tempo_tasks.report.laboratory import section_of
from tempo_tasks.report.page import render, tables_of
from tempo_tasks.report.what_ran import version_notes, what_ran
from tempo_tasks.stats.report import make_report as make_statistics


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the page depends on besides what is shown.

    Attributes:
        title: What stands over the page.
        max_audio: Megabytes of compressed audio that may go into the page.
        data: Where the released data lie now; None for where the results say.
        intervals: Interval tables to join.
        level: Coverage of the intervals.
        folder: Name of the folder of audio files beside the page.
        audit: Whether data are audited for the baselines where no audit is given.
        served: Whether a server gives out the audio, so that nothing need be said of its place.
    """

    title: str = "tempo report"
    max_audio: float = 20.0
    data: str | None = None
    intervals: Sequence[Path] = ()
    level: float = 0.95
    folder: str = "report_audio"
    audit: bool = True
    served: bool = False


def make_report(inputs: Inputs, options: Options) -> tuple[bytes, ClipsOnPage]:
    """Return the page, and the clips, some of which may have to lie in files beside it.

    Raises:
        ReportExtraMissingError: plotly is not installed.
        OptionError: A level that is no share.
    """
    statistics = make_statistics(inputs.runs, options.level)
    browser = ItemBrowser()
    for run in inputs.runs:
        browser.add_run(run)
    by_item = [run for _, run in inputs.laboratory if tells_of_items(run)]
    data = load_data(
        [
            *(asked for run in inputs.runs for asked in asked_by_run(run)),
            *(asked for run in by_item for asked in asked_by_laboratory(run)),
        ],
        data=options.data,
        intervals=options.intervals,
    )
    edits, edit_notes = add_edits(browser, inputs.laboratory, data, inputs.runs)
    add_attention(browser, inputs.laboratory, data, inputs.runs)
    add_windows(browser, inputs.laboratory, data, inputs.runs)
    clips = clips_on_page(
        browser.items,
        data,
        max_bytes=options.max_audio * MEGABYTE,
        folder=options.folder,
        served=options.served,
    )
    sources = list(dict.fromkeys(task.name.source for run in inputs.runs for task in run.tasks))
    baselines, baseline_notes, audits = baseline_rows(
        data if options.audit else None, inputs.audits, sources
    )
    notes = [
        *statistics["notes"],
        *version_notes(inputs.runs),
        *data.notes,
        *clips.notes,
        *edit_notes,
        *baseline_notes,
    ]
    sections = [
        *(section_of(name, run) for name, run in inputs.laboratory),
        *(section_of_choice(name, choice) for name, choice in inputs.choices),
    ]
    page = render(
        title=options.title,
        data=_script_data(statistics, baselines, browser, clips, edits, data.captions),
        embedded=clips.embedded,
        notes=list(dict.fromkeys(notes)),
        power=statistics["power"],
        tables=tables_of(statistics),
        failures=failure_rows(inputs.runs),
        letters=letter_rows(inputs.runs),
        ran=[what_ran(run) for run in inputs.runs],
        laboratory=sections,
        audits=audits,
        diagnoses=[diagnosis_section(name, found) for name, found in inputs.diagnoses],
        baselines=baselines,
        has_items=bool(browser.items),
        n_items=len(browser.items),
        n_sound=len(clips.embedded) + len(clips.files),
        n_clips=len(clips.clips),
        version=tempo_tasks.__version__,
        level=options.level,
    )
    return page, clips


def _script_data(
    statistics: Any,
    baselines: Sequence[dict[str, Any]],
    browser: ItemBrowser,
    clips: ClipsOnPage,
    edits: Sequence[dict[str, Any]],
    captions: Any,
) -> dict[str, Any]:
    """Return what the page's scripts read."""
    return {
        "accuracy": statistics["accuracy"],
        "baselines": baselines,
        "columns": browser.columns,
        "edits": edits,
        "clips": clips.clips,
        "items": [
            item.to_json(clips.numbers.get(item.clip), captions.get(item.clip))
            for item in browser.items
        ],
    }
