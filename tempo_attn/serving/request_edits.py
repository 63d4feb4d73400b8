"""What an edit is for one request: its query rows and audio keys, found before the engine has it.

A prompt that the edit does not fit fails here, in the API process, with a message for its sender:
the engine, which serves everyone, never has to.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import PositionError
from tempo_attn.prompts.decoded_text import SKIPPED, TextReader
from tempo_attn.prompts.positions import Given, Prompt
from tempo_attn.runtime.complaints import Complaints

Run = tuple[int, int]
"""Positions [start, stop)."""


@dataclass(frozen=True)
class RequestEdit:
    """The edit of one request, as it travels from the API process to the workers.

    Attributes:
        request: The request's id as its sender knows it.
        name: The configuration's name.
        length: Tokens of the prompt.
        keys: Edited key positions, as runs.
        rows: Edited query rows in the prompt, as runs.
    """

    request: str
    name: str
    length: int
    keys: Sequence[Run]
    rows: Sequence[Run]

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain types."""
        keys, rows = [list(run) for run in self.keys], [list(run) for run in self.rows]
        fields = {"request": self.request, "name": self.name, "length": self.length}
        return {**fields, "keys": keys, "rows": rows}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> RequestEdit:
        """Return what `to_plain` gave."""
        runs = {name: [(run[0], run[1]) for run in values[name]] for name in ("keys", "rows")}
        return cls(values["request"], values["name"], values["length"], **runs)

    def prompt(self) -> Prompt:
        """Return the positions as the planner of the attention wrapper takes them."""
        keys, rows = (mask_of(runs, self.length)[None] for runs in (self.keys, self.rows))
        real = torch.ones(1, self.length, dtype=torch.bool)
        return Prompt({"audio": keys}, None, real, 0, self.length, Given(query_mask=rows))

    @property
    def n_keys(self) -> int:
        """Number of edited keys."""
        return sum(stop - start for start, stop in self.keys)

    @property
    def n_rows(self) -> int:
        """Number of edited rows in the prompt."""
        return sum(stop - start for start, stop in self.rows)


class RequestPlanner:
    """Finds the rows and keys of requests.

    Args:
        tokenizer: The served model's tokenizer; asked for once keyword or option rows are needed.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._reader: TextReader | None = None
        self._lock = threading.Lock()  # requests are prepared in several threads
        self._complain = Complaints("raise").about

    def plan(
        self,
        request: str,
        name: str,
        config: AttnScaleConfig,
        ids: Sequence[int],
        audio: Tensor,
    ) -> RequestEdit:
        """Return the edit of one request.

        Args:
            request: The request's id.
            name: The configuration's name.
            config: The configuration.
            ids: The prompt's token ids.
            audio: (tokens,) bool: the positions of audio; see `audio_positions`.

        Raises:
            PositionError: The prompt has no audio, no row to edit, or no row after the audio.
        """
        length = len(ids)
        if not bool(audio.any()):
            raise PositionError(
                f"the edit {name!r} acts on audio and this request has none. Ask for no edit: "
                "vllm_xargs={'tempo_attn_scale': 'none'}"
            )
        real = torch.ones(1, length, dtype=torch.bool)
        token_ids = torch.tensor(list(ids), dtype=torch.long)[None]
        prompt = Prompt({"audio": audio[None]}, token_ids, real, 0, length, Given())
        try:
            with self._lock:
                rows = prompt.rows(config, self._text_reader(config), self._complain)[0]
        except PositionError as error:
            raise PositionError(f"the edit {name!r}: {_for_sender(str(error))}") from error
        if not bool(rows.any()):
            raise PositionError(
                f"the edit {name!r} takes the rows {config.queries}, and this prompt has none of "
                "them. Ask for no edit: vllm_xargs={'tempo_attn_scale': 'none'}"
            )
        first = int(audio.nonzero()[0])
        if not bool(rows[first:].any()):
            raise PositionError(
                f"every row that the edit {name!r} takes comes before the audio, which begins at "
                f"position {first}, and sees none of it: put the audio before the question"
            )
        return RequestEdit(request, name, length, runs_of(audio), runs_of(rows))

    def _text_reader(self, config: AttnScaleConfig) -> TextReader | None:
        if not {"keyword", "option"} & set(config.queries):
            return None
        if self._reader is None:
            try:
                self._reader = TextReader(self._tokenizer)
            except (AttributeError, TypeError, NotImplementedError) as error:
                raise PositionError(
                    f"keyword and option rows are found by a tokenizer of transformers, and this "
                    f"server has a {type(self._tokenizer).__name__} ({error}). Use a configuration "
                    "with queries 'last' or 'all_text'"
                ) from error
        return self._reader


def _for_sender(message: str) -> str:
    """Return a message of the wrapper's without what only a caller in process can do."""
    message = message.removeprefix("batch row 0: ").partition(", or state the text")[0]
    return re.sub(f"{SKIPPED}+", "[audio]", message)


def audio_positions(length: int, features: Sequence[Any]) -> Tensor:
    """Return which positions of a prompt are audio, (length,) bool.

    Args:
        length: Tokens of the prompt.
        features: vLLM's multimodal features: each with `modality` and `mm_position`, whose
            `offset`, `length` and `is_embed` (None for all) say where the encoder's output goes.
    """
    audio = torch.zeros(length, dtype=torch.bool)
    for feature in features:
        if feature.modality != "audio":
            continue
        place = feature.mm_position
        inside = torch.ones(place.length, dtype=torch.bool)
        if place.is_embed is not None:
            inside = torch.as_tensor(place.is_embed).bool().cpu()
        audio[place.offset : place.offset + place.length] |= inside
    return audio


def runs_of(mask: Tensor) -> list[Run]:
    """Return the runs of True in a (tokens,) mask."""
    edges = torch.diff(mask.int(), prepend=torch.zeros(1).int(), append=torch.zeros(1).int())
    starts, stops = ((edges == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return list(zip(starts, stops, strict=True))


def mask_of(runs: Sequence[Run], length: int) -> Tensor:
    """Return a (length,) bool mask of runs."""
    mask = torch.zeros(length, dtype=torch.bool)
    for start, stop in runs:
        mask[start:stop] = True
    return mask
