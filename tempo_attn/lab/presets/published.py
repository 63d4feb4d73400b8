"""Published edits, and what each of them is on a decoder of some depth.

Modes, strengths, rows and layers are those of `tempo_attn.presets`. Layers that belong to a deeper
decoder than the one under study are mapped to the same relative depth, and every output says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from tempo_attn import presets
from tempo_attn.config import AttnScaleConfig
from tempo_attn.config_fields import integers
from tempo_attn.errors import ConfigError
from tempo_attn.lab.presets.table import Compared, layers_in_words, ranges
from tempo_attn.lab.sweep.adaptive import constituents
from tempo_attn.lab.sweep.grid import Variant
from tempo_attn.layers_and_heads import layer_numbers
from tempo_attn.modes import Null


def knockout() -> AttnScaleConfig:
    """Return attention knockout of audio: L <- -inf, last row, all layers.

    The source (Geva et al. 2023, arXiv 2304.14767) takes away windows of layers; all of them here,
    as what the last row's attention on audio is worth at most.
    """
    about = {"preset": "knockout", "source": "arXiv:2304.14767, here all layers"}
    return AttnScaleConfig(mode="knockout", layers="all", queries="last", provenance=about)


def scaling() -> list[AttnScaleConfig]:
    """Return the paper's scaling of each model that it has one for."""
    return [presets.paper(name) for name in presets.PAPER_MODELS]


def upweighting() -> list[AttnScaleConfig]:
    """Return the paper's upweighting L <- L + b, its b at the audio mass of its scaling.

    The paper's values of b are not known. Here each row and head has the b that gives audio the
    mass that scaling by the paper's alpha would, so the two differ in the shape alone.
    """
    return [
        replace(
            config,
            mode="upweight_matched",
            provenance={
                **config.provenance,
                "preset": "upweighting",
                "chosen": "b of each row and head by the audio mass of scaling by the paper's "
                "alpha, at its layer; the paper's own b are not known",
            },
        )
        for config in scaling()
    ]


PRESETS: dict[str, Callable[[], list[AttnScaleConfig]]] = {
    "mata": lambda: [presets.mata("multiply")],
    "mata_add": lambda: [presets.mata("add")],
    "pai": lambda: [presets.pai()],
    "adaptvis": lambda: [presets.adaptvis()],
    "knockout": lambda: [knockout()],
    "scaling": scaling,
    "upweighting": upweighting,
}
_EACH_LAYER = ("scaling", "upweighting")
"""Presets whose layer the source chose for each model: they are run at every single layer."""


def compared(
    name: str,
    config: AttnScaleConfig,
    n_layers: int,
    usable: Sequence[int],
    given: Sequence[int] | None = None,
    base: str | None = None,
) -> Compared:
    """Return a preset on a decoder: its edits there, and what was done to its layers.

    Args:
        name: One of `PRESETS`.
        config: Its configuration as published.
        n_layers: The decoder's layers.
        usable: Those with attention that can be edited.
        given: Layers to edit instead of the published ones.
        base: The model's name, for the configuration.

    Raises:
        ConfigError: None of its layers can be edited, or they are out of range.
    """
    layers, words = _layers(config, n_layers, given)
    edited = [layer for layer in layers if layer in usable]
    if edited != layers:
        left_out = ranges(layer for layer in layers if layer not in usable)
        words += f", without {left_out}, which have no attention to edit"
    if not edited:
        raise ConfigError(f"preset {name!r}: {words}; no layer is left, give others by --layers")
    here = replace(
        config,
        layers=edited,
        base_model_name_or_path=base,
        provenance={**config.provenance, "layers": words},
    )
    own = _variant(here, edited)
    edits = [own]
    if name in _EACH_LAYER and given is None:
        edits = [replace(own, layers=(layer,)) for layer in usable]
    label = name if name not in _EACH_LAYER else f"{name} {config.strength:g}"
    return Compared(
        preset=name,
        label=label,
        own=own,
        edits=tuple(edits),
        layers=words,
        every_step=config.phase == "all",
        config=here.to_dict(),
    )


def _layers(
    config: AttnScaleConfig, n_layers: int, given: Sequence[int] | None
) -> tuple[list[int], str]:
    """Return a preset's layers on a decoder, and in words where they come from."""
    if given is not None:
        return list(given), f"{layers_in_words(given)} of {n_layers}, by --layers"
    if isinstance(config.layers, str):
        return list(range(n_layers)), f"all {n_layers} layers, as published"
    about = config.provenance
    depths = presets.SOURCE_DEPTHS[str(about.get("model", about["preset"]))]
    (model, n_source), *_ = depths.items()
    published = sorted(config.layers)
    shown = layers_in_words(published)
    if n_layers in depths.values() or n_layers >= n_source:
        return published, f"{shown} of {n_layers}, as published (for {model}, of {n_source})"
    mapped = presets.map_layers(published, n_source, n_layers)
    words = f"{shown} of {n_source} ({model}) -> {ranges(mapped)} of {n_layers}"
    return mapped, f"{words}, at the same relative depth"


def _variant(config: AttnScaleConfig, layers: Sequence[int]) -> Variant:
    """Return a configuration's prefill part as a variant."""
    rule = config.adaptive
    return Variant(
        layers=tuple(layers),
        rows=tuple(config.queries),
        mode=config.mode,
        strength=config.strength,
        adaptive=None if rule is None else (rule.threshold, rule.low, rule.high),
    )


def variants_of(entries: Sequence[Compared], nulls: Sequence[Null]) -> list[Variant]:
    """Return what has to be run: controls first, each edit followed by its nulls."""
    edits = dict.fromkeys(
        part for entry in entries for edit in entry.edits for part in _ordinary(edit)
    )
    found = dict.fromkeys(edit.control for edit in edits)
    for edit in edits:
        kinds: Sequence[Null] = [null for null in nulls if null in edit.nulls]
        if nulls and not kinds:  # a knockout has no sign to draw, but other keys to hide
            kinds = edit.nulls[:1]
        found |= dict.fromkeys([edit, *(edit.null(kind) for kind in kinds)])
    return list(found)


def _ordinary(edit: Variant) -> Iterator[Variant]:
    if edit.adaptive is None:
        yield edit
    else:
        yield from constituents(edit)


def resolved_layers(layers: Literal["all"] | Sequence[int], n_layers: int) -> list[int]:
    """Return one set of layers of a decoder; negative ones count from its end.

    Raises:
        ConfigError: One is out of range, or there twice.
    """
    if isinstance(layers, str):
        return list(range(n_layers))
    return layer_numbers(integers("layers", list(layers)), n_layers)
