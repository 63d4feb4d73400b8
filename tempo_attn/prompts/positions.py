"""A batch of prompts seen as positions: which keys are audio, which query rows an edit takes.

Positions are absolute: they count from the first token that the key/value cache holds, padding
included. Everything here lies on the CPU; an edit moves what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import PositionError
from tempo_attn.families import Family
from tempo_attn.prompts.decoded_text import PromptText, TextReader
from tempo_attn.prompts.keyword_and_option_rows import keyword_rows, option_rows

Complain = Callable[[str], None]


@dataclass(frozen=True)
class Given:
    """Positions that the caller states; whatever is None is found from the prompt.

    Attributes:
        audio_mask: (batch, tokens) bool; needed where a model is called with embeddings only.
        transcript_mask: (batch, tokens) bool: transcript positions.
        query_mask: (batch, tokens) bool: the edited rows, instead of the configuration's.
        prompt_length: Number of prompt tokens where an answer follows (teacher forcing).
        questions: The exact text of each prompt's question.
        options: The exact option names of each prompt.
    """

    audio_mask: Tensor | None = None
    transcript_mask: Tensor | None = None
    query_mask: Tensor | None = None
    prompt_length: int | None = None
    questions: Sequence[str] | None = None
    options: Sequence[Sequence[str]] | None = None

    def repeated(self, times: int) -> Given:
        """Return what is stated for prompts that are each repeated."""

        def each(entries: Sequence[Any] | None) -> list[Any] | None:
            return None if entries is None else [e for e in entries for _ in range(times)]

        rows = self.query_mask
        if rows is not None:
            rows = torch.as_tensor(rows).repeat_interleave(times, 0)
        questions, options = each(self.questions), each(self.options)
        return replace(self, query_mask=rows, questions=questions, options=options)


@dataclass
class Prompt:
    """Positions of one batch of prompts.

    Attributes:
        spans: Sets of key positions by name, (batch, start + tokens) bool.
        ids: (batch, tokens) token ids, where there are any.
        real: (batch, tokens) bool: not padding.
        start: Absolute position of the first token; not 0 for a later turn on the same cache.
        length: Absolute position after the prompt's last token.
        given: What the caller stated.
    """

    spans: dict[str, Tensor]
    ids: Tensor | None
    real: Tensor
    start: int
    length: int
    given: Given
    _rows: dict[int, tuple[AttnScaleConfig, Tensor]] = field(default_factory=dict, repr=False)

    def keys(self, config: AttnScaleConfig) -> Tensor:
        """Return the edited keys, (batch, start + tokens) bool."""
        missing = [name for name in config.keys if name not in self.spans]
        if missing:
            raise PositionError(
                f"the edit's keys are {config.keys}, and this model's prompts have only "
                f"{sorted(self.spans)}: change `keys` in the configuration"
            )
        return torch.stack([self.spans[name] for name in config.keys]).any(0)

    def rows(
        self, config: AttnScaleConfig, reader: TextReader | None, complain: Complain
    ) -> Tensor:
        """Return the edited prompt rows, (batch, tokens) bool; kept for each configuration.

        Args:
            config: The edit. The same object is answered from memory.
            reader: Decodes the prompt; only for keyword and option rows.
            complain: Called with what cannot be found in a batch row; raises, or goes on.
        """
        if self._rows.get(id(config), (None,))[0] is not config:
            rows = self._find_rows(config, reader, complain)
            if config.spec.edits_states and self.given.query_mask is None:
                # As where attention is edited: rows before the audio know nothing of it.
                rows = rows & (self.keys(config).cumsum(1) > 0)[:, self.start :]
            self._rows[id(config)] = (config, rows)
        return self._rows[id(config)][1]

    def _find_rows(
        self, config: AttnScaleConfig, reader: TextReader | None, complain: Complain
    ) -> Tensor:
        n_batch, n_tokens = self.real.shape
        if self.given.query_mask is not None:
            stated = _mask(self.given.query_mask, self.real.shape, "query_mask")
            if config.spec.hides_keys and (stated & self.keys(config)[:, self.start :]).any():
                raise PositionError(
                    "query_mask holds edited keys: knocked out, such a row might see nothing at "
                    "all. Leave audio positions out of it"
                )
            return stated
        real = self.real & (torch.arange(n_tokens) < self.length - self.start)
        special = torch.stack(list(self.spans.values())).any(0)[:, self.start :]
        rows = torch.zeros_like(real)
        if "last" in config.queries:
            rows[torch.arange(n_batch), last_real(real)] = real.any(1)
        if "all_text" in config.queries:
            rows |= real & ~special
        wanted = [name for name in ("keyword", "option") if name in config.queries]
        if not wanted:
            return rows
        if self.ids is None or reader is None:
            complain(
                f"{' and '.join(wanted)} rows are found in the prompt's text, and this call has "
                + ("no input_ids" if self.ids is None else "no tokenizer")
                + ": pass input_ids, or state the rows: with model.positions(query_mask=...)"
            )
            return rows
        skip = (~real | special).tolist()
        for row, ids in enumerate(self.ids.tolist()):
            text = reader.read(ids, skip[row])
            for name in wanted:
                try:
                    rows[row, self._text_rows(name, text, row, config)] = True
                except PositionError as error:
                    complain(f"batch row {row}: {error}")
        return rows

    def _text_rows(
        self, name: str, text: PromptText, row: int, config: AttnScaleConfig
    ) -> list[int]:
        question = self.given.questions[row] if self.given.questions else None
        options = self.given.options[row] if self.given.options else None
        if name == "keyword":
            rows = keyword_rows(text, config.keywords, question=question)
            looked_for = f"none of the keywords {config.keywords}"
        else:
            rows = option_rows(text, options=options, question=question)
            looked_for = "no options"
        if not rows:
            raise PositionError(
                f"{looked_for} in the prompt, which ends {text.text[-200:]!r}. Leave {name!r} out "
                "of `queries`, or state the text: with model.positions(questions=..., options=...)"
            )
        return rows

    def expand(self, n_batch: int) -> Prompt:
        """Return the prompts repeated for beams or several returned sequences.

        Raises:
            PositionError: `n_batch` is not a multiple of the number of prompts.
        """
        have = len(self.real)
        if have == n_batch:
            return self
        if n_batch % have:
            raise PositionError(
                f"the forward call has {n_batch} batch rows and the prompts are {have}: each "
                "prompt must be repeated equally often"
            )
        times = n_batch // have
        return Prompt(
            {name: span.repeat_interleave(times, 0) for name, span in self.spans.items()},
            None if self.ids is None else self.ids.repeat_interleave(times, 0),
            self.real.repeat_interleave(times, 0),
            self.start,
            self.length,
            self.given.repeated(times),
        )


def read_prompt(
    family: Family,
    config: Any,
    inputs: Mapping[str, Any],
    given: Given,
    *,
    start: int = 0,
    before: Prompt | None = None,
) -> Prompt:
    """Read the positions of a call's prompts.

    Args:
        family: The model's family.
        config: The model's configuration.
        inputs: The arguments of the call, by name.
        given: What the caller states.
        start: Positions that the cache holds already.
        before: The prompts that filled the cache.

    Raises:
        PositionError: Neither token ids nor given masks say where audio is.
        UnsupportedInputError: See `Family.check_inputs`.
    """
    ids = family.token_ids(inputs)
    embeds = inputs.get("inputs_embeds")
    shape = ids.shape[:2] if ids is not None else embeds.shape[:2]  # type: ignore[union-attr]
    spans: dict[str, Tensor] = {}
    stated = {"audio": given.audio_mask, "transcript": given.transcript_mask}
    if ids is not None and given.audio_mask is None:
        family.check_inputs(config, inputs)
        spans = {name: span.cpu() for name, span in family.spans(config, inputs).items()}
    for name, mask in stated.items():
        if mask is not None:
            spans[name] = _mask(mask, shape, f"{name}_mask")
    if not spans:
        raise PositionError(
            "the model was called with embeddings only, so no position is known to be audio: state "
            "them: with model.positions(audio_mask=...)"
        )
    for name, texts in (("questions", given.questions), ("options", given.options)):
        if texts is not None and (isinstance(texts, str) or len(texts) != shape[0]):
            raise PositionError(
                f"{name} must be a list with one entry for each of the {shape[0]} batch rows; "
                f"found {texts!r}"
            )
    attention_mask = inputs.get("attention_mask")
    real = torch.ones(shape, dtype=torch.bool)
    if isinstance(attention_mask, Tensor) and attention_mask.dim() == 2:
        real = attention_mask[:, start : start + shape[1]].bool().cpu()
        spans = {name: span & real for name, span in spans.items()}
    if before is not None:
        spans = {
            name: torch.cat([_up_to(before.expand(shape[0]).spans.get(name), start, span), span], 1)
            for name, span in spans.items()
        }
    length = start + shape[1] if given.prompt_length is None else start + given.prompt_length
    return Prompt(spans, None if ids is None else ids.cpu(), real, start, length, given)


def last_real(real: Tensor) -> Tensor:
    """Return the last position of each row that is not padding, (batch,); padding may follow it."""
    return (real * torch.arange(1, real.shape[1] + 1, device=real.device)).argmax(1)


def _up_to(span: Tensor | None, start: int, like: Tensor) -> Tensor:
    """A span of earlier positions, cut or filled with False to `start` positions."""
    if span is None:
        return like.new_zeros(len(like), start)
    return torch.nn.functional.pad(span[:, :start], (0, max(0, start - span.shape[1])))


def _mask(mask: Any, shape: Sequence[int], name: str) -> Tensor:
    """Check a stated mask."""
    mask = torch.as_tensor(mask)
    if tuple(mask.shape) != tuple(shape):
        raise PositionError(
            f"{name} has the shape {tuple(mask.shape)}, and the call's positions are {tuple(shape)}"
        )
    stated: Tensor = mask.bool().cpu()
    return stated
