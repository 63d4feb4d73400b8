"""Is the time of an event already in the attention? Windows of the highest attention on audio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from tempo_attn.config import QUERIES
from tempo_attn.config_fields import some_of
from tempo_attn.errors import ConfigError, UnsupportedModelError
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, finite, rounded
from tempo_attn.lab.engine.option_names import name_rows
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.listen.attention_over_time import Profiles, over_time
from tempo_attn.lab.listen.change import AsTwo, ByLayer, changes, last_rows
from tempo_attn.lab.listen.records import NAME, ListenRecord, Look, Reading
from tempo_attn.lab.listen.windows import Seconds, highest, longest, width_of
from tempo_attn.statistics import Array

MOST_RECORDED = 2
"""Layers whose attention on every position a record may hold."""


@dataclass(frozen=True)
class Truth:
    """What is true of an item's clip.

    Attributes:
        rate: Audio positions a second.
        seconds: The clip's length.
        events: By option, in the prompt's order: when its event sounds; None where it does not.
    """

    rate: float
    seconds: float
    events: Sequence[Seconds | None]


@dataclass
class _Found:
    """One look while it is measured: by layer, starts and masses of all heads."""

    rows: str
    reading: Reading
    option: int
    width: int
    starts: dict[int, Array] = field(default_factory=dict)
    masses: dict[int, Array] = field(default_factory=dict)
    silent: dict[int, Array] | None = None

    def listen(self, layer: int, profiles: Array) -> None:
        self.starts[layer], self.masses[layer] = highest(profiles, self.width)

    def look(self, n_layers: int) -> Look:
        return Look(
            rows=self.rows,
            reading=self.reading,
            option=self.option,
            width=self.width,
            starts=_listed(self.starts, n_layers),
            masses=[
                rounded(self.masses[layer].tolist()) if layer in self.masses else None
                for layer in range(n_layers)
            ],
            silent=None if self.silent is None else _listed(self.silent, n_layers),
        )


class Listener(InBatches[ListenRecord]):
    """Finds where in the clip's time each head of each layer attends to most.

    Args:
        subject: The model and how items become calls of it.
        rows: Sets of query rows, as `AttnScaleConfig.queries`, compared with the right event. The
            rows of each option's own name are always measured, against that option's event.
        truths: What is true of the items' clips, by item key.
        silenced: Returns an item with silence in place of its audio.
        window: Seconds of a window; None for the length of the event's longest interval.
        recorded: Layers whose attention on every single audio position is recorded.
        asked: Returns an item's audio under two instructions; None to leave changes out.
        plan: How much runs at once.

    Raises:
        ConfigError: Unknown rows, more layers to record than `MOST_RECORDED`, or unknown ones.
        UnsupportedModelError: No layer of the model has attention.
    """

    def __init__(
        self,
        subject: ModelUnderStudy,
        rows: Sequence[Sequence[str]],
        truths: Mapping[str, Truth],
        silenced: Callable[[Item], Item],
        *,
        window: float | None = None,
        recorded: Sequence[int] = (),
        asked: AsTwo | None = None,
        plan: BatchPlan | None = None,
    ) -> None:
        self.subject = subject
        self.rows = [tuple(some_of("rows", list(names), QUERIES)) for names in rows]
        self.truths, self.window, self.plan = truths, window, plan or BatchPlan()
        self._silenced, self._asked = silenced, asked
        self._n_layers = len(subject.decoder.layers)
        self.recorded = recorded_layers(recorded, self._n_layers)
        if len(subject.decoder.without_attention) == self._n_layers:
            raise UnsupportedModelError(
                f"no layer of this model ({subject.family.name}) has attention of single heads, "
                "so there is nothing to listen to; choose a model with attention layers"
            )

    def _records(self, items: Sequence[Item]) -> list[ListenRecord]:
        batch = self.subject.read(items)
        truths = [self.truths[item.key] for item in items]
        n_positions = [
            width_of(truth.seconds, truth.rate, int(count))
            for truth, count in zip(truths, batch.audio.sum(1), strict=True)
        ]
        found = [
            self._looks(item, truth, n)
            for item, truth, n in zip(items, truths, n_positions, strict=True)
        ]
        kept: list[dict[str, dict[str, Any]]] = [{} for _ in items]
        last: ByLayer = {}

        def visit(layer: int, profiles: Profiles) -> None:
            for number, of_item in enumerate(profiles):
                for place, one in found[number].items():
                    one.listen(layer, of_item[place])
                if layer in self.recorded:
                    self._keep(kept[number], layer, of_item, items[number].answer)
            last[layer] = [of_item[-1] for of_item in profiles]

        output = over_time(self.subject, batch, self._sets(batch), n_positions, visit)
        logits = self.subject.candidate_logits(output, batch)
        finite(items, logits)
        self._hear_silence(items, n_positions, found)
        changed = self._changes(batch, items, n_positions, last)
        plain = logits.double().cpu().tolist()
        return [
            ListenRecord.of(
                item,
                plain=rounded(plain[number]),
                rate=round(truths[number].rate, 6),
                n_positions=n_positions[number],
                events=[
                    None if event is None else [[float(a), float(b)] for a, b in event]
                    for event in truths[number].events
                ],
                looks=[
                    one.look(self._n_layers) for one in [*found[number].values(), *changed[number]]
                ],
                over_time=kept[number] or None,
            )
            for number, item in enumerate(items)
        ]

    def _sets(self, batch: Batch) -> list[Tensor]:
        """Return the sets of query rows: each option's name, those asked for, the last row."""
        chosen = [batch.rows(rows) for rows in self.rows]
        return [*name_rows(batch), *chosen, last_rows(batch)]

    def _looks(self, item: Item, truth: Truth, n_positions: int) -> dict[int, _Found]:
        """Return an item's looks at attention, by the number of the set of rows."""
        looks = {}
        labels = [(NAME, option) for option in range(len(truth.events))]
        labels += [("+".join(rows), item.answer) for rows in self.rows]
        for place, (rows, option) in enumerate(labels):
            event = truth.events[option]
            if event is not None:
                width = self._width(event, truth.rate, n_positions)
                looks[place] = _Found(rows, "attention", option, width)
        return looks

    def _width(self, event: Seconds, rate: float, n_positions: int) -> int:
        seconds = longest(event) if self.window is None else self.window
        return width_of(seconds, rate, n_positions)

    def _keep(
        self, kept: dict[str, dict[str, Any]], layer: int, of_item: list[Array], answer: int
    ) -> None:
        first = len(of_item) - 1 - len(self.rows)
        shown = {NAME: of_item[answer]}
        shown |= {"+".join(rows): of_item[first + n] for n, rows in enumerate(self.rows)}
        for rows, profiles in shown.items():
            # A position's part is small: six decimals keep the sum to five.
            kept.setdefault(rows, {})[str(layer)] = np.round(profiles[-1], 6).tolist()

    def _hear_silence(
        self, items: Sequence[Item], n_positions: Sequence[int], found: list[dict[int, _Found]]
    ) -> None:
        """Add where the same rows look while the clip is silent: sinks and biases of position."""
        batch = self.subject.read([self._silenced(item) for item in items])
        for looks in found:
            for one in looks.values():
                one.silent = {}

        def visit(layer: int, profiles: Profiles) -> None:
            for number, of_item in enumerate(profiles):
                for place, one in found[number].items():
                    assert one.silent is not None
                    one.silent[layer] = highest(of_item[place], one.width)[0]

        over_time(self.subject, batch, self._sets(batch), n_positions, visit)

    def _changes(
        self, batch: Batch, items: Sequence[Item], n_positions: Sequence[int], last: ByLayer
    ) -> list[list[_Found]]:
        if self._asked is None:
            return [[] for _ in items]
        pairs = [self._asked(item) for item in items]
        by_reading = changes(self.subject, batch, pairs, n_positions, last)
        found: list[list[_Found]] = []
        for number, item in enumerate(items):
            truth = self.truths[item.key]
            event = truth.events[item.answer]
            assert event is not None
            width = self._width(event, truth.rate, n_positions[number])
            looks = [
                _Found("last", "asked", item.answer, width),
                _Found("last", "steered", item.answer, width),
            ]
            for one in looks:
                for layer, profiles in by_reading[one.reading].items():
                    one.listen(layer, profiles[number])
            found.append(looks)
        return found


def recorded_layers(layers: Sequence[int], n_layers: int) -> list[int]:
    """Return in order the layers whose attention over time is recorded.

    Raises:
        ConfigError: They are too many, or the model does not have one of them.
    """
    if len(set(layers)) > MOST_RECORDED:
        raise ConfigError(
            f"over_time: {len(set(layers))} layers; expected {MOST_RECORDED} at most, as each adds "
            "a number for every audio position to every record"
        )
    if missing := [layer for layer in layers if not 0 <= layer < n_layers]:
        raise ConfigError(
            f"over_time: the model has no layer {missing[0]}; expected 0 to {n_layers - 1}"
        )
    return sorted(set(layers))


def _listed(starts: Mapping[int, Array], n_layers: int) -> list[list[int] | None]:
    return [starts[layer].tolist() if layer in starts else None for layer in range(n_layers)]
