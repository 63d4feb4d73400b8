"""Where the answer lies in what a model generates: after thinking and blank lines, up to a stop.

lm-eval's own criterion stops at a stop sequence wherever it stands: in the thinking, or in a line
break before the answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import StoppingCriteria


class Reading(NamedTuple):
    """What was generated so far.

    Attributes:
        answer: The answer; all of the text while the model is thinking.
        finished: Nothing more belongs to the answer.
        thinking: The model is thinking still.
    """

    answer: str
    finished: bool
    thinking: bool


@dataclass(frozen=True)
class AnswerRule:
    """What counts as the answer.

    Attributes:
        decode: Decodes token ids to text, without special tokens.
        until: Stop sequences; they count within the answer only.
        ends_of_turn: The tokens that end a turn.
        think_end: What ends thinking, as text or as a token; None for models that do not think.
        max_tokens: Tokens that the answer may have, thinking not counted; None for no bound.
    """

    decode: Callable[[list[int]], str]
    until: Sequence[str]
    ends_of_turn: Collection[int]
    think_end: str | int | None = None
    max_tokens: int | None = None

    def read(self, tokens: Sequence[int]) -> Reading:
        """Read what was generated for one prompt.

        Where thinking goes on to the end, all of it is returned: cut at a stop sequence, its first
        line might look like an answer. A model that ends its turn without thinking has answered.

        Args:
            tokens: All generated tokens.
        """
        tokens = list(tokens)
        end = next((n for n, token in enumerate(tokens) if token in self.ends_of_turn), None)
        tokens, ended = tokens[:end], end is not None
        text, thought = self._after_thinking(tokens)
        if self.think_end is not None and not thought and not ended:
            return Reading(text, finished=False, thinking=True)
        answer = text.lstrip()
        places = [place for stop in self.until if stop and (place := answer.find(stop)) >= 0]
        if places:
            answer, ended = answer[: min(places)], True
        return Reading(answer, finished=ended, thinking=False)

    def _after_thinking(self, tokens: list[int]) -> tuple[str, bool]:
        """Return the text after the last end of thinking, and whether there was one."""
        if isinstance(self.think_end, int):
            if self.think_end in tokens:
                last = len(tokens) - 1 - tokens[::-1].index(self.think_end)
                return self.decode(tokens[last + 1 :]), True
            return self.decode(tokens), False
        text = self.decode(tokens)
        if self.think_end and self.think_end in text:
            return text.rpartition(self.think_end)[2], True
        return text, False

    def is_done(self, tokens: Sequence[int]) -> bool:
        """Return whether generation may stop: the answer is finished, or as long as it may be."""
        reading = self.read(tokens)
        if reading.finished or reading.thinking or self.max_tokens is None:
            return reading.finished
        # The answer begins with the token after which there is some of it.
        first = bisect_left(range(len(tokens)), True, key=lambda n: self._begun(tokens[:n]))
        return bool(reading.answer) and len(tokens) - first + 1 >= self.max_tokens

    def _begun(self, tokens: Sequence[int]) -> bool:
        reading = self.read(tokens)
        return not reading.thinking and bool(reading.answer)


def think_end_of(tokenizer: Any, text: str | None) -> str | int | None:
    """Return what ends thinking; a special token, which decoding leaves out, by its number."""
    if text in tokenizer.all_special_tokens:
        return int(tokenizer.convert_tokens_to_ids(text))
    return text


class AnswerStops(StoppingCriteria):
    """Stops each row of a generation where its answer is done.

    It remembers nothing: a beam search asks about candidates, which change rows at each step.

    Args:
        rule: What counts as the answer.
        n_prompt: Positions of the prompts, padding included.
    """

    def __init__(self, rule: AnswerRule, n_prompt: int) -> None:
        self._rule = rule
        self._n_prompt = n_prompt

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Return which rows are done, (rows,) bool."""
        rows = input_ids[:, self._n_prompt :].tolist()
        return torch.tensor([self._rule.is_done(row) for row in rows], device=input_ids.device)
