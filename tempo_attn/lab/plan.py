"""How much runs at once: items in a batch, variants in a chunk, and what happens without memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from accelerate.utils.memory import should_reduce_batch_size

from tempo_attn.errors import ConfigError
from tempo_attn.lab.capture import Prefill
from tempo_attn.lab.items import Item
from tempo_attn.lab.rows import EditedRows

CPU_MEMORY = 2**26
GPU_MEMORY = 2**30
_log = logging.getLogger(__name__)


@dataclass
class Plan:
    """How a sweep is cut into pieces. The same plan on the same items cuts them the same way.

    Attributes:
        batch_size: Items in one prefill.
        memory: Bytes that the variants running at once may take, roughly; halved where memory
            runs out. The default suits a CPU's caches; a GPU wants `GPU_MEMORY`.
    """

    batch_size: int = 8
    memory: int = CPU_MEMORY

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.memory < 1:
            raise ConfigError(
                f"batch_size and memory must be positive; found {self.batch_size} and {self.memory}"
            )

    def batches(self, items: Sequence[Item]) -> list[list[Item]]:
        """Cut items into batches of like length; the longest first, where memory would run out."""
        order = sorted(items, key=lambda item: (-item.length, item.index))
        return [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]

    def chunks(
        self, numbers: Sequence[int], prefill: Prefill, edited: EditedRows
    ) -> Iterator[Sequence[int]]:
        """Cut variants into chunks that fit the memory."""
        state = prefill.layers[0]
        n_items, width = len(state.hidden), state.hidden.shape[-1]
        n_rows = prefill.n_tokens - edited.first
        n_heads = state.call.query.shape[1]
        # Logits and their exponentials in float32; hidden states and an MLP some times as wide.
        one = 4 * n_items * n_rows * (2 * n_heads * prefill.n_tokens + 16 * width)
        size = max(1, self.memory // one)
        for at in range(0, len(numbers), size):
            yield numbers[at : at + size]

    def shrink(self, error: BaseException, n_items: int) -> bool:
        """Halve what runs at once where memory ran out; return whether to try again.

        Args:
            error: What was raised.
            n_items: Items of the batch.
        """
        out_of_memory = isinstance(error, MemoryError) or (
            isinstance(error, Exception) and should_reduce_batch_size(error)
        )
        if not out_of_memory or (n_items == 1 and self.memory < 2**20):
            return False
        if n_items == 1:
            self.memory //= 2
            _log.warning("out of memory: variants at once halved to %d MiB", self.memory >> 20)
        else:
            _log.warning("out of memory: a batch of %d items is done in halves", n_items)
        return True

    def free(self) -> None:
        """Give cached memory back to the device."""
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
