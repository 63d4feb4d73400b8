"""The change of attention on audio under an instruction, after Lin & Lee (arXiv 2606.11400).

There: v = activations(instruction A) - activations(instruction B) for the same audio, added at the
later half of the layers; and the place in time is the argmax, over a sliding window, of the change
of attention on audio. Printed is no more than this, so these are ours: the activations are what
leaves each layer at the last prompt token; v of each layer from the middle on is added there, once,
to the item's own prompt; the change is that of the last prompt token's attention, in the layers
that the addition reaches ("steered"). Beside it the change without any addition: attention of the
last token of instruction A minus that of instruction B ("asked").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.listen.attention_over_time import Profiles, over_time
from tempo_attn.statistics import Array

ByLayer = dict[int, list[Array]]
"""By layer and item: (query heads and, last, their mean; audio positions)."""
AsTwo = Callable[[Item], tuple[Item, Item]]
"""Returns an item's audio under instruction A and under instruction B."""


def changes(
    subject: ModelUnderStudy,
    batch: Batch,
    pairs: Sequence[tuple[Item, Item]],
    n_positions: Sequence[int],
    plain: ByLayer,
) -> dict[str, ByLayer]:
    """Return the changes of the last prompt token's attention, by reading: "asked", "steered".

    Args:
        subject: The model.
        batch: The items' own prompts.
        pairs: Each item's audio under the two instructions.
        n_positions: Audio positions in each item's clip's time.
        plain: The attention of the last token of the items' own prompts.
    """
    n_layers = len(subject.decoder.layers)
    later = range(n_layers // 2, n_layers)
    found, states = [], []
    for side in (0, 1):
        asked = subject.read([pair[side] for pair in pairs])
        attention: ByLayer = {}
        with StateHooks() as hooks:
            kept: dict[int, Tensor] = {}
            for layer in later:
                hooks.on_output(subject.decoder.layers[layer], _keep(kept, layer, asked))
            _run(subject, asked, n_positions, attention)
        found.append(attention)
        states.append(kept)
    steered: ByLayer = {}
    with StateHooks() as hooks:
        for layer in later:
            step = states[0][layer] - states[1][layer]
            hooks.on_output(subject.decoder.layers[layer], _add(step))
        _run(subject, batch, n_positions, steered)
    reached = [layer for layer in steered if layer > later.start]
    return {
        "asked": {layer: _minus(found[0][layer], found[1][layer]) for layer in found[0]},
        "steered": {layer: _minus(steered[layer], plain[layer]) for layer in reached},
    }


def last_rows(batch: Batch) -> Tensor:
    """Return the last token of every prompt, (items, tokens) bool; padding stands on the left."""
    rows = torch.zeros_like(batch.real)
    rows[:, -1] = True
    return rows


def _run(subject: ModelUnderStudy, batch: Batch, n_positions: Sequence[int], into: ByLayer) -> None:
    def visit(layer: int, profiles: Profiles) -> None:
        into[layer] = [of_item[0] for of_item in profiles]

    over_time(subject, batch, [last_rows(batch)], n_positions, visit)


def _keep(kept: dict[int, Tensor], layer: int, batch: Batch) -> Callable[[Tensor], None]:
    def visit(states: Tensor) -> None:
        if states.shape[1] < batch.real.shape[1]:
            raise RowsLeftOut
        kept[layer] = states[:, -1].clone()

    return visit


def _add(step: Tensor) -> Callable[[Tensor], Tensor]:
    def visit(states: Tensor) -> Tensor:
        states = states.clone()
        states[:, -1] += step.to(states)
        return states

    return visit


def _minus(one: Sequence[Array], other: Sequence[Array]) -> list[Array]:
    return [a - b for a, b in zip(one, other, strict=True)]
