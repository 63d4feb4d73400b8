"""The states at events' names: what enters the first layer and what leaves every layer.

After "On Temporal Binding in LALMs" (Primus & Widmer): h of a layer at the last token of an event's
name. Only these rows are kept, at once inside the forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.errors import PositionError, UnsupportedModelError
from tempo_attn.lab.engine.memory_and_batches import BatchPlan, InBatches
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy, RowsLeftOut, finite, rounded
from tempo_attn.lab.engine.option_names import option_tokens
from tempo_attn.lab.items import Batch, Item
from tempo_attn.lab.timeline.records import EventTimes, TimelineRecord
from tempo_attn.lab.timeline.state_files import write_states

Events = Mapping[str, Sequence[EventTimes]]
"""By item key: the events that its prompt names. Items that are not in it have none."""


@dataclass(frozen=True, kw_only=True)
class Studied:
    """A model, and what it is given in place of an item.

    Attributes:
        subject: The model.
        change: Makes another item of an item, such as one with silence; prompts stay.
    """

    subject: Callable[[], ModelUnderStudy]
    change: Callable[[Item], Item] = lambda item: item


class StateReader(InBatches[TimelineRecord]):
    """Reads the states at the last token of every event's name, and writes them to files.

    Args:
        sources: Whose states, the model's own first; a model is asked for when it first runs.
        events: What the prompts name.
        seconds: The length of an item's clip.
        folder: The run folder, where the files of states go.
        plan: How much runs at once.
    """

    def __init__(
        self,
        sources: Sequence[Studied],
        events: Events,
        seconds: Callable[[Item], float],
        folder: Path,
        *,
        plan: BatchPlan | None = None,
    ) -> None:
        self.sources = sources
        self.events = events
        self.plan = plan or BatchPlan()
        self._seconds = seconds
        self._folder = folder

    def read(
        self, subject: ModelUnderStudy, items: Sequence[Item], keys: Sequence[str]
    ) -> tuple[Tensor, list[Tensor]]:
        """Read the states of a batch.

        Args:
            subject: The model.
            items: The items.
            keys: By which their events are known.

        Returns:
            The candidates' logits, (items, candidates), and the states of each item, float32 on the
            CPU, (sites, events, width).

        Raises:
            PositionError: The options' names are not found in a prompt.
            UnsupportedModelError: The decoder's layers do not hand on hidden states one by one.
        """
        batch = subject.read(items)
        places = [self._places(batch, row, key) for row, key in enumerate(keys)]
        view = _View(batch.real.shape[1], places)
        with torch.inference_mode():
            output = subject.on_all_rows(lambda: self._forward(subject, batch, view))
        stacked = torch.stack(view.found)  # (sites, all events, width)
        sizes = [len(of_item) for of_item in places]
        return subject.candidate_logits(output, batch), list(torch.split(stacked, sizes, 1))

    def _places(self, batch: Batch, row: int, key: str) -> list[int]:
        """Return the last token of each event's name."""
        events = self.events.get(key, ())
        if not events:
            return []
        names = option_tokens(batch, row)
        item = batch.items[row]
        if len(names) <= max(event.option for event in events):
            raise PositionError(
                f"{item.id!r}: found {len(names)} options in the prompt, and event "
                f"{events[-1].label!r} is option {events[-1].option + 1}; state the options' names "
                "in the item"
            )
        places = [names[event.option][-1] for event in events]
        first = int(batch.audio[row].int().argmax())
        if min(places) < first:
            raise PositionError(
                f"{item.id!r}: options stand before the audio in the prompt, so nothing of it can "
                "be in the states of their names; use prompts whose audio comes first"
            )
        return places

    def _forward(self, subject: ModelUnderStudy, batch: Batch, view: _View) -> Any:
        layers = subject.decoder.layers
        view.found = []
        with StateHooks() as hooks:
            hooks.on_input(layers[0], view.see)
            for layer in layers:
                hooks.on_output(layer, view.see)
            output = subject.call(batch)
        if len(view.found) != len(layers) + 1:
            raise UnsupportedModelError(
                f"the decoder's {len(layers)} layers handed on states {len(view.found) - 1} times "
                "in one forward; expected each layer once"
            )
        return output

    def _records(self, items: Sequence[Item]) -> list[TimelineRecord]:
        keys = [item.key for item in items]
        found = []
        plain = None
        for source in self.sources:
            logits, states = self.read(source.subject(), [*map(source.change, items)], keys)
            finite(items, *states)
            if plain is None:
                finite(items, logits)
                plain = logits.double().cpu().tolist()
            found.append(states)
        assert plain is not None
        records = []
        for row, item in enumerate(items):
            events = self.events.get(item.key, ())
            digest = None
            if events:
                together = torch.stack([states[row] for states in found]).numpy()
                digest = write_states(self._folder, item.key, together)
            records.append(
                TimelineRecord.of(
                    item,
                    plain=rounded(plain[row]),
                    events=list(events),
                    seconds=round(self._seconds(item), 6),
                    states=digest,
                )
            )
        return records


class _View:
    """Which rows of a batch are kept, and what has been kept so far.

    Args:
        n_tokens: Positions that every layer must have.
        places: The positions of each item.
    """

    def __init__(self, n_tokens: int, places: Sequence[Sequence[int]]) -> None:
        self.found: list[Tensor] = []
        self._n_tokens = n_tokens
        self._items = [row for row, of_item in enumerate(places) for _ in of_item]
        self._positions = [at for of_item in places for at in of_item]

    def see(self, hidden: Tensor) -> None:
        """Keep the rows of what enters or leaves a layer, (items, tokens, width)."""
        if hidden.shape[1] < self._n_tokens:
            raise RowsLeftOut
        self.found.append(hidden[self._items, self._positions].float().cpu())
