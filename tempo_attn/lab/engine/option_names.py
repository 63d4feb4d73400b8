"""The tokens of each option's name, as they stand in a prompt."""

from __future__ import annotations

import torch

from tempo_attn.errors import PositionError
from tempo_attn.lab.items import Batch
from tempo_attn.prompts.keyword_and_option_rows import option_spans


def option_tokens(batch: Batch, row: int) -> list[list[int]]:
    """Return the positions of each option's name in an item's prompt, in the prompt's order.

    Args:
        batch: The prepared items.
        row: The item's place in the batch.

    Raises:
        PositionError: The prompt's text is not known, or the options cannot be found in it.
    """
    item, prompt = batch.items[row], batch.prompt
    if prompt.ids is None or batch.reader is None:
        raise PositionError(
            f"{item.id!r}: options' names are read in the prompt's text, and there "
            + ("are no token ids" if prompt.ids is None else "is no tokenizer")
        )
    ids = prompt.ids[row].tolist()
    skip = ~prompt.real[row] | torch.stack(list(prompt.spans.values())).any(0)[row]
    text = batch.reader.read(ids, skip.tolist())
    try:
        spans = option_spans(text, options=item.options, question=item.question)
    except PositionError as error:
        raise PositionError(f"{item.id!r}: {error}") from None
    return [text.tokens(*span) for span in spans]
