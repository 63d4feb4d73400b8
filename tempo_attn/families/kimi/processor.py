"""What Kimi-Audio's package makes of chat messages and files, of messages and waveforms instead.

A prompt has two streams of ids, as long as each other: the audio stream holds the marks of turns
and of media, the text stream the text; where one of them says something, the other holds a blank.
The steps are those of `KimiAPromptManager.get_prompt`. What the two encoders make of a clip is left
to the model: here are their features, and how many positions a clip fills.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature

from tempo_attn.families.kimi import tokenizer as names
from tempo_attn.families.shared.chats import Chat
from tempo_attn.families.shared.processors import Wave

POSITION = 1280
"""Samples of a position: 80 ms at 16 kHz."""
_ROLES = {"user": names.USER, "assistant": names.ASSISTANT}


@dataclass
class KimiProcessor:
    """Makes model inputs, padded on the left.

    Attributes:
        tokenizer: The text tokenizer; see `tempo_attn.families.kimi.tokenizer`.
        feature_extractor: Of the checkpoint's Whisper; windows of 30 s.
        speech_extractor: Of the speech tokenizer.
        token_offset: The id of the first speech token.
    """

    tokenizer: Any
    feature_extractor: Any
    speech_extractor: Any
    token_offset: int

    def __call__(self, chats: Sequence[Chat]) -> BatchFeature:
        """Encode chats, with their waveforms in them.

        Returns:
            `input_ids` (the audio stream; the first speech token stands for all), `text_input_ids`
            and `attention_mask`, (batch, tokens); `is_continuous_mask`, which of them are audio;
            with audio also `whisper_features`, (windows, bands, frames), `window_positions`,
            (windows,), and for each clip a tensor of `speech_features`, (windows, bands, frames),
            and of `speech_mask`, (windows, frames).
        """
        rows = [self._streams(chat) for chat in chats]
        longest = max(len(audio) for audio, _ in rows)
        blank = self._id(names.BLANK)
        audio = torch.full((len(rows), longest), blank)
        text, real = audio.clone(), torch.zeros_like(audio)
        for number, (audio_row, text_row) in enumerate(rows):
            audio[number, longest - len(audio_row) :] = torch.tensor(audio_row)
            text[number, longest - len(text_row) :] = torch.tensor(text_row)
            real[number, longest - len(audio_row) :] = 1
        data: dict[str, Any] = {
            "input_ids": audio,
            "text_input_ids": text,
            "attention_mask": real,
            "is_continuous_mask": audio >= self.token_offset,
        }
        waves = [
            part["audio"]
            for chat in chats
            for m in chat
            for part in m["content"]
            if "audio" in part
        ]
        return BatchFeature(data | (self._features(waves) if waves else {}))

    def _streams(self, chat: Chat) -> tuple[list[int], list[int]]:
        """Return a chat's audio and text stream; each part of a message is one of the package's."""
        blank = self._id(names.BLANK)
        audio: list[int] = []
        text: list[int] = []

        def mark(*tokens: int) -> None:
            audio.extend(tokens)
            text.extend(blank for _ in tokens)

        for role, messages in groupby(chat, key=itemgetter("role")):
            parts = [part for message in messages for part in message["content"]]
            mark(self._id(_ROLES[role]))
            for part in parts:
                if "audio" in part:
                    n_positions = -(-len(part["audio"]) // POSITION)
                    speech = [self.token_offset] * n_positions
                    mark(self._id(names.MEDIA_BEGIN), *speech, self._id(names.MEDIA_END))
                else:
                    ids = self.tokenizer(part["text"], add_special_tokens=False)["input_ids"]
                    audio.extend(blank for _ in ids)
                    text.extend(ids)
            if parts and "audio" in parts[-1]:
                mark(self._id(names.ANSWER_IN_TEXT))
            mark(self._id(names.MESSAGE_END))
        if chat[-1]["role"] == "assistant":
            return audio[:-1], text[:-1]  # it goes on with what is there
        mark(self._id(names.ASSISTANT))
        return audio, text

    def _id(self, name: str) -> int:
        found: int = self.tokenizer.convert_tokens_to_ids(name)
        return found

    def _features(self, waves: Sequence[Wave]) -> dict[str, Any]:
        """Return what the two encoders hear of each clip, in windows of 30 s."""
        size = int(self.feature_extractor.n_samples)
        rate = int(self.feature_extractor.sampling_rate)
        windows = [[wave[at : at + size] for at in range(0, len(wave), size)] for wave in waves]
        heard = [
            self.feature_extractor(window, sampling_rate=rate, return_tensors="pt")[
                "input_features"
            ]
            for clip in windows
            for window in clip
        ]
        spoken = [
            self.speech_extractor(
                [np.asarray(window) for window in clip],
                sampling_rate=rate,
                return_attention_mask=True,
                return_tensors="pt",
                padding="longest",
                pad_to_multiple_of=POSITION,
            )
            for clip in windows
        ]
        return {
            "whisper_features": torch.cat(heard),
            "window_positions": torch.tensor([-(-len(w) // POSITION) for c in windows for w in c]),
            "speech_features": [clip["input_features"] for clip in spoken],
            "speech_mask": [clip["attention_mask"] for clip in spoken],
        }
