"""Prompts with audio for the tiny model, and where an edit should find its rows."""

from dataclasses import dataclass

import numpy as np
import torch

SCENES = [
    ("Which event has the earliest onset?", ["Dog bark", "Siren", "Door slam", "Bell"], 0.6),
    ("Which event has the latest offset?", ["Alarm clock", "Bird song", "Horn", "Rain"], 1.4),
]


@dataclass
class Case:
    """Inputs of a left-padded batch, with the positions that an edit should find.

    The positions come from the tokenizer's own offsets, which tempo_attn does not use.
    """

    inputs: dict
    audio: torch.Tensor  # (batch, tokens) bool, like the rows
    rows: dict

    @property
    def real(self):
        return self.inputs["attention_mask"].bool()


def build_case(processor, scenes=SCENES, seed=0):
    rng = np.random.RandomState(seed)
    texts, waves = [], []
    for question, options, seconds in scenes:
        lines = [question, *(f"{letter}. {o}" for letter, o in zip("ABCD", options, strict=True))]
        content = [
            {"type": "audio", "audio": ""},
            {"type": "text", "text": "\n".join([*lines, "Answer with the letter."])},
        ]
        message = [{"role": "user", "content": content}]
        texts.append(processor.apply_chat_template(message, add_generation_prompt=True))
        waves.append(0.1 * rng.standard_normal(int(16000 * seconds)).astype(np.float32))
    processor.tokenizer.padding_side = "left"
    inputs = processor(
        text=texts, audio=waves, sampling_rate=16000, return_tensors="pt", padding=True
    )
    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    audio = ids == processor.tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    rows = {name: torch.zeros_like(mask) for name in ("last", "keyword", "option")}
    rows["last"][:, -1] = True
    rows["all_text"] = mask & ~audio
    for row, (question, options, _) in enumerate(scenes):
        # Behind the audio, the prompt is plain text: tokenise that part with offsets.
        start = int(audio[row].nonzero().max()) + 2  # <|audio_eos|> lies between
        text = processor.tokenizer.decode(ids[row, start:])
        parts = processor.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        assert parts["input_ids"] == ids[row, start:].tolist()
        keyword = next(word for word in ("earliest", "latest") if word in question)
        for name, words in (("keyword", [keyword]), ("option", options)):
            for word in words:
                begin = text.index(word, text.index(question))
                for at, (left, right) in enumerate(parts["offset_mapping"]):
                    if left < begin + len(word) and right > begin:
                        rows[name][row, start + at] = True
    return Case(dict(inputs), audio, rows)
