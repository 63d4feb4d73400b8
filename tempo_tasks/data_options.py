"""Options that say where data are, alike in the commands that take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ReleasedData = Annotated[
    str | None,
    typer.Option(
        help="The released benchmark, or other data in its layout: folder, file or id on the Hub; "
        "default: TEMPO_DATA, else the released data. Rendered scenes need none."
    ),
]
Intervals = Annotated[
    list[Path] | None,
    typer.Option(help="Interval CSV, several times; default: intervals.csv in the folder."),
]
Captions = Annotated[
    Path | None, typer.Option(help="CSV filename,text; default: that in the folder.")
]
