"""The page put together: the template, with data and scripts inside, and nothing from elsewhere.

Text of others (labels, file names, model output, captions) is escaped by the template, or stands
in JSON whose `<`, `>` and `&` are escapes, and the browser's script writes it as text only. A
policy in the page's head (Content-Security-Policy) lets only the scripts of this project and of
plotly run, named by their hashes, and nothing be loaded from the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tempo_tasks.errors import ReportExtraMissingError
from tempo_tasks.html_pages import between_tags, script_hashes, templates
from tempo_tasks.stats.columns import SECTIONS

_HERE = Path(__file__).parent
_SCRIPTS = ("charts.js", "timeline.js", "browser.js")


def plotly_script() -> str:
    """Return the script that comes with plotly.

    Raises:
        ReportExtraMissingError: plotly is not installed.
    """
    from importlib.resources import files

    try:
        script = files("plotly").joinpath("package_data", "plotly.min.js")
        return script.read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise ReportExtraMissingError(
            "plotly is not installed, whose script draws the page's plots; install it with "
            "pip install 'tempo-lalm[report]'"
        ) from None


def json_for_script(data: Any) -> str:
    """Return JSON that can stand in a script tag: nothing in it ends the tag or opens a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII: other letters escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def tables_of(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of `tempo stats` that have rows, their cells as text."""
    return [
        {
            "name": section.name,
            "title": section.title,
            "reading": section.reading,
            "columns": [(column.header, column.text) for column in section.columns],
            "rows": [
                [column.cell(row) for column in section.columns] for row in statistics[section.name]
            ],
        }
        for section in SECTIONS
        if statistics[section.name]
    ]


def render(
    *,
    title: str,
    data: Mapping[str, Any],
    embedded: Mapping[int, str],
    **shown: Any,
) -> bytes:
    """Return the page.

    Args:
        title: What stands over it.
        data: What the page's scripts read.
        embedded: Base64 of the clips' sound, by number.
        **shown: What else the template shows; see `page.html.j2`.

    Raises:
        ReportExtraMissingError: plotly is not installed.
    """
    from markupsafe import Markup

    scripts = [plotly_script(), *((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)]
    scripts = [between_tags(script) for script in scripts]
    text = (
        templates(_HERE)
        .get_template("page.html.j2")
        .render(
            title=title,
            policy=_policy(scripts),
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
            scripts=[Markup(script) for script in scripts],
            data=Markup(json_for_script(data)),
            embedded=sorted(embedded.items()),
            **shown,
        )
    )
    # Half a character, as JSON can hold it, becomes a question mark.
    return text.encode("utf-8", "replace")


def _policy(scripts: Sequence[str]) -> str:
    return (
        f"default-src 'none'; script-src {script_hashes(scripts)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src 'self' blob: file:; font-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
