"""What a sweep is tried on: items, and a batch of them made ready for the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import PositionError
from tempo_attn.families import Family
from tempo_attn.prompts.decoded_text import TextReader
from tempo_attn.prompts.positions import Given, Prompt, read_prompt
from tempo_attn.runtime.prefix_cache import Prefix, SharedInputs, join_prefixes


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question with its right answer, as the model will be asked.

    Attributes:
        key: SHA-256 of what the model is given and of the right answer.
        index: Place among the run's items.
        id: Its name.
        cluster: What statistics resample: items of one cluster (questions about one clip, or about
            a quartet of alike clips) are not independent.
        kind: What is asked (eo, lo, ld, or anything else that groups items).
        condition: What is given (aqa, acqa, silence ...).
        candidates: Token ids of the candidate answers, the first token behind the prompt.
        answer: Index of the right one.
        length: Rough number of prompt tokens; items of like length share a batch.
        question: The question's exact text, where it cannot be told from the prompt.
        options: The options' exact names, likewise.
        content: What the preparation makes inputs of.
        beginning: What is equal for items whose prompts begin alike (template and audio), so that
            they are best run side by side; empty where nothing is shared.
    """

    key: str
    index: int
    id: str
    cluster: str
    kind: str
    condition: str
    candidates: tuple[int, ...]
    answer: int
    length: int
    question: str | None = None
    options: tuple[str, ...] | None = None
    content: Any = None
    beginning: str = ""


Prepare = Callable[[Sequence[Item]], Mapping[str, Any]]
"""Makes model inputs of items: padded on the left, on the model's device.

`audio_mask` and `transcript_mask`, (items, tokens) bool, may be among them for models that are
called without token ids; they are not passed on.
"""
_STATED = ("audio_mask", "transcript_mask")


@dataclass(frozen=True)
class Before:
    """What the decoder has made of the beginnings of a batch's prompts.

    Attributes:
        ids: Token ids of the whole prompts, (items, tokens): beginnings and questions, each padded
            on the left.
        mask: Which of them are real.
        cache_name: The key/value cache's name in the model's forward.
        prefixes: Keys and values of each beginning.
        states: What entered the first layer and left every layer, each (items, tokens of the
            beginnings, width); None where nobody asked for them.
    """

    ids: Tensor
    mask: Tensor
    cache_name: str
    prefixes: Sequence[Prefix]
    states: Sequence[Tensor] | None

    @property
    def n_tokens(self) -> int:
        """Positions of the beginnings, padding included."""
        return max(prefix.n_tokens for prefix in self.prefixes)

    def inputs(self) -> Mapping[str, Any]:
        """Return the arguments of a forward call for what is behind; a cache serves one call."""
        n_after = self.ids.shape[1] - self.n_tokens
        cache = join_prefixes([[prefix] for prefix in self.prefixes], self.n_tokens, n_after)
        return SharedInputs(self.ids, self.mask, cache, self.cache_name).rest()


@dataclass
class Batch:
    """Items as one forward call, with the positions that edits need.

    Attributes:
        items: The items, one a row.
        inputs: The call's arguments.
        audio: (items, tokens) bool: audio keys.
        real: (items, tokens) bool: not padding.
        candidates: (items, candidates) token ids.
        before: The prompts' beginnings, where these are run already.
    """

    items: Sequence[Item]
    inputs: Mapping[str, Any]
    audio: Tensor
    real: Tensor
    candidates: Tensor
    prompt: Prompt
    reader: TextReader | None
    before: Before | None = None
    _rows: dict[tuple[str, ...], Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        inputs: Mapping[str, Any],
        model: nn.Module,
        family: Family,
        reader: TextReader | None,
    ) -> Batch:
        """Read the positions of a call.

        Raises:
            PositionError: An item has no audio, or padding stands behind a prompt.
        """
        questions = [item.question for item in items]
        options = [item.options for item in items]
        given = Given(
            audio_mask=inputs.get("audio_mask"),
            transcript_mask=inputs.get("transcript_mask"),
            questions=None if None in questions else questions,  # type: ignore[arg-type]
            options=None if None in options else options,  # type: ignore[arg-type]
        )
        inputs = {name: value for name, value in inputs.items() if name not in _STATED}
        prompt = read_prompt(family, model.config, inputs, given)
        audio = prompt.spans["audio"]
        deaf = [item.id for item, keys in zip(items, audio, strict=True) if not bool(keys.any())]
        if deaf:
            raise PositionError(
                f"{_some(deaf)}: no audio positions in the prompt, so there is nothing to edit or "
                "to measure. Leave items without audio (such as condition cqa) out"
            )
        if not bool(prompt.real[:, -1].all()):
            raise PositionError(
                "a prompt of the batch is padded on the right, and its answer is read behind its "
                "last token: pad on the left"
            )
        candidates = torch.tensor([item.candidates for item in items])
        return cls(items, inputs, audio, prompt.real, candidates, prompt, reader)

    def rows(self, names: tuple[str, ...]) -> Tensor:
        """Return the query rows of a set, (items, tokens) bool.

        Rows before the audio are left out: they see none of it, so no edit reaches them.

        Raises:
            PositionError: An item has no such rows, or its prompt cannot be read.
        """
        if names not in self._rows:
            config = AttnScaleConfig(strength=2.0, queries=list(names))
            rows = self.prompt.rows(config, self.reader, self._complain)
            rows = rows & (self.audio.cumsum(1) > 0)
            none = [i.id for i, row in zip(self.items, rows, strict=True) if not bool(row.any())]
            if none:
                raise PositionError(
                    f"{_some(none)}: no {'+'.join(names)} rows behind the audio in the prompt; "
                    "choose other rows"
                )
            self._rows[names] = rows
        return self._rows[names]

    def _complain(self, message: str) -> None:
        raise PositionError(f"items {_some([item.id for item in self.items])}: {message}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
