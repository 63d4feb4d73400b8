"""An audit as files: JSON with everything, a CSV with one row a strategy, and one page."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tempo_attn.errors import OptionError
from tempo_attn.files.atomic import replacing
from tempo_tasks.audit.figures import ceiling_figure, in_clip_figure, svg
from tempo_tasks.audit.result_table import (
    TITLES,
    bins_in_order,
    by_family,
    doubles_lines,
    headings,
    percent,
    period,
    seconds,
)
from tempo_tasks.audit.verdict import beats_chance
from tempo_tasks.html_pages import templates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = Mapping[str, Any]
_COLUMNS = (
    "data",
    "kind",
    "family",
    "strategy",
    "accuracy",
    "low",
    "high",
    "error",
    "p",
    "p_holm",
    "n",
    "n_clusters",
    "coverage",
    "accuracy_decided",
    "fair",
    "meaning",
)


def write(result: Result, folder: Path) -> list[Path]:
    """Write `audit.json`, `audit.csv` and `audit.html`; equal audits give equal bytes.

    Raises:
        OptionError: The folder cannot be written to.
    """
    return write_texts(
        folder,
        {"audit.json": to_json(result), "audit.csv": to_csv(result), "audit.html": page(result)},
    )


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write an audit's files, each whole or not at all.

    Args:
        folder: Where to; it is made where it is missing.
        texts: By name.

    Raises:
        OptionError: The folder cannot be written to.
    """
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8", newline="")
            files.append(folder / name)
    except OSError as error:
        raise OptionError(f"cannot write to {folder}: {error}; name another --out") from error
    return files


def to_json(result: Result) -> str:
    """Return an audit as JSON."""
    return json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_csv(result: Result) -> str:
    """Return one row for each part's strategy, and for each point of its ceiling."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for part in result["parts"]:
        head = {"data": part["data"], "kind": part["kind"]}
        for row in part["shortcuts"]:
            writer.writerow({**row, **head})
        for point in part["ceiling"]["points"] if part["ceiling"] else ():
            writer.writerow(
                {
                    **head,
                    "family": "ceiling",
                    "strategy": f"perfect detector, sigma {point['sigma']:g} s",
                    "accuracy": point["accuracy"],
                    "n": part["ceiling"]["n"],
                    "meaning": "Hears every event, each boundary with this timing error.",
                }
            )
    return text.getvalue()


def page(result: Result) -> str:
    """Return the page, with everything it needs inside."""
    environment = templates(Path(__file__).parent)
    environment.filters.update(
        percent=percent, seconds=seconds, period=period, p=_p, meaning=_meaning
    )
    environment.tests["above"] = beats_chance
    parts, names = result["parts"], headings(result)
    ceilings = [part["ceiling"] for part in parts if part["ceiling"]]
    return environment.get_template("page.html.j2").render(
        result=result,
        columns=list(zip(names, parts, strict=True)),
        families=by_family(parts),
        strata=_strata(parts),
        ceiling=ceilings[0] if ceilings else None,
        largest_error=max(
            (point["error"] for ceiling in ceilings for point in ceiling["points"]), default=0.0
        ),
        figures={
            "ceiling": _embedded(ceiling_figure(parts, names)),
            "in_clip": _embedded(in_clip_figure(parts, names)),
        },
        doubles=doubles_lines(result),
    )


def _strata(parts: Sequence[Result]) -> dict[str, dict[str, list[Result | None]]]:
    """Return by title and bin one cell a part."""
    found = {}
    for stratum, title in TITLES.items():
        per_part = [part["strata"].get(stratum, {}) for part in parts]
        bins = bins_in_order(per_part)
        if bins:
            found[title] = {name: [part.get(name) for part in per_part] for name in bins}
    return found


def _embedded(figure: Figure | None) -> str | None:
    if figure is None:
        return None
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure)).decode("ascii")


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _meaning(cells: Sequence[Result | None]) -> str:
    return next(str(cell["meaning"]) for cell in cells if cell)
