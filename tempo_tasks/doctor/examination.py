"""The loaded model with what it is tried on: one clip at three lengths, three real questions.

Checks ask for model inputs and logits here. What several of them need is computed once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from torch import Tensor

from tempo_attn import AttnScaleConfig, AttnScaleModel, apply_attn_scale
from tempo_attn.errors import PositionError
from tempo_attn.hub.model_names import loaded_name
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.items import Item
from tempo_attn.prompts.decoded_text import TextReader
from tempo_attn.prompts.positions import Given, Prompt, read_prompt
from tempo_tasks.audio import Handle, Wave
from tempo_tasks.doctor.clips import documents_about, three_clips
from tempo_tasks.doctor.diagnosis import Number
from tempo_tasks.harness import editing
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab.tasks_to_items import item_of, prepare
from tempo_tasks.questions.questions import LETTERS

Row = tuple[Any, Sequence[Handle]]
"""What the harness renders of a prompt, and its clips."""


class Examination:
    """A loaded model and what it is tried on; made by `examination`.

    Args:
        lm: The model as the harness has it, without an edit.
        handles: A clip at three lengths, the longest first.
        clip: What it is, for the results.
        attn_scale: A configuration to try on it.

    Attributes:
        lm: The model.
        handles: The clips.
        clip: What they are.
        attn_scale: The configuration.
        reachable: Layers whose edited rows see audio; None until a check has found out.
    """

    def __init__(
        self,
        lm: LALM,
        handles: Sequence[Handle],
        clip: Mapping[str, Number],
        attn_scale: AttnScaleConfig | None = None,
    ) -> None:
        self.lm = lm
        self.handles = list(handles)
        self.clip = clip
        self.attn_scale = attn_scale
        self.reachable: list[int] | None = None

    # ------------------------------------------------------------------ what is asked

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """The harness's documents of an EO, an LO and an LD question about the scene."""
        return documents_about(self.handles[0])

    def row(self, number: int, length: int = 0) -> Row:
        """Return a question as the harness renders it.

        Args:
            number: 0 for EO, 1 for LO, 2 for LD.
            length: Which clip: 0 is the longest, 2 the shortest.
        """
        handles = [self.handles[length]]
        return self.lm.render(self.documents[number]["prompt"], handles), handles

    @cached_property
    def rows(self) -> list[Row]:
        """The three questions, each about a clip of another length."""
        return [self.row(number, number) for number in range(len(self.handles))]

    @cached_property
    def items(self) -> list[Item]:
        """The three questions about the longest clip, as the laboratory has them."""
        handles = [self.handles[0]]
        return [item_of(self.lm, d, handles, n) for n, d in enumerate(self.documents)]

    def requests(self, number: int) -> list[Instance]:
        """Return what the harness asks for a question by likelihood: one request a letter.

        Args:
            number: 0 for EO, 1 for LO, 2 for LD; about the longest clip.
        """
        document = self.documents[number]
        arguments: list[Any] = [
            (document["prompt"], letter, {"audio": [self.handles[0]]}) for letter in LETTERS
        ]
        return [
            Instance(request_type="loglikelihood", doc=document, arguments=given, idx=at)
            for at, given in enumerate(arguments)
        ]

    # ------------------------------------------------------------------ the model

    @property
    def dtype(self) -> torch.dtype:
        """The decoder's floating-point type."""
        return next(self.lm.family.decoder(self.lm.model).parameters()).dtype

    def inputs(self, rows: Sequence[Row], waves: Sequence[Sequence[Wave]] | None = None) -> Any:
        """Return model inputs as the harness makes them.

        Args:
            rows: The prompts.
            waves: Other waveforms than those of the clips.
        """
        heard = waves or [self.lm.waves(handles) for _, handles in rows]
        return self.lm.inputs([prompt for prompt, _ in rows], heard)

    def logits(self, inputs: Mapping[str, Any], model: Any = None) -> Tensor:
        """Return the next token's logits of each prompt, (prompts, vocabulary), float32."""
        with torch.inference_mode():
            output = (self.lm.model if model is None else model)(**inputs)
        last: Tensor = output.logits[:, -1]
        return last.float().cpu()

    @cached_property
    def first_inputs(self) -> Any:
        """Inputs of the first question about the longest clip."""
        return self.inputs(self.rows[:1])

    @cached_property
    def first_logits(self) -> Tensor:
        """The plain model's logits on them, (1, vocabulary)."""
        return self.logits(self.first_inputs)

    @cached_property
    def change_by_running_again(self) -> float:
        """By how much the plain model's logits differ from one run to the next: 0 in most."""
        again = self.logits(self.inputs(self.rows[:1]))
        return float((again - self.first_logits).abs().max())

    @cached_property
    def subject(self) -> ModelUnderStudy:
        """The model as the laboratory has it."""
        return ModelUnderStudy(
            self.lm.model, lambda items: prepare(self.lm, items), tokenizer=self.lm.tokenizer
        )

    @property
    def layers_with_attention(self) -> list[int]:
        """The decoder's layers that have attention; a hybrid one has others, too."""
        attentions = self.subject.decoder.attentions
        return [number for number, attention in enumerate(attentions) if attention is not None]

    @contextmanager
    def edited(self, config: AttnScaleConfig) -> Iterator[AttnScaleModel]:
        """Wrap the model with an edit as the harness does, inside the context."""
        wrapped = editing.wrap(
            self.lm.model, config, revision=None, missing="raise", processor=self.lm.processor
        )
        try:
            yield wrapped
        finally:
            wrapped.unload()

    def change_by_recomputing(self, config: AttnScaleConfig) -> float:
        """Return by how much the first logits change where an edit's rows are only recomputed."""
        neutral = replace(
            config,
            mode="scale",
            strength=1.0,
            adaptive=None,
            source=None,
            base_model_name_or_path=None,
        )
        model = apply_attn_scale(
            self.lm.model, neutral, tokenizer=self.lm.processor, recompute_identity=True
        )
        try:
            found = self.logits(self.first_inputs, model)
        finally:
            model.unload()
        return float((found - self.first_logits).abs().max())

    # ------------------------------------------------------------------ positions

    @cached_property
    def reader(self) -> TextReader:
        """Decodes prompts."""
        return TextReader(self.lm.tokenizer)

    def positions(self, inputs: Mapping[str, Any]) -> Prompt:
        """Read where audio, text and padding are in model inputs."""
        return read_prompt(self.lm.family, self.lm.model.config, inputs, Given())

    def found_rows(self, prompt: Prompt, *names: str) -> Tensor:
        """Return query rows as an edit in the harness finds them, (prompts, tokens) bool.

        Raises:
            PositionError: They are not found.
        """
        return prompt.rows(
            AttnScaleConfig(strength=2.0, queries=list(names)), self.reader, _complain
        )

    # ------------------------------------------------------------------ words

    def without_paths(self, message: str) -> str:
        """Return a message without where the clips of this examination and the model lie."""
        message = message.replace(str(Path(self.handles[0]["path"]).parent) + os.sep, "")
        folder = str(self.lm.model.config._name_or_path)
        return message.replace(folder, loaded_name(folder)) if os.sep in folder else message


def _complain(message: str) -> None:
    raise PositionError(message)


@contextmanager
def examination(
    lm: LALM, *, clip: Path | None = None, attn_scale: AttnScaleConfig | None = None
) -> Iterator[Examination]:
    """Make a clip at three lengths, and remove them at the end.

    Args:
        lm: The model as the harness has it, without an edit.
        clip: An audio file; None for a rendered scene of the project's.
        attn_scale: A configuration to try on it.

    Raises:
        TempoError: The file cannot be read, or is shorter than the model needs; see
            `tempo_tasks.audio.read_audio`.
    """
    with three_clips(lm, clip) as (handles, told):
        yield Examination(lm, handles, told, attn_scale)
