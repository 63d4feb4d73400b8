"""What laboratory runs say of each item, for the item browser: edits, attention, windows."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tempo_attn.errors import TempoError
from tempo_attn.files.strict_json import parse_json
from tempo_attn.lab.run_folder.folder import Run
from tempo_attn.lab.sweep.records import SweepResults
from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.report.data_of_runs import Asked, DataOfRuns, asked_by_laboratory
from tempo_tasks.report.item_browser import BrowserItem, ItemBrowser
from tempo_tasks.report.raw_answers import softmax
from tempo_tasks.stats.runs import Run as HarnessRun

MOST_EDITS = 200
SWEEPS = ("sweep", "presets", "compare")
LISTEN = "listen"
_STATES = {(True, True): "+", (False, False): "-", (False, True): "f", (True, False): "b"}
"""Right before and after, wrong before and after, fixed, broken."""


def tells_of_items(run: Run) -> bool:
    """Whether a run found out what the item browser shows."""
    return run.manifest.command in (*SWEEPS, LISTEN) or any(
        "over_time" in one for one in run.records
    )


def add_edits(
    browser: ItemBrowser,
    laboratory: Sequence[tuple[str, Run]],
    data: DataOfRuns,
    runs: Sequence[HarnessRun],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Add what the edits of laboratory runs did to the items of the browser.

    An item gets, by number of the run and condition: `plain`, the probabilities of its options
    without an edit; `choices`, a character an edit, the place that was chosen or "x" for a tie;
    `states`, likewise what the edit did, as against the same rows recomputed without a change:
    "f" fixed, "b" broken, "+" right and "-" wrong with and without; and `right`, the probability
    of the right option in percent, under each edit.

    Returns:
        What the page's script reads of each run: its name and the names of its edits; and notes.
    """
    found: list[dict[str, Any]] = []
    notes: list[str] = []
    for name, run in laboratory:
        if run.manifest.command not in SWEEPS or not run.records:
            continue
        try:
            results = SweepResults.of_run(run)
        except TempoError as error:
            notes.append(f"{name}: its edits are not shown by item: {error}")
            continue
        edits, left_out = _edits(results)
        if left_out:
            notes.append(
                f"{name}: the {len(edits)} edits with the largest changes are shown by item; "
                f"{left_out} more are in its tables"
            )
        number = len(found)
        found.append({"name": name, "edits": [results.variants[at].name for at in edits]})
        missing = 0
        for place, record in enumerate(results.records):
            item = _item(browser, vars(record), run, data, runs)
            if item is None:
                missing += 1
                continue
            _add(item[0], item[1], number, results, place, edits)
        if missing:
            notes.append(
                f"{name}: {missing} of its items are not in the browser, as their questions are "
                "not known: neither the data nor a harness run on the same data are there"
            )
    return found, notes


def _edits(results: SweepResults) -> tuple[list[int], int]:
    """Return the numbers of the edits to show, in the grid's order, and how many are left out."""
    edits = [at for at, variant in enumerate(results.variants) if variant.role == "edit"]
    change = {
        at: abs(float(results.right[:, at].mean() - _before(results, at).mean())) for at in edits
    }
    kept = sorted(edits, key=lambda at: -change[at])[:MOST_EDITS]
    return sorted(kept), len(edits) - len(kept)


def _before(results: SweepResults, at: int) -> Any:
    """Return whether items are right under an edit's control, or without any edit."""
    control = results.number.get(results.variants[at].control)
    return results.plain_right if control is None else results.right[:, control]


def add_attention(
    browser: ItemBrowser,
    laboratory: Sequence[tuple[str, Run]],
    data: DataOfRuns,
    runs: Sequence[HarnessRun],
) -> None:
    """Add the attention over a clip's time, where runs of `tempo mass` recorded it.

    An item gets one entry a run, set of query rows and layer: `name`, `label` without the
    run, `highest`, the largest share of attention on one audio position, and `levels`, base64 of
    one byte a position, 255 being that.
    """
    for name, run in laboratory:
        for record in run.records:
            recorded = record.get("over_time")
            item = _item(browser, record, run, data, runs) if recorded else None
            if item is None or not isinstance(recorded, Mapping):
                continue
            for rows, layers in recorded.items():
                for layer, shares in layers.items():
                    if shares:
                        label = f"layer {layer}, {rows}"
                        what = f"{name}, {record['condition']}: {label}"
                        item[0].attention.append(_levels(what, label, shares))


def add_windows(
    browser: ItemBrowser,
    laboratory: Sequence[tuple[str, Run]],
    data: DataOfRuns,
    runs: Sequence[HarnessRun],
) -> None:
    """Add where in the clip's time attention looks most, from runs of `tempo listen`.

    Of the heads and layers that its `best.json` names for the right event; a run without that file
    (an unfinished one, or a shard) shows none. An item gets, for each: `name`, `label` without the
    run, `start` and `end` of the window in seconds.
    """
    for name, run in laboratory:
        if run.manifest.command != LISTEN:
            continue
        chosen = best_places(run.folder / "best.json")
        for record in run.records:
            mine = [
                best
                for best in chosen
                if (best["kind"], best["condition"]) == (record["kind"], record["condition"])
            ]
            item = _item(browser, record, run, data, runs) if mine else None
            if item is None:
                continue
            for best in mine:
                for look in record["looks"]:
                    found = _window(record, look, best)
                    if found is not None:
                        label = f"{best['rows']}, layer {best['layer']}"
                        if best["best"] == "head":
                            label += f" head {best['head']}"
                        what = f"{name}, {record['condition']}: {label}"
                        item[0].windows.append({"name": what, "label": label, **found})


def best_places(path: Path) -> list[Mapping[str, Any]]:
    """Return the heads and layers that a run found best at the right event; none without a file."""
    try:
        rows = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [
        row
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
        and (row.get("target"), row.get("reading")) == ("right", "attention")
        and isinstance(row.get("layer"), int)
        and isinstance(row.get("head"), (int, str))
        and all(isinstance(row.get(at), str) for at in ("kind", "condition", "rows", "best"))
    ]


def _window(
    record: Mapping[str, Any], look: Mapping[str, Any], best: Mapping[str, Any]
) -> dict[str, float] | None:
    """Return a look's window at one head, in seconds; None where the look is of something else."""
    of_best = best["rows"], best["reading"], record["answer"]
    if (look["rows"], look["reading"], look["option"]) != of_best:
        return None
    layers = look["starts"]
    heads = layers[best["layer"]] if 0 <= best["layer"] < len(layers) else None
    at = -1 if best["best"] == "layer" else best["head"]
    if not heads or not isinstance(at, int) or at >= len(heads) or heads[at] < 0:
        return None
    rate = record["rate"]
    return {
        "start": round(heads[at] / rate, 3),
        "end": round((heads[at] + look["width"]) / rate, 3),
    }


def _levels(name: str, label: str, shares: Sequence[float]) -> dict[str, Any]:
    highest = max(shares)
    levels = np.round(255 * np.array(shares) / max(highest, 1e-12)).astype(np.uint8)
    text = base64.b64encode(levels.tobytes()).decode("ascii")
    return {"name": name, "label": label, "highest": highest, "levels": text}


def _item(
    browser: ItemBrowser,
    record: Mapping[str, Any],
    run: Run,
    data: DataOfRuns,
    runs: Sequence[HarnessRun],
) -> tuple[BrowserItem, list[int]] | None:
    """Return a record's item, and where the candidates of the record are among its options."""
    name, rotation, kind, condition = record["id"], 0, record["kind"], record["condition"]
    head, _, tail = name.rpartition("/rotation-")
    if head and tail.isdigit():
        name, rotation = head, int(tail)
    name = name.removesuffix(f"/{condition}")
    for asked in asked_by_laboratory(run):
        if asked.name.kind != kind or asked.name.condition != condition:
            continue
        source = asked.name.source
        question = data.questions.get((source, kind), {}).get(name)
        if question is not None:
            known = data.clips.get((source, question.clip_id, False))
            item = browser.item_of_question(source, question, known.clip if known else None)
            options: tuple[str, ...] = question.options
        else:
            named = browser.named(source, name) if _same_data(asked, runs) else None
            if named is None:
                continue
            item, options = named, named.options
        rotated = options[rotation:] + options[:rotation]
        return item, [rotated.index(option) for option in item.options]
    return None


def _same_data(asked: Asked, runs: Sequence[HarnessRun]) -> bool:
    """Whether a harness run asked the questions that a laboratory run did."""
    return asked.fingerprint is not None and any(
        task.data == asked.fingerprint
        and (task.name.source, task.name.kind) == (asked.name.source, asked.name.kind)
        for run in runs
        for task in run.tasks
    )


def _add(
    item: BrowserItem,
    places: Sequence[int],
    number: int,
    results: SweepResults,
    at: int,
    edits: Sequence[int],
) -> None:
    record = results.records[at]
    choices, states, right = [], [], []
    for edit in edits:
        logits = results.logits[at, edit][list(places)]
        best = np.flatnonzero(logits == logits.max())
        choices.append(str(best[0]) if len(best) == 1 else "x")
        before = bool(_before(results, edit)[at])
        states.append(_STATES[before, bool(results.right[at, edit])])
        shares = softmax(logits.tolist()) or [0.0] * len(LETTERS)
        right.append(round(100 * shares[item.answer]))
    plain = np.array(record.plain)[list(places)].tolist()
    item.edits.setdefault(number, {})[record.condition] = {
        "plain": softmax(plain),
        "choices": "".join(choices),
        "states": "".join(states),
        "right": right,
    }
