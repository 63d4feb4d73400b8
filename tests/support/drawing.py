"""What a figure shows, as numbers and words to compare with the data that it was given."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tempo_attn import figures as sheets


def figures_of(monkeypatch: Any, function: Callable[..., Any], *args: Any, **fields: Any) -> list:
    """Draw, and return the figures instead of writing them."""
    figures: list[Figure] = []
    with monkeypatch.context() as patch:
        patch.setattr(sheets, "save", lambda figure, path: figures.append(figure) or [])
        function(*args, Path("not-written"), **fields)
    return figures


def panels(figure: Figure) -> list:
    """The axes with something on them, without the colour bar."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def places(figure: Figure) -> list[tuple[str, str]]:
    """Label and title of every panel, line breaks taken out."""
    return [
        (" ".join(axes.get_ylabel().split()), " ".join(axes.get_title().split()))
        for axes in panels(figure)
    ]


def lines(axes: Any) -> dict[str, np.ndarray]:
    """(points, 2) of every named line."""
    named = {line.get_label(): line for line in axes.lines}
    return {k: v.get_xydata() for k, v in named.items() if not k.startswith("_")}


def bars(axes: Any) -> list[np.ndarray]:
    """(2, 2) of every bar of an interval."""
    return [
        segment
        for collection in axes.collections
        if hasattr(collection, "get_segments")
        for segment in collection.get_segments()
    ]


def bands(axes: Any) -> list[tuple[float, float]]:
    """Lowest and highest point of every band."""
    areas = [c for c in axes.collections if not hasattr(c, "get_segments")]
    heights = [area.get_paths()[0].vertices[:, 1] for area in areas]
    return [(float(y.min()), float(y.max())) for y in heights]


def cells(axes: Any) -> dict[tuple[int, int], str]:
    """The text of every cell by (line, column)."""
    return {
        (int(y), int(x)): text.get_text() for text in axes.texts for x, y in [text.get_position()]
    }


def colours(axes: Any, shape: tuple[int, int]) -> np.ndarray:
    """The numbers that the cells' colours stand for; NaN where there is none."""
    return np.ma.filled(axes.collections[0].get_array(), np.nan).reshape(shape)


def ticks(axes: Any, which: str) -> list[str]:
    """The words at the ticks of the x or the y axis."""
    return [tick.get_text() for tick in getattr(axes, f"get_{which}ticklabels")()]


def legend(figure: Figure) -> list[str]:
    """The names in a figure's legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """All that is drawn lies within the figure."""
    with sheets.style():
        figure.draw_without_rendering()
        inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert min(inside.x0, inside.y0) >= -0.01
    assert inside.x1 <= width + 0.01
    assert inside.y1 <= height + 0.01
