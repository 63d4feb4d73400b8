"""The text of a tokenised prompt, and which characters each token stands for.

The prompt is decoded token by token. Words are then found in the text and never by token ids,
because a word's ids depend on its spaces and neighbours. A position of audio or padding is one
`SKIPPED` character, which no word contains.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tempo_attn.errors import PositionError

SKIPPED = "\ufffc"
"""Stands in the text for a position that is not text."""

Span = tuple[int, int]
"""Characters [start, end) of a text."""

_BROKEN = "\ufffd"  # what decoders print for bytes that are not yet a character
_LONGEST_RUN = 16  # tokens decoded together before their bytes are given up as broken


@dataclass(frozen=True)
class PromptText:
    """A prompt's text and the characters that each of its tokens stands for.

    Attributes:
        text: The decoded text; a position of audio or padding is one U+FFFC.
        starts: Character at which each token begins.
        ends: Character before which it ends. Tokens that share a character share its span.
        special: Indices of special tokens; their text is in `text`, but no word is searched there.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    special: tuple[int, ...] = ()

    def tokens(self, start: int, end: int) -> list[int]:
        """Return the text tokens that overlap the characters [start, end)."""
        overlap = range(bisect_right(self.ends, start), bisect_left(self.starts, end))
        return [
            index
            for index in overlap
            if self.starts[index] < self.ends[index] and self.text[self.starts[index]] != SKIPPED
        ]

    def rows(self, spans: Iterable[Span]) -> list[int]:
        """Return the text tokens that overlap any of the spans, in order."""
        return sorted({index for span in spans for index in self.tokens(*span)})

    def words(self) -> str:
        """Return `text` with special tokens blanked by U+FFFC, character for character."""
        characters = list(self.text)
        for index in self.special:
            start, end = self.starts[index], self.ends[index]
            characters[start:end] = SKIPPED * (end - start)
        return "".join(characters)


class TextReader:
    """Decodes prompts token by token; remembers the text of every token id it has seen.

    Args:
        tokenizer: Any tokenizer of transformers.

    Raises:
        PositionError: The tokenizer decodes no plain letter to itself.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._pieces: dict[int, str] = {}
        self._special: set[int] = set()
        self._runs: dict[tuple[int, ...], str] = {}
        # Decoders drop the space before a text's first token, so each is decoded after an anchor.
        self._anchor, self._prefix = self._find_anchor()

    def read(self, ids: Sequence[int], skip: Sequence[bool]) -> PromptText:
        """Decode one prompt.

        Args:
            ids: Token ids (plain integers), one a position.
            skip: Whether a position is audio or padding; its id is not looked at.

        Raises:
            PositionError: `ids` and `skip` differ in length, or an id cannot be decoded.
        """
        if len(ids) != len(skip):
            raise PositionError(
                f"found {len(ids)} token ids and {len(skip)} flags of skipped positions; expected "
                "one flag a token: pass the ids and the mask of the same row"
            )
        self._learn({token for token, skipped in zip(ids, skip, strict=True) if not skipped})
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        special: list[int] = []
        at = index = 0
        while index < len(ids):
            piece, count = SKIPPED, 1
            if not skip[index]:
                piece = self._pieces[ids[index]]
                if _BROKEN in piece:
                    piece, count = self._run(ids, skip, index)
                elif ids[index] in self._special:
                    special.append(index)
            pieces.append(piece)
            starts += [at] * count
            at += len(piece)
            ends += [at] * count
            index += count
        return PromptText("".join(pieces), tuple(starts), tuple(ends), tuple(special))

    def _run(self, ids: Sequence[int], skip: Sequence[bool], first: int) -> tuple[str, int]:
        """Return the text and length of the shortest run of tokens that ends a character."""
        for stop in range(first + 1, min(first + _LONGEST_RUN, len(ids))):
            if skip[stop] or ids[stop] in self._special:
                break
            run = tuple(ids[first : stop + 1])
            if run not in self._runs:
                self._runs[run] = self._decode([run], keep_special=False)[0]
            if _BROKEN not in self._runs[run]:
                return self._runs[run], len(run)
        return self._pieces[ids[first]], 1

    def _learn(self, tokens: set[int]) -> None:
        new = sorted(tokens - self._pieces.keys())
        if not new:
            return
        if new[0] < 0:
            raise PositionError(
                f"token id {new[0]} is not of the tokenizer: negative ids stand for audio in some "
                "models; mark such positions as skipped"
            )
        texts = self._decode([(token,) for token in new], keep_special=False)
        self._pieces.update(zip(new, texts, strict=True))
        # Asked for on their own: mistral-common prints raw pieces ("▁", "<0xE7>") where special
        # tokens are kept.
        empty = [token for token in new if not self._pieces[token]]
        names = self._decode([(token,) for token in empty], keep_special=True)
        self._pieces.update(zip(empty, names, strict=True))
        self._special.update(token for token in empty if self._pieces[token])

    def _decode(self, runs: Sequence[tuple[int, ...]], *, keep_special: bool) -> list[str]:
        """Decode runs of tokens as they read after the anchor."""
        if not runs:
            return []
        texts = self._batch([[self._anchor, *run] for run in runs], keep_special)
        prefix = self._prefix[keep_special]
        for run, text in zip(runs, texts, strict=True):
            if not text.startswith(prefix):
                raise PositionError(
                    f"{type(self._tokenizer).__name__} decodes tokens {list(run)} after "
                    f"{prefix!r} to {text!r}, so their own text cannot be told; give the query "
                    "positions yourself"
                )
        # The sign for what is not text may stand in a text: it must not pass for audio.
        return [text[len(prefix) :].replace(SKIPPED, _BROKEN) for text in texts]

    def _batch(self, sequences: list[list[int]], keep_special: bool) -> list[str]:
        texts: list[str] = self._tokenizer.batch_decode(
            sequences,
            skip_special_tokens=not keep_special,
            clean_up_tokenization_spaces=False,
        )
        return texts

    def _find_anchor(self) -> tuple[int, tuple[str, str]]:
        for letter in "axe0":
            ids = self._tokenizer.encode(letter, add_special_tokens=False)
            if not ids:
                continue
            anchor = int(ids[-1])
            sequences = [[anchor], [anchor, anchor]]
            plain, kept = self._batch(sequences, False), self._batch(sequences, True)
            readable = plain[0].strip() == letter
            if readable and all(double.startswith(one) for one, double in (plain, kept)):
                return anchor, (plain[0], kept[0])
        raise PositionError(
            f"{type(self._tokenizer).__name__} decodes none of the letters 'a', 'x', 'e', '0' to "
            "itself, so text cannot be found in its prompts; give the query positions yourself"
        )
