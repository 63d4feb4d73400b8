"""How figures are laid out, styled and saved: sheets of panels, the same bytes every time.

A panel is named by two labels: that of its line on the sheet and its title, the column's.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tempo_attn.files.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")
Panel = tuple[str, str]
DPI = 150
WIDTH, HEIGHT = 14.0, 10.0
"""The largest sheet, inches; further panels go to further sheets."""
FORMATS = ("png", "svg", "pdf")
"""What figures can be written as; each is named by its suffix."""
_NARROWEST, _LOWEST = 4.8, 3.4

_formats: ContextVar[tuple[str, ...]] = ContextVar("formats", default=("png", "svg"))
# Without these the files would say when they were made; a PNG has no date to leave out.
_NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "text.parse_math": False,  # names are names, also with a dollar sign in them
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 9,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Without a salt, ids in the file are drawn at random.
    "svg.hashsalt": "tempo",
    # Letters as outlines: the same picture where the font is not installed.
    "svg.fonttype": "path",
    # TrueType, as journals ask for: by default letters are drawings of another kind (Type 3).
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's defaults and the figures' style, whatever is set outside; nothing stays."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


@contextmanager
def saving_as(formats: Sequence[str]) -> Iterator[None]:
    """Have every figure that is saved inside written in these formats, in place of PNG and SVG.

    Args:
        formats: Some of `FORMATS`.

    Raises:
        ValueError: There is none, or an unknown one.
    """
    if not formats or not set(formats) <= set(FORMATS):
        raise ValueError(f"formats {list(formats)}: expected some of {list(FORMATS)}")
    token = _formats.set(tuple(dict.fromkeys(formats)))
    try:
        yield
    finally:
        _formats.reset(token)


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG (or see `saving_as`), with the same bytes every time.

    Args:
        figure: The figure.
        path: Where to, without a suffix; missing folders are made.

    Returns:
        The files, one a format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    with style():  # ticks are made late, when the figure is drawn
        FigureCanvasAgg(figure)
        for kind in _formats.get():
            file = path.with_name(f"{path.name}.{kind}")
            with replacing(file) as partial:
                figure.savefig(partial, format=kind, dpi=DPI, metadata=_NO_DATE.get(kind))
            written.append(file)
    return written


def save_all(figures: Sequence[Figure], path: Path) -> list[Path]:
    """Write figures as `save` does; several get numbers: `layers-1`, `layers-2`."""
    if len(figures) == 1:
        return save(figures[0], path)
    digits = len(str(len(figures)))
    names = [f"{path.name}-{number:0{digits}}" for number in range(1, len(figures) + 1)]
    return [
        file
        for name, figure in zip(names, figures, strict=True)
        for file in save(figure, path.with_name(name))
    ]


def sheets(
    panels: Iterable[Panel], size: tuple[float, float], *, margin: float = 0.6, sharex: bool = True
) -> Iterator[tuple[Figure, dict[Panel, Axes]]]:
    """Lay panels out on as few figures as hold them, all with the same y axis.

    Panels with the same label stand side by side, those with the same title below each other.
    Where there is only one label, its panels fill several lines.

    Args:
        panels: Label and title of each, in order.
        size: Of a panel, inches.
        margin: Room beside the panels, inches.
        sharex: Whether those of a figure have the same x axis, too.

    Yields:
        A figure, and the axes of the panels on it.
    """
    from matplotlib.figure import Figure

    for lines in _pages(list(panels), max(1, int(WIDTH / size[0])), max(1, int(HEIGHT / size[1]))):
        wide = max(map(len, lines))
        figure = Figure(
            figsize=(
                max(_NARROWEST, wide * size[0] + margin),
                max(_LOWEST, len(lines) * size[1] + 0.6),
            ),
            dpi=DPI,
            layout="constrained",
        )
        grid = figure.subplots(len(lines), wide, sharex=sharex, sharey=True, squeeze=False)
        lines = [[*line, *[None] * (wide - len(line))] for line in lines]
        places: dict[Panel, Axes] = {}
        for at, line in enumerate(lines):
            for column, panel in enumerate(line):
                axes: Axes = grid[at, column]
                if panel is None:
                    axes.set_axis_off()
                    continue
                places[panel] = axes
                # About 14 letters of a label take an inch.
                above = lines[at - 1][column] if at else None
                below = lines[at + 1][column] if at + 1 < len(lines) else None
                if above is None or above[1] != panel[1]:
                    axes.set_title(textwrap.fill(panel[1], int(14 * size[0])))
                if column == 0 or line[column - 1] is None:
                    axes.set_ylabel(textwrap.fill(panel[0], int(14 * size[1])))
                    axes.tick_params(labelleft=True)
                axes.tick_params(labelbottom=below is None or not sharex)
        yield figure, places


def _pages(panels: Sequence[Panel], wide: int, high: int) -> Iterator[list[list[Panel | None]]]:
    """Yield each sheet's lines of panels; None where the grid has no panel."""
    labels = list(dict.fromkeys(label for label, _ in panels))
    titles = list(dict.fromkeys(title for _, title in panels))
    if len(labels) == 1:
        row: list[Panel | None] = [*panels]
        yield from chunks(chunks(row, wide), high)
        return
    for some in chunks(titles, wide):
        for part in chunks(labels, high):
            page = [[(a, b) if (a, b) in panels else None for b in some] for a in part]
            if any(panel for line in page for panel in line):
                yield page


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """Cut a sequence into as few parts of at most `size` as possible, all about as long."""
    count = math.ceil(len(items) / size)
    edges = [at * len(items) // count for at in range(count + 1)]
    return [list(items[a:b]) for a, b in pairwise(edges)]
