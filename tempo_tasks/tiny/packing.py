"""Batches for training: one row a scene, its questions packed after one audio prefix.

A row is [chat prefix with audio | question 1 | question 2 | ...]. Every question sees the prefix
and itself, at the positions it would have alone; a caption-only question is a whole prompt of its
own that sees nothing else. One audio prefix then serves many questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from transformers import Qwen2AudioProcessor

from tempo_attn.families.qwen2_audio import Qwen2Audio
from tempo_tasks.audio import make_handle
from tempo_tasks.prompts import make_prompt
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.questions import LETTERS, Kind, Question, right_event
from tempo_tasks.sources.synth.scene import MARGIN, SCENE_SECONDS
from tempo_tasks.sources.synth.sounds import LABELS, RATE
from tempo_tasks.tiny.data import TrainingSet

_AUDIO_END = "<|audio_eos|>"
_FAMILY = Qwen2Audio()


@dataclass
class Batch:
    """Tensors of one step; B rows, T tokens, Q questions and O options over the whole batch.

    Attributes:
        mels: (B, bands, frames).
        input_ids: (B, T), audio placeholders expanded.
        position_ids: (B, T), each question continuing the prefix.
        visible: (B, 1, T, T) bool, which key a query sees.
        letter_at: (Q, 2) row and column whose logits give the letter; the next gives the end.
        letter_ids: (Q,) token of the right letter.
        kinds: (Q,) number of the question's kind and condition, for the log.
        option_at: (O, 2) row and column of the last token of an option's name.
        option_target: (O, 4) present, onset, offset, duration (the latter as shares of a scene).
        activity: (B, audio tokens, labels).
    """

    mels: torch.Tensor
    input_ids: torch.Tensor
    position_ids: torch.Tensor
    visible: torch.Tensor
    letter_at: torch.Tensor
    letter_ids: torch.Tensor
    kinds: torch.Tensor
    option_at: torch.Tensor
    option_target: torch.Tensor
    activity: torch.Tensor


class Packer:
    """Draws questions for scenes and packs them into a batch."""

    def __init__(self, processor: Qwen2AudioProcessor, data: TrainingSet) -> None:
        self.tokenizer = processor.tokenizer
        self.processor = processor
        self.data = data
        self.audio_tokens = _FAMILY.n_audio_tokens(processor, int(SCENE_SECONDS * RATE))
        head, _, _ = self._chat("<audio>?").partition(_AUDIO_END)
        expanded = head.replace("<|AUDIO|>", "<|AUDIO|>" * self.audio_tokens) + _AUDIO_END
        self.prefix: list[int] = self.tokenizer(expanded)["input_ids"]
        self.letters = [self.tokenizer.convert_tokens_to_ids(letter) for letter in LETTERS]
        self.end_id = self.tokenizer.convert_tokens_to_ids("<|im_end|>")

    def question(self, clip: Clip, kind: Kind, rng: np.random.RandomState) -> Question:
        """Draw a question like the builder's: options from the clip first, any order."""
        right = right_event(clip, kind, MARGIN)
        assert right is not None  # scenes are drawn so that every kind has an answer
        others = [event.label for event in clip.events if event is not right]
        absent = [label for label in LABELS if label not in clip.labels]
        wrong = [others[i] for i in rng.permutation(len(others))][:3]
        wrong += [absent[i] for i in rng.permutation(len(absent))][: 3 - len(wrong)]
        options = [right.label, *wrong]
        options = [options[i] for i in rng.permutation(4)]
        answer = LETTERS[options.index(right.label)]
        first, second, third, fourth = options
        return Question(clip.id, clip.id, kind, (first, second, third, fourth), answer)

    def pack(self, scenes: list[int], rng: np.random.RandomState, *, extra: int = 2) -> Batch:
        """Pack each scene's three audio questions and the first `extra` of ACQA, CQA, CQA."""
        rows = []
        for index in scenes:
            plan = [(kind, Condition.AQA) for kind in Kind]
            conditions = (Condition.ACQA, Condition.CQA, Condition.CQA)
            plan += [(list(Kind)[rng.randint(3)], conditions[i]) for i in range(extra)]
            rows.append([self._segment(index, kind, condition, rng) for kind, condition in plan])
        return self._collate(scenes, rows)

    def _chat(self, text: str) -> str:
        return _FAMILY.chat(self.processor, [{"role": "user", "content": text}])

    def _segment(
        self, index: int, kind: Kind, condition: Condition, rng: np.random.RandomState
    ) -> _Segment:
        clip = self.data.clips[index]
        question = self.question(clip, kind, rng)
        captions = self.data.captions[index]
        caption = captions[rng.randint(len(captions))] if condition.has_caption else None
        audio = make_handle(clip.id, "") if condition.has_audio else None
        prompt = make_prompt(question, condition, audio=audio, caption=caption)
        text = self._chat(prompt.text)
        if condition.has_audio:
            text = text.partition(_AUDIO_END)[2]
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        options = []
        for letter, label in zip(LETTERS, question.options, strict=True):
            line = f"\n{letter}. {label}"
            stop = text.rindex(line + "\n") + len(line)
            at = next(i for i, (a, b) in enumerate(encoded["offset_mapping"]) if a < stop <= b)
            event = next((event for event in clip.events if event.label == label), None)
            options.append((at, _option_target(event)))
        ids = [*encoded["input_ids"], self.letters[LETTERS.index(question.answer)], self.end_id]
        code = list(Kind).index(kind) + 3 * list(Condition).index(condition)
        return _Segment(ids, condition.has_audio, options, code)

    def _collate(self, scenes: list[int], rows: list[list[_Segment]]) -> Batch:
        prefix = len(self.prefix)
        width = max(prefix + sum(len(s.ids) for s in segments) for segments in rows)
        ids = np.full((len(rows), width), self.tokenizer.pad_token_id)
        positions = np.zeros((len(rows), width), dtype=np.int64)
        visible = np.zeros((len(rows), 1, width, width), dtype=bool)
        visible[:, :, np.arange(width), np.arange(width)] = True
        letter_at, letter_ids, kinds, option_at, option_target = [], [], [], [], []
        for row, segments in enumerate(rows):
            ids[row, :prefix] = self.prefix
            positions[row, :prefix] = np.arange(prefix)
            visible[row, 0, :prefix, :prefix] = np.tri(prefix, dtype=bool)
            start = prefix
            for segment in segments:
                size = len(segment.ids)
                span = slice(start, start + size)
                ids[row, span] = segment.ids
                positions[row, span] = np.arange(size) + (prefix if segment.after_audio else 0)
                visible[row, 0, span, span] = np.tri(size, dtype=bool)
                visible[row, 0, span, :prefix] = segment.after_audio
                letter_at.append((row, start + size - 3))
                letter_ids.append(segment.ids[-2])
                kinds.append(segment.code)
                if segment.after_audio:
                    for at, target in segment.options:
                        option_at.append((row, start + at))
                        option_target.append(target)
                start += size
        activity = [self.data.activity(i, self.audio_tokens, SCENE_SECONDS) for i in scenes]
        return Batch(
            mels=torch.from_numpy(np.stack([self.data.mels[i] for i in scenes])).float(),
            input_ids=torch.from_numpy(ids),
            position_ids=torch.from_numpy(positions),
            visible=torch.from_numpy(visible),
            letter_at=torch.tensor(letter_at),
            letter_ids=torch.tensor(letter_ids),
            kinds=torch.tensor(kinds),
            option_at=torch.tensor(option_at),
            option_target=torch.tensor(option_target),
            activity=torch.from_numpy(np.stack(activity)),
        )


@dataclass
class _Segment:
    ids: list[int]
    after_audio: bool
    options: list[tuple[int, tuple[float, float, float, float]]]
    code: int


def _option_target(event: Event | None) -> tuple[float, float, float, float]:
    if event is None:
        return (0.0, 0.0, 0.0, 0.0)
    onset, offset, duration = event.onset, event.offset, event.duration
    return (1.0, onset / SCENE_SECONDS, offset / SCENE_SECONDS, duration / SCENE_SECONDS)
