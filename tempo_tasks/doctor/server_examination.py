"""A model on a server with what it is tried on: one clip at three lengths, three real questions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tempo_attn.families import Family, get_family
from tempo_attn.hub.model_names import loaded_name
from tempo_tasks.audio import Handle
from tempo_tasks.doctor.clips import documents_about, three_clips
from tempo_tasks.doctor.diagnosis import Number
from tempo_tasks.harness.arguments import model_config
from tempo_tasks.serving.completion import Completion
from tempo_tasks.serving.generation_fields import generation_fields
from tempo_tasks.serving.served_model import ServedModel
from tempo_tasks.tiny import WEIGHTS_DIR, is_embedded


class ServerExamination:
    """A served model and what it is tried on; made by `server_examination`.

    Args:
        served: The model, connected.
        handles: A clip at three lengths, the longest first.
        clip: What it is, for the results.
        checkpoint: Folder or Hub id of the same model, whose processor counts tokens here.
    """

    def __init__(
        self,
        served: ServedModel,
        handles: Sequence[Handle],
        clip: Mapping[str, Number],
        checkpoint: str | None,
    ) -> None:
        self.served = served
        self.handles = list(handles)
        self.clip = clip
        self.checkpoint = checkpoint if checkpoint is not None else self._named_by_server()

    def _named_by_server(self) -> str | None:
        """Return the folder that the server says it serves, if it is one of this machine."""
        model = self.served.model
        for name in (self.served.server.models.get(model), model):
            if name and (Path(name) / "config.json").is_file():
                return name
        return None

    @cached_property
    def documents(self) -> list[dict[str, Any]]:
        """The harness's documents of an EO, an LO and an LD question about the scene."""
        return documents_about(self.handles[0])

    def chat(self, number: int) -> str:
        """Return a question as it is sent: 0 for EO, 1 for LO, 2 for LD."""
        return self.served.render(self.documents[number]["prompt"], [self.handles[0]])

    def first(self, number: int, length: int = 0, *, edit: str | None = None) -> Completion:
        """Return the first token of a question's answer, with log-probabilities where given.

        Args:
            number: 0 for EO, 1 for LO, 2 for LD.
            length: Which clip: 0 is the longest, 2 the shortest.
            edit: The configuration that edits it; None for the plain model.
        """
        waves = self.served.waves([self.handles[length]])
        return self.served.first_token(self.chat(number), waves, edit=edit)

    @cached_property
    def answers(self) -> list[Completion]:
        """The first tokens of the three answers, each about a clip of another length."""
        return [self.first(number, number) for number in range(len(self.handles))]

    def together(self, times: int) -> list[Completion]:
        """Return the same, all asked at once, `times` over."""
        served = self.served
        fields = served.logprob_fields() if served.gives_logprobs else served.first_token_fields()
        jobs = [number for _ in range(times) for number in range(len(self.handles))]

        async def ask(number: int) -> Completion:
            return await served.ask(self.chat(number), [self.handles[number]], fields)

        with served.connected() as session:
            found = dict(session.each(jobs, ask))
        return [found[index] for index in range(len(jobs))]

    def generated(self, number: int) -> Completion:
        """Return a greedy answer to a question about the longest clip."""
        fields = generation_fields({"until": [], "max_gen_toks": 8}, 0)
        with self.served.connected() as session:

            async def run() -> Completion:
                return await self.served.ask(self.chat(number), [self.handles[0]], fields)

            return session.call(run)

    # ------------------------------------------------------------------ what is expected

    @cached_property
    def processor(self) -> tuple[Family, Any]:
        """The model's family, and its processor as `lalm` would load it."""
        assert self.checkpoint is not None
        given = self.checkpoint
        config = model_config(given, {})
        family = get_family(config)
        source = str(WEIGHTS_DIR if is_embedded(given) else given)
        return family, family.load_processor(source, trust_remote_code=False)

    def expected_tokens(self, number: int, length: int) -> int:
        """Return how many tokens the model's own processor makes of a prompt."""
        family, processor = self.processor
        text = self.documents[number]["prompt"]
        rendered = family.chat(
            processor, [{"role": "user", "content": text}], add_generation_prompt=True
        )
        (wave,) = self.served.waves([self.handles[length]])
        return int(family.process(processor, [rendered], [wave])["input_ids"].shape[1])

    # ------------------------------------------------------------------ words

    def without_paths(self, message: str) -> str:
        """Return a message without where the clips and the checkpoint lie, and without the key."""
        message = message.replace(str(Path(self.handles[0]["path"]).parent) + os.sep, "")
        for name in (self.checkpoint, self.served.model):
            if name and os.sep in name:
                message = message.replace(name, loaded_name(name))
        key = self.served.arguments.key()
        return message.replace(key, "(key)") if key else message


@contextmanager
def server_examination(
    served: ServedModel, *, clip: Path | None = None, checkpoint: str | None = None
) -> Iterator[ServerExamination]:
    """Make a clip at three lengths, connect, and clean up at the end.

    Args:
        served: The model.
        clip: An audio file; None for a rendered scene of the project's.
        checkpoint: Folder or Hub id of the same model; None for what the server names, if it lies
            on this machine.

    Raises:
        TempoError: The clip cannot be read.
    """
    with three_clips(served, clip) as (handles, told), served.connected():
        yield ServerExamination(served, handles, told, checkpoint)
