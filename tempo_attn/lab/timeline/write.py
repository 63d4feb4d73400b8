"""The tables, the summary, the directions and the figures of a run of `tempo timeline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tempo_attn.errors import RunFolderError
from tempo_attn.files.csv_and_json import table_number, write_json, write_table
from tempo_attn.lab.folds import cluster_folds
from tempo_attn.lab.report import Report
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.timeline.directions import NAME, write_directions
from tempo_attn.lab.timeline.figures import paths_by_layer, scores_by_layer
from tempo_attn.lab.timeline.probes import require_sklearn
from tempo_attn.lab.timeline.records import EventTimes, TimelineRecord
from tempo_attn.lab.timeline.rows import EventRows, Folds
from tempo_attn.lab.timeline.state_files import StateFiles
from tempo_attn.lab.timeline.table import baseline_rows, site_rows
from tempo_attn.lab.timeline.temporal_ids import Bins, class_centred, describe


@dataclass(frozen=True, kw_only=True)
class TimelineSettings:
    """What a run's manifest says of it.

    Attributes:
        sources: Whose states the files hold.
        probes: Which probes.
        folds: Folds of classes, and of clips.
        bin_seconds: Length of a bin of temporal IDs.
        relative: Whether bins are shares of the clip.
    """

    sources: Sequence[str]
    probes: Sequence[str]
    folds: int
    bin_seconds: float
    relative: bool


@dataclass(frozen=True, kw_only=True)
class TimelineReport(Report):
    """What was written of a timeline.

    Attributes:
        rows: The table.
    """

    rows: Sequence[Mapping[str, Any]]


def write(run: Run) -> TimelineReport:
    """Write `timeline.csv`, `paths.csv`, `directions.safetensors`, the summary and the figures.

    The states are read one layer at a time.

    Raises:
        RunFolderError: The run has no events, or files of states are missing or changed.
        ConfigError: There are fewer classes or clips than folds.
        MissingExtraError: scikit-learn is not installed.
    """
    require_sklearn()
    records = [_record(record) for record in run.records]
    if not any(record.events for record in records):
        raise RunFolderError(
            "there is nothing to write: the run has no events whose times are known"
        )
    own, seed = run.manifest.settings.own(TimelineSettings), run.manifest.settings.seed
    rows, files = EventRows.of(records), StateFiles(run.folder, records)
    folds = Folds.draw(rows.labels, rows.clusters, own.folds, seed)
    bins = Bins.make(rows, own.bin_seconds, own.relative)
    halves = cluster_folds(rows.clusters, 2, seed)
    table = baseline_rows(rows, folds, seed)
    paths: list[dict[str, Any]] = []
    abouts: list[dict[str, Any]] = []
    ids, norms = {}, {}
    for site in range(files.n_sites):
        layer = site - 1
        states = {name: files.site(at, site) for at, name in enumerate(own.sources)}
        table += site_rows(layer, states, rows, folds, own.probes, seed)
        centred = class_centred(states["states"], rows.labels)
        of_layer, about, found = describe(layer, centred, bins, halves, seed)
        paths += of_layer
        abouts.append(about)
        if layer >= 0:
            ids[layer] = found
            norms[layer] = float(np.linalg.norm(states["states"].astype(float), axis=1).mean())
    directions = write_directions(
        run.folder / NAME,
        ids,
        norms,
        {
            "schema": "1",
            "bin_seconds": f"{own.bin_seconds:g}",
            "times": "midpoint",
            "relative": "true" if own.relative else "false",
            "empty_bins": ",".join(str(k) for k in np.flatnonzero(bins.counts == 0)),
            "model": run.manifest.fingerprints.model.weights,
        },
    )
    summary = {
        **run.about,
        "n": len(records),
        "n_with_events": sum(bool(record.events) for record in records),
        "n_clusters": len({record.cluster for record in records}),
        "n_events": len(rows.labels),
        "n_classes": len(np.unique(rows.labels)),
        "n_pairs": len(rows.pairs),
        "folds": own.folds,
        "one_length_of_clips": bool(np.ptp(rows.seconds) < 1e-6),
        "norms": {str(layer): table_number(norm) for layer, norm in norms.items()},
        "temporal_ids": abouts,
    }
    written = [
        *write_table(run.folder / "timeline", table),
        *write_table(run.folder / "paths", paths),
        write_json(run.folder / "summary.json", summary),
        directions,
        *scores_by_layer(table, run.folder / "timeline"),
        *paths_by_layer(paths, abouts, run.folder / "paths"),
    ]
    return TimelineReport(rows=table, summary=summary, files=written)


def _record(data: Mapping[str, Any]) -> TimelineRecord:
    """Return a record, with its events as such: JSON has them as objects."""
    found = TimelineRecord.from_dict(data)
    events = [EventTimes(**event) for event in data["events"]]
    return TimelineRecord(**{**data, "events": events}) if events else found
