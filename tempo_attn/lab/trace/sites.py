"""Where states are patched: a component, a layer and a group of positions.

Groups of text positions after arXiv 2603.13768 (there: early, object, late and last), with the
keyword apart; all lie behind the start of the audio, as earlier positions know nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from torch import Tensor

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import ConfigError, PositionError
from tempo_attn.lab.engine.hidden_states import COMPONENTS, Component
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.items import Batch

GROUPS = ("text", "early", "keyword", "option", "late", "last", "audio")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One patch.

    Attributes:
        component: "residual": what leaves the layer; "attention" or "mlp": what leaves that module.
        layer: The layer; -1 for what enters the first one.
        group: Positions: "text" is all text behind the start of the audio; "early" that of it
            before the first option, "keyword" apart; "option" the options' names; "late" the rest
            but the "last" position; "audio" all audio positions.
        random: Not the other run's states but a change of the same size: each component of the
            difference with a random sign. The null.
    """

    component: Component = "residual"
    layer: int
    group: str
    random: bool = False

    @property
    def null(self) -> Site:
        """The random change of the same size."""
        return replace(self, random=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the site as JSON data."""
        return asdict(self)


def sites(
    n_layers: int,
    *,
    components: Sequence[str] = ("residual",),
    groups: Sequence[str] = GROUPS,
    layers: Sequence[int] | None = None,
    nulls: bool = True,
) -> list[Site]:
    """Return the sites of a grid, each followed by its null.

    Args:
        n_layers: Layers of the decoder.
        components: What is patched.
        groups: Where.
        layers: Behind which layers; -1 is what enters the first one, in the residual stream; None
            for all.
        nulls: Whether random changes of the same size are patched, too.

    Raises:
        ConfigError: An unknown component or group, a layer that there is not, or nothing to patch.
    """
    for what, names, known in (
        ("components", components, COMPONENTS),
        ("groups", groups, GROUPS),
        ("layers", layers or (), range(-1, n_layers)),
    ):
        unknown = [name for name in names if name not in known]
        if unknown:
            near = did_you_mean(unknown[0], [str(name) for name in known])
            raise ConfigError(f"{what}: unknown {unknown}; expected some of {list(known)}.{near}")
    chosen = range(-1, n_layers) if layers is None else sorted(set(layers))
    found: dict[Site, None] = {}
    for component, group, layer in product(components, groups, chosen):
        if layer < 0 and component != "residual":
            continue
        site = Site(component=component, layer=layer, group=group)  # type: ignore[arg-type]
        found |= dict.fromkeys([site, site.null] if nulls else [site])
    if not found:
        raise ConfigError("there is nothing to patch: name a component, a group and a layer")
    return list(found)


def places(batch: Batch, group: str) -> QueryRows:
    """Find the positions of a group.

    Raises:
        PositionError: An item has none.
    """
    chosen = _chosen(batch, group)
    none = [item.id for item, row in zip(batch.items, chosen, strict=True) if not bool(row.any())]
    if none:
        raise PositionError(
            f"{none[0]!r}: no {group!r} positions in the prompt; choose other groups"
        )
    return QueryRows.of(chosen)


def _chosen(batch: Batch, group: str) -> Tensor:
    """Return the positions of a group, (items, tokens) bool."""
    if group == "audio":
        return batch.audio
    text, last = batch.rows(("all_text",)), batch.rows(("last",))
    if group == "text":
        return text
    if group == "last":
        return last
    option = batch.rows(("option",)) & ~last  # a prompt may end with an option
    if group == "option":
        return option
    keyword = batch.rows(("keyword",)) & ~option & ~last
    if group == "keyword":
        return keyword
    behind = option.cumsum(1) > 0
    rest = text & ~option & ~keyword & ~last
    return rest & (behind if group == "late" else ~behind)
