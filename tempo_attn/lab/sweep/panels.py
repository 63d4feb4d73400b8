"""Which panel and which name an effect has in a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tempo_attn.errors import ConfigError
from tempo_attn.figures import Panel
from tempo_attn.lab.figures.titles import Column, in_order, span, title
from tempo_attn.lab.sweep.effects import Effect
from tempo_attn.lab.sweep.grid import Variant


def single_layer(effects: Sequence[Effect], what: str) -> list[Effect]:
    """Return the effects of edits of a single layer.

    Args:
        effects: All effects.
        what: What needs them, for the error.

    Raises:
        ConfigError: There are none.
    """
    found = [effect for effect in effects if len(effect.variant.layers) == 1]
    if not found:
        raise ConfigError(
            f"{what} needs edits of a single layer; none of the {len(effects)} effects is one: "
            'sweep with layers="each"'
        )
    return found


def by_panel(effects: Sequence[Effect], *, by_mode: bool) -> dict[Panel, list[Effect]]:
    """Sort effects into panels, in reading order: rows (with heads) down, items across.

    Args:
        effects: The effects.
        by_mode: Whether modes are apart, too.

    Raises:
        ConfigError: An effect comes twice.
    """
    seen: set[tuple[Variant, str, str]] = set()
    columns: dict[Column, list[Effect]] = {}
    for effect in effects:
        identity = (effect.variant, effect.kind, effect.condition)
        if identity in seen:
            raise ConfigError(
                f"{effect.variant.name!r} comes twice for {effect.kind}, {effect.condition}: draw "
                "the effects of one sweep at a time"
            )
        seen.add(identity)
        columns.setdefault(identity[1:], []).append(effect)
    panels: dict[Panel, list[Effect]] = {}
    for label in dict.fromkeys(_label(effect.variant, by_mode) for effect in effects):
        for column in in_order(columns):
            found = columns[column]
            sizes = [
                span([effect.n for effect in found]),
                f"{span([effect.n_clusters for effect in found])} clusters",
            ]
            of_panel = [e for e in found if _label(e.variant, by_mode) == label]
            if of_panel:
                panels[label, title(column, sizes)] = of_panel
    return panels


def _label(variant: Variant, by_mode: bool) -> str:
    parts = ["query rows: " + "+".join(variant.rows)]
    if variant.heads is not None:
        parts.append(f"heads {_ranges(variant.heads)}")
    if by_mode:
        parts.append(variant.mode)
    if variant.source is not None:
        parts.append(f"from layer {variant.source}")
    return ", ".join(parts)


def _ranges(numbers: Iterable[int]) -> str:
    """Return ascending numbers in words: `0-7, 12`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def edit_name(effect: Effect, by_mode: bool) -> str:
    """Return mode and strength; with `by_mode`, where the panel tells the mode, without it."""
    variant = effect.variant
    if variant.strength is None:
        return variant.mode
    return f"{'strength' if by_mode else variant.mode} {variant.strength:g}"


def edit_names(effects: Iterable[Effect], by_mode: bool) -> list[str]:
    """Return the names of all edits, by mode (unless panels are) and ascending strength."""
    found = list(effects)
    modes = list(dict.fromkeys(effect.variant.mode for effect in found))

    def order(effect: Effect) -> tuple[int, float]:
        strength = effect.variant.strength
        mode = 0 if by_mode else modes.index(effect.variant.mode)
        return mode, math.inf if strength is None else strength

    return list(dict.fromkeys(edit_name(effect, by_mode) for effect in sorted(found, key=order)))
