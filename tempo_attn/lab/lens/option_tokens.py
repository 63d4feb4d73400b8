"""The first token of each option's name, as it stands in a prompt."""

from __future__ import annotations

import torch

from tempo_attn.errors import PositionError
from tempo_attn.lab.items import Batch
from tempo_attn.prompts.keyword_and_option_rows import option_spans

Labels = tuple[int, ...]


def first_tokens(batch: Batch, row: int) -> Labels:
    """Return the first token of each option's name, as it stands in an item's prompt.

    Whether it has a space in front, or a quote, is what the prompt has; nothing is tokenised again.

    Raises:
        PositionError: The options cannot be found, or are not as many as the letters.
    """
    item, prompt = batch.items[row], batch.prompt
    if prompt.ids is None or batch.reader is None:
        raise PositionError(
            f"{item.id!r}: labels are read in the prompt's text, and there "
            + ("are no token ids" if prompt.ids is None else "is no tokenizer")
            + "; leave 'labels' out of the candidates"
        )
    ids = prompt.ids[row].tolist()
    skip = ~prompt.real[row] | torch.stack(list(prompt.spans.values())).any(0)[row]
    text = batch.reader.read(ids, skip.tolist())
    try:
        spans = option_spans(text, options=item.options, question=item.question)
    except PositionError as error:
        raise PositionError(f"{item.id!r}: {error}") from None
    if len(spans) != len(item.candidates):
        raise PositionError(
            f"{item.id!r}: found {len(spans)} options in the prompt and {len(item.candidates)} "
            "letters; state the options' names in the item, or leave 'labels' out of the candidates"
        )
    return tuple(ids[text.tokens(*span)[0]] for span in spans)
