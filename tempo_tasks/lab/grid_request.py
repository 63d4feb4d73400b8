"""A grid of edits as options ask for it: all that can be said before the model's size is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tempo_attn.lab.sweep.grid import Grid, Variant
from tempo_attn.modes import Mode, Null
from tempo_tasks.lab import options
from tempo_tasks.lab.check_settings import Size
from tempo_tasks.lab.options import HeadGroups, LayerSets


@dataclass(frozen=True, kw_only=True)
class GridRequest:
    """A grid of edits; only which layers and heads there are waits for the model.

    Attributes:
        strengths: Strengths of each mode; none for a mode without strengths.
        layers: "each" layer by itself, "all" at once, or sets of layers.
        rows: Sets of query rows.
        heads: "each" query head by itself, "all" at once, or groups of heads.
        nulls: Random perturbations to run beside every edit.
        sources: For mode "enrich": the layers whose states are mixed in.
    """

    strengths: Mapping[Mode, Sequence[float]]
    layers: LayerSets = "each"
    rows: Sequence[Sequence[str]] = (("last",), ("keyword",), ("option",))
    heads: HeadGroups = "all"
    nulls: Sequence[Null] = ("sign",)
    sources: Sequence[int] = ()

    def variants(self, size: Size) -> list[Variant]:
        """Return the variants for a decoder of some size.

        Raises:
            OptionError: The grid is empty, or has a value that the decoder or the edit refuses.
        """
        heads: Sequence[Sequence[int] | None]
        if self.heads == "all":
            heads = [None]
        elif self.heads == "each":
            heads = [(head,) for head in range(size.n_heads)]
        else:
            heads = list(self.heads)
        with options.wrong_options():
            grid = Grid(
                strengths=self.strengths,
                layers=self.layers,
                rows=self.rows,
                heads=heads,
                nulls=self.nulls,
                sources=self.sources,
            )
            return grid.variants(size.n_layers, size.n_heads)


def parse_grid(
    edits: Sequence[str],
    layers: str = "each",
    rows: Sequence[str] = ("last,keyword,option",),
    heads: str = "all",
    *,
    nulls: str = "sign",
    source: str = "",
) -> GridRequest:
    """Read a grid from the texts of --edit, --layers, --rows, --heads, --nulls and --source.

    Raises:
        OptionError: One of them means nothing.
    """
    return GridRequest(
        strengths=options.parse_edits(edits),
        layers=options.parse_layers(layers),
        rows=options.parse_rows(rows),
        heads=options.parse_heads(heads),
        nulls=options.parse_nulls(nulls),
        sources=options.parse_some_layers("--source", source),
    )
