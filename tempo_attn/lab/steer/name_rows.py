"""Where the name of each option stands in the prompts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tempo_attn.errors import PositionError
from tempo_attn.lab.items import Batch
from tempo_attn.prompts.keyword_and_option_rows import option_spans


def name_rows(batch: Batch) -> list[Tensor]:
    """Return the tokens of each option's name, one (items, tokens) bool for each option.

    Tokens before the audio are left out: they know nothing of it.

    Raises:
        PositionError: A prompt's options cannot be told, are not as many as the candidates, or
            stand before the audio.
    """
    n_options = batch.candidates.shape[1]
    prompt = batch.prompt
    if prompt.ids is None or batch.reader is None:
        raise PositionError(
            "the names of options are found in the prompt's text, and this call has no token ids "
            "or no tokenizer"
        )
    special = torch.stack(list(prompt.spans.values())).any(0)[:, prompt.start :]
    skip = (~prompt.real | special).tolist()
    heard = batch.audio.cumsum(1) > 0
    found = [torch.zeros_like(batch.audio) for _ in range(n_options)]
    for row, (item, ids) in enumerate(zip(batch.items, prompt.ids.tolist(), strict=True)):
        text = batch.reader.read(ids, skip[row])
        try:
            spans = option_spans(text, options=item.options, question=item.question)
        except PositionError as error:
            raise PositionError(f"{item.id!r}: {error}") from error
        if len(spans) != n_options:
            raise PositionError(
                f"{item.id!r}: {len(spans)} names of options in the prompt and {n_options} "
                "candidate answers; expected one name for each"
            )
        for option, span in enumerate(spans):
            found[option][row, text.rows([span])] = True
            if not bool((found[option][row] & heard[row]).any()):
                raise PositionError(
                    f"{item.id!r}: the name of option {option + 1} stands before the audio, where "
                    "its states know nothing of it; expected options behind the audio"
                )
    return [rows & heard for rows in found]
