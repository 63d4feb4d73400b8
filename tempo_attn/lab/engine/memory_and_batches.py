"""How much runs at once: items in a batch, variants in a chunk; and what happens without memory.

Where memory runs out, a batch is done again in halves (`BatchPlan.in_halves`), and a single item
with half as much memory for the variants that run at once.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

from tempo_attn.errors import ConfigError
from tempo_attn.lab.engine.prefill import Prefill
from tempo_attn.lab.items import Item

R = TypeVar("R")
MOST_ITEMS = 8
"""Items in one prefill; more gain nothing."""
CPU_MEMORY = 2**26
GPU_MEMORY = 2**30
_log = logging.getLogger(__name__)


@dataclass
class BatchPlan:
    """How an experiment is cut into pieces. The same plan on the same items cuts them the same way.

    Attributes:
        batch_size: Items in one prefill.
        memory: Bytes that the variants running at once may take, roughly; halved where memory
            runs out. The default suits a CPU's caches; a GPU wants `GPU_MEMORY`.
    """

    batch_size: int = MOST_ITEMS
    memory: int = CPU_MEMORY

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.memory < 1:
            raise ConfigError(
                f"batch_size and memory must be positive; found {self.batch_size} and {self.memory}"
            )

    @classmethod
    def fitting(cls, items: Sequence[Item], decoder_config: Any, memory: int) -> BatchPlan:
        """Return a plan whose prefills fit the memory, too.

        What a prefill leaves (keys, values and hidden states of all layers) may take sixteen times
        what the variants take.

        Args:
            items: What will run.
            decoder_config: The decoder's configuration.
            memory: As the attribute.
        """
        longest = max((item.length for item in items), default=1)
        kept = keys_and_values(decoder_config) + decoder_config.hidden_size
        one = 4 * decoder_config.num_hidden_layers * longest * kept
        return cls(max(1, min(MOST_ITEMS, 16 * memory // one)), memory)

    def batches(self, items: Sequence[Item]) -> list[list[Item]]:
        """Cut items into batches of like length; the longest first, where memory would run out.

        Items that begin alike are side by side, at the place of the longest of them.
        """
        by_beginning: dict[str, list[Item]] = {}
        for item in sorted(items, key=lambda item: (-item.length, item.index)):
            by_beginning.setdefault(item.beginning or item.key, []).append(item)
        order = [item for alike in by_beginning.values() for item in alike]
        return [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]

    def extremes(self, items: Sequence[Item]) -> list[Item]:
        """Return the longest and the shortest item: together they are padded as any batch is."""
        order = sorted(items, key=lambda item: (-item.length, item.index))
        return order[:1] + order[1:][-1:]

    def chunks(
        self, numbers: Sequence[int], prefill: Prefill, first: int
    ) -> Iterator[Sequence[int]]:
        """Cut variants into chunks that fit the memory.

        Args:
            numbers: The variants.
            prefill: What they run on from.
            first: The first position that they change.
        """
        state = prefill.layers[0]
        n_items, width = len(state.hidden), state.hidden.shape[-1]
        n_rows = prefill.n_tokens - first
        n_heads = state.call.query.shape[1]
        # Logits and their exponentials in float32; hidden states and an MLP some times as wide.
        one = 4 * n_items * n_rows * (2 * n_heads * prefill.n_tokens + 16 * width)
        size = max(1, self.memory // one)
        for at in range(0, len(numbers), size):
            yield numbers[at : at + size]

    def in_halves(self, items: Sequence[Item], run: Callable[[Sequence[Item]], list[R]]) -> list[R]:
        """Run a batch; where memory runs out, its halves, and one item with fewer variants at once.

        Args:
            items: The batch.
            run: Returns a result for each item.
        """
        try:
            return run(items)
        except (RuntimeError, MemoryError) as error:
            if not self._shrinks(error, len(items)):
                raise
        if torch.cuda.is_available():  # not in the except block, where the error holds tensors
            torch.cuda.empty_cache()
        if len(items) == 1:
            return self.in_halves(items, run)
        half = len(items) // 2
        return self.in_halves(items[:half], run) + self.in_halves(items[half:], run)

    def _shrinks(self, error: Exception, n_items: int) -> bool:
        """Return whether it helps to try again with less."""
        if not out_of_memory(error):
            return False
        if n_items > 1:
            _log.warning("out of memory: a batch of %d items is done in halves", n_items)
            return True
        if self.memory < 2**20:
            return False
        self.memory //= 2
        _log.warning("out of memory: variants at once halved to %d KiB", self.memory >> 10)
        return True


class InBatches(ABC, Generic[R]):
    """An experiment that makes one record of each item, batch by batch.

    Attributes:
        plan: How much runs at once.
    """

    plan: BatchPlan

    def run(self, items: Sequence[Item]) -> Iterator[list[R]]:
        """Run all items, batch by batch; see `BatchPlan` for how they are batched.

        Yields:
            The records of one batch.

        Raises:
            PositionError: An item has no audio, or not the query rows that are asked for.
            NonFiniteLogitsError: The model's logits are NaN or infinite.
        """
        for batch in self.plan.batches(items):
            yield self.run_batch(batch)

    def run_batch(self, items: Sequence[Item]) -> list[R]:
        """Run one batch; where memory runs out it is halved and done again."""
        return self.plan.in_halves(items, self._records)

    @abstractmethod
    def _records(self, items: Sequence[Item]) -> list[R]:
        """Return the records of a batch that fits the memory."""


def out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out, of the machine or of a device."""
    return isinstance(error, MemoryError) or bool(should_reduce_batch_size(error))


def keys_and_values(decoder_config: Any) -> int:
    """Return how many numbers one position's key and value are in a layer; the most of any."""
    heads = decoder_config.num_attention_heads
    kv = _largest(decoder_config, "num_key_value_heads") or heads
    dim = _largest(decoder_config, "head_dim") or decoder_config.hidden_size // heads
    return int(2 * kv * dim)


def _largest(config: Any, name: str) -> int | None:
    """Return a setting; the largest of all layers where they differ (Gemma 4's do)."""
    layers = getattr(config, "per_layer_config", None) or [config]
    return max((value for layer in layers if (value := getattr(layer, name, None))), default=None)
