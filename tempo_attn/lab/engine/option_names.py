"""Where the name of each option stands in the prompts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

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


def name_rows(batch: Batch) -> list[Tensor]:
    """Return the tokens of each option's name, one (items, tokens) bool for each option.

    Tokens before the audio are left out: they know nothing of it.

    Raises:
        PositionError: A prompt's options cannot be told, are not as many as the candidates, or
            stand before the audio.
    """
    n_options = batch.candidates.shape[1]
    heard = batch.audio.cumsum(1) > 0
    found = [torch.zeros_like(batch.audio) for _ in range(n_options)]
    for row, item in enumerate(batch.items):
        names = option_tokens(batch, row)
        if len(names) != n_options:
            raise PositionError(
                f"{item.id!r}: {len(names)} names of options in the prompt and {n_options} "
                "candidate answers; expected one name for each"
            )
        for option, tokens in enumerate(names):
            found[option][row, tokens] = True
            if not bool((found[option][row] & heard[row]).any()):
                raise PositionError(
                    f"{item.id!r}: the name of option {option + 1} stands before the audio, where "
                    "nothing of it is known; expected options behind the audio"
                )
    return [rows & heard for rows in found]
