"""The first token of each option's name, as it stands in a prompt."""

from __future__ import annotations

from tempo_attn.errors import PositionError
from tempo_attn.lab.engine.option_names import option_tokens
from tempo_attn.lab.items import Batch

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
    names = option_tokens(batch, row)
    if len(names) != len(item.candidates):
        raise PositionError(
            f"{item.id!r}: found {len(names)} options in the prompt and {len(item.candidates)} "
            "letters; state the options' names in the item, or leave 'labels' out of the candidates"
        )
    return tuple(ids[tokens[0]] for tokens in names)
