"""What the `generate` of DeSTA2.5 makes of messages and files, of prompts and waveforms instead.

The steps are those of `DeSTA25AudioModel.generate` in the package `desta`: `<start_audio>` and
`<end_audio>` around each audio, one reserved token for each position that will be overwritten, the
features of Whisper's extractor. Its voice detector and its Whisper are not asked: transcripts are
given, or there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import BatchFeature

from tempo_attn.errors import UnsupportedInputError
from tempo_attn.families.desta.transcripts import Transcripts
from tempo_attn.families.shared.processors import Wave


@dataclass
class DestaProcessor:
    """Makes model inputs, padded on the left.

    Attributes:
        tokenizer: The language model's, with the marker of audio as a token of its own.
        feature_extractor: Whisper's.
        prompt_size: Positions of an audio, before those of its transcript.
        audio_token: Marks audio in a rendered prompt.
        placeholder: Fills the positions that will be overwritten.
        transcripts: What is said in the clips.
    """

    tokenizer: Any
    feature_extractor: Any
    prompt_size: int
    audio_token: str = "<|AUDIO|>"
    placeholder: str = "<|reserved_special_token_87|>"
    transcripts: Transcripts = field(default_factory=Transcripts)

    def __post_init__(self) -> None:
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "left"
        self.tokenizer.add_tokens([self.audio_token])

    @property
    def chat_template(self) -> Any:
        """The language model's chat template."""
        return self.tokenizer.chat_template

    def __call__(self, prompts: Sequence[str], waves: Sequence[Wave]) -> BatchFeature:
        """Encode rendered prompts and the waveforms of all their markers, in order.

        Returns:
            `input_ids` and `attention_mask`, (batch, tokens); with audio also `batch_features`,
            (audios, bands, frames), `batch_transcription_ids` and `batch_start_positions` (row,
            first position) of each audio.

        Raises:
            UnsupportedInputError: There are not as many waveforms as markers, or a prompt holds
                the token that fills audio positions.
            TranscriptMissingError: Transcripts are given, and one is missing.
        """
        said = [self._ids(self.transcripts.of(wave)) for wave in waves]
        marks = sum(prompt.count(self.audio_token) for prompt in prompts)
        if marks != len(waves):
            raise UnsupportedInputError(
                f"the prompts have {marks} markers {self.audio_token!r} and there are {len(waves)} "
                "waveforms; expected one for each"
            )
        lengths = iter([self.prompt_size + len(ids) for ids in said])
        rows, starts = [], []
        for number, prompt in enumerate(prompts):
            ids, begin = self._laid_out(prompt, lengths)
            rows.append(ids)
            starts += [(number, start) for start in begin]
        longest = max(map(len, rows))
        pad = int(self.tokenizer.pad_token_id)
        data: dict[str, Any] = {
            "input_ids": torch.tensor([[pad] * (longest - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor(
                [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
            ),
        }
        if waves:
            rate = self.feature_extractor.sampling_rate
            heard = self.feature_extractor(list(waves), sampling_rate=rate, return_tensors="pt")
            data["batch_features"] = heard["input_features"]
            data["batch_transcription_ids"] = [torch.tensor([ids]) for ids in said]
            data["batch_start_positions"] = [
                (row, longest - len(rows[row]) + start) for row, start in starts
            ]
        return BatchFeature(data)

    def _laid_out(self, prompt: str, lengths: Any) -> tuple[list[int], list[int]]:
        """Return a prompt's ids with room for each audio and transcript, and where they begin."""
        mark, blank = self.tokenizer.convert_tokens_to_ids([self.audio_token, self.placeholder])
        framed = prompt.replace(self.audio_token, f"<start_audio>{self.audio_token}<end_audio>")
        ids: list[int] = []
        starts = []
        for token in self._ids(framed):
            if token == blank:
                raise UnsupportedInputError(
                    f"a prompt holds {self.placeholder!r}, which fills audio positions; leave it "
                    f"out. The prompt begins: {prompt[:120]!r}"
                )
            if token != mark:
                ids.append(token)
                continue
            starts.append(len(ids))
            ids += [blank] * next(lengths)
        return ids, starts

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
