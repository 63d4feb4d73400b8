"""Special tokens of a model's tokenizer inside the text of an item.

An option such as `<|im_end|>` ends the user's turn: the model is asked another question than the
one that is scored. So a document's text is looked through before any template is put around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_tasks.errors import QuestionError
from tempo_tasks.sources.csv_reader import listed

_BLANKS = " \t\r\n\u2581"  # U+2581 stands for a blank in sentencepiece


def control_tokens(tokenizer: Any, marker: str) -> frozenset[str]:
    """Return what may not stand in an item's text: special tokens that are no words.

    Tokens that are a word, a sign of one or two characters or blanks are left out: some tokenizers
    have such among their special ones (`!` for padding), and they do not steer the model.

    Args:
        tokenizer: Any tokenizer of transformers.
        marker: What stands for audio in the family's rendered prompts.
    """
    added = getattr(tokenizer, "added_tokens_decoder", None)
    if not isinstance(added, Mapping):  # mistral-common's backend has a method that raises
        added = {}
    special = [str(token) for token in added.values() if getattr(token, "special", False)]
    known = [*getattr(tokenizer, "all_special_tokens", ()), *special, marker]
    bare = {str(token).strip(_BLANKS) for token in known}
    return frozenset(token for token in bare if len(token) > 2 and re.search(r"[^\w\s]", token))


def refuse_control_tokens(
    documents: Iterable[Mapping[str, Any]], tokens: frozenset[str], model: str
) -> None:
    """Refuse documents with special tokens in their text.

    Args:
        documents: Tempo's documents; of others, which have no `prompt`, nothing is known.
        tokens: See `control_tokens`.
        model: What the model is called.

    Raises:
        QuestionError: There are such documents; all are listed.
    """
    if not tokens:
        return
    pattern = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
    bad: dict[str, None] = {}
    for document in documents:
        prompt = document.get("prompt") if isinstance(document, Mapping) else None
        if not isinstance(prompt, str):
            continue
        text = prompt.replace(AUDIO_PLACEHOLDER, "\n")
        if found := pattern.search(text):
            line = text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
            bad[f"  {document.get('id')}: {found[0]!r} in {line[:120]!r}"] = None
    if bad:
        raise QuestionError(
            f"{len(bad)} items hold special tokens of {model}, which would end or change the "
            "prompt where they stand; correct the options or captions:\n" + listed(list(bad))
        )
