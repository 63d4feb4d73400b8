"""Data to draw: what each figure of the laboratory takes, with a few numbers that can be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tempo_attn.lab.lens.figures import information_by_layer
from tempo_attn.lab.mass.figures import mass_by_layer
from tempo_attn.lab.presets.figures import Mark, forest
from tempo_attn.lab.sweep.effects import Effect, Null
from tempo_attn.lab.sweep.figures import (
    heat_map,
    layer_curves,
    mass_against_change,
)
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.lab.trace.figures import rate_table, rates_by_layer
from tempo_attn.modes import USUAL_FACTORS


def effect(layers=(0,), rows=("last",), mode="scale", strength=0.5, heads=None, **fields) -> Effect:
    """An effect of -2 points, with a random null of +1 point; `fields` replace its fields."""
    null = Null(
        change=0.01,
        interval=(-0.01, 0.03),
        fix_rate=None,
        break_rate=None,
        excess=-0.03,
        excess_interval=(-0.05, -0.01),
    )
    values = {
        "variant": Variant(layers=layers, rows=rows, mode=mode, strength=strength, heads=heads),
        "kind": "eo",
        "condition": "aqa",
        "n": 200,
        "n_clusters": 180,
        "control_accuracy": 0.5,
        "accuracy": 0.48,
        "change": -0.02,
        "interval": (-0.06, 0.02),
        "p": 0.3,
        "p_holm": 1.0,
        "fixed": 2,
        "broken": 6,
        "fix_rate": 0.02,
        "break_rate": 0.06,
        "switched": 4,
        "reguess": 0.25,
        "reguess_others": 0.33,
        "p_switched": 0.6,
        "mass_before": 0.3,
        "mass_after": 0.2,
        "entropy_before": 3.0,
        "entropy_after": 3.0,
        "margin_change": -0.1,
        "margin_interval": (-0.2, 0.0),
        "nulls": {"sign": null},
    }
    return Effect(**(values | fields))


def sweep(n_layers, *, kinds=("eo",), conditions=("aqa",), rows=(("last",),), **fields):
    """Effects of every layer and strength; the change tells layer and strength."""
    return [
        effect(
            (layer,),
            row_set,
            strength=strength,
            kind=kind,
            condition=condition,
            change=(layer - 2) / 100 + strength / 1000,
            **fields,
        )
        for condition in conditions
        for kind in kinds
        for row_set in rows
        for layer in range(n_layers)
        for strength in USUAL_FACTORS
    ]


def mass(layer=0, group="all", rows="last", **fields) -> dict[str, Any]:
    """A table row of a mass of 30 % (20 to 40)."""
    place = {"kind": "eo", "condition": "aqa", "group": group, "rows": rows, "layer": layer}
    return place | {"mass": 0.3, "low": 0.2, "high": 0.4, "n": 200} | fields


def rate(layer=0, group="last", **fields) -> dict[str, Any]:
    """A table row of a rate of 40 % (30 to 50) with a null of -5 to 10 %."""
    place = {"kind": "eo", "condition": "aqa", "direction": "recover", "component": "residual"}
    ends = ("twin", "twin_null", "attributed")
    unknown = {f"{name}{end}": None for name in ends for end in ("", "_low", "_high")}
    values = {
        "n": 20,
        "rate": 0.4,
        "low": 0.3,
        "high": 0.5,
        "null": 0.02,
        "null_low": -0.05,
        "null_high": 0.1,
    }
    return place | {"layer": layer, "group": group} | values | unknown | fields


def rates(**fields) -> list[dict[str, Any]]:
    """Rates that say where they are: 10, 20, 30 % by layer, and 1 % more in the second group."""
    return [
        rate(layer, group, rate=(layer + 2) / 10 + at / 100, **fields)
        for at, group in enumerate(("option", "last"))
        for layer in (-1, 0, 1)
    ]


def score(layer=0, group="all", rows="last", candidates="letters", **fields) -> dict[str, Any]:
    """A table row of an information score of 40 % (30 to 60)."""
    place = {"kind": "eo", "condition": "aqa", "candidates": candidates, "rows": rows}
    values = {"score": 0.4, "low": 0.3, "high": 0.6, "n": 200, "n_candidates": 4}
    return place | {"group": group, "layer": layer} | values | fields


def scores(**fields) -> list[dict[str, Any]]:
    """Scores of all, right and wrong items, 10 % more a layer."""
    sizes = {"all": 100, "right": 80, "wrong": 20}
    return [
        score(layer, group, rows, candidates, score=first + layer / 10, n=sizes[group], **fields)
        for candidates in ("letters", "labels")
        for rows in ("last", "option")
        for group, first in (("all", 0.4), ("right", 0.5), ("wrong", 0.1))
        for layer in range(3)
    ]


def mark(label="mata", change=0.02, interval=(-0.01, 0.05), null=0.0, **fields) -> Mark:
    """A line of a forest plot: +2 points, with a null of no change."""
    ends = None if null is None else (null - 0.01, null + 0.01)
    return Mark(
        label=label, change=change, interval=interval, null=null, null_interval=ends, **fields
    )


MARKS = [
    mark(),
    mark("pai", -0.03, (-0.06, -0.01)),
    mark("knockout", 0.01, (0.0, 0.02), null=-0.6),
    mark("scaling 2: best of 6 layers", 0.04, (0.0, 0.07), null=None, hollow=True),
]

# Every figure with something to draw: name -> (function, its data).
FIGURES: dict[str, tuple[Callable[..., list[Path]], Any]] = {
    "layers": (layer_curves, sweep(3)),
    "heat": (heat_map, sweep(3, p_holm=0.01)),
    "mass-by-layer": (mass_by_layer, [mass(0), mass(1)]),
    "mass": (mass_against_change, [effect((layer,)) for layer in (0, 1)]),
    "trace": (rate_table, rates()),
    "rates": (rates_by_layer, rates()),
    "lens": (information_by_layer, scores()),
    "presets": (forest, {"eo, aqa (n = 200)": MARKS}),
}


def draw(name: str, folder: Path) -> list[Path]:
    """Draw one of the figures into a folder."""
    function, data = FIGURES[name]
    return function(data, folder / name)
