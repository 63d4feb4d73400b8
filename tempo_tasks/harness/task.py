"""The task class of every `tempo_*` task: questions under a condition as harness documents.

`dataset_kwargs` in the YAML say what to load; `--metadata` (and so `TEMPO_DATA`) may name other
data for the released benchmark. What was really loaded is written into the task's metadata, and
so into the results.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

import tempo_tasks
from tempo_tasks.audio import make_handle, reversed_handle
from tempo_tasks.conditions import PROMPT_VERSION, Condition, make_prompt
from tempo_tasks.errors import MissingCaptionError, PromptError, QuestionError
from tempo_tasks.mirror import MirrorSet, opposite
from tempo_tasks.questions import Kind, Question
from tempo_tasks.sources.base import QuestionSet

_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "pair": datasets.Value("string"),  # empty but in the mirror tasks
        "clip": datasets.Value("string"),
        "kind": datasets.Value("string"),
        "condition": datasets.Value("string"),
        "prompt": datasets.Value("string"),
        "options": datasets.List(datasets.Value("string")),
        "answer": datasets.Value("string"),
        "answer_text": datasets.Value("string"),
        "n_present": datasets.Value("int32"),
        "audio": datasets.List(
            {
                "sha256": datasets.Value("string"),
                "silence": datasets.Value("bool"),
                "reversed": datasets.Value("bool"),
            }
        ),
    }
)


class TempoTask(ConfigurableTask):  # type: ignore[misc]
    """A temporal-question task; configured by its YAML like any other."""

    def __init__(self, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # `class` brought the harness here; the configuration proper has no such field.
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        super().__init__(config=config, **kwargs)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the questions and lay them out as documents."""
        settings = dataset_kwargs or {}
        metadata = self.config.metadata or {}
        kind, condition = Kind(settings["kind"]), Condition(settings["condition"])
        questions: QuestionSet | MirrorSet
        if condition is Condition.MIRROR:
            questions = load_mirror(settings["source"], kind, metadata)
            documents, audio = mirror_documents(questions), questions.audio
            metadata = {**metadata, "mirror": questions.describe()}
        else:
            questions = load_questions(settings["source"], kind, metadata)
            documents, audio = to_documents(questions, condition), list(questions.audio.values())
        self.dataset = datasets.DatasetDict({"test": documents})
        self._paths: dict[str, str] = {handle["sha256"]: handle["path"] for handle in audio}
        self.config.metadata = {
            **metadata,
            "tempo_version": tempo_tasks.__version__,
            "data_name": questions.name,
            "data_fingerprint": questions.fingerprint,
            "prompt_version": PROMPT_VERSION,
        }

    def doc_to_audio(self, doc: Any, doc_to_audio: Any = None) -> list[dict[str, Any]]:
        """Return the lazy handles of a document; where the files lie is not part of it."""
        handles = []
        for held in doc["audio"]:
            handle = make_handle(self._paths[held["sha256"]], held["sha256"])
            handle["silence"] = held["silence"]
            # Absent where it is false: see `reversed_handle`.
            handles.append(reversed_handle(handle) if held.get("reversed") else handle)
        return handles

    def build_all_requests(self, **kwargs: Any) -> None:
        """Build the requests; see lm-eval's `Task`.

        Raises:
            PromptError: A system instruction without the chat template that would hold it.
        """
        if kwargs.get("system_instruction") and not kwargs.get("apply_chat_template"):
            raise PromptError(
                "--system_instruction needs --apply_chat_template: without it the harness puts "
                "the instruction into the user's turn, before the audio"
            )
        if kwargs.get("cache_requests"):
            # The harness keeps requests under the names of task and tokenizer alone; other data or
            # another prompt must not be given the old ones.
            documents = [[doc["id"], doc["prompt"], doc["audio"]] for doc in self.dataset["test"]]
            content = json.dumps([documents, sorted(self._paths.values())], sort_keys=True)
            digest = hashlib.sha256(content.encode()).hexdigest()[:16]
            kwargs["tokenizer_name"] = f"{kwargs.get('tokenizer_name', '')}-tempo-{digest}"
        super().build_all_requests(**kwargs)


def load_questions(source: str, kind: Kind, metadata: Mapping[str, Any]) -> QuestionSet:
    """Load one kind's questions.

    Args:
        source: "synth" (rendered scenes) or "released" (the published benchmark).
        kind: EO, LO or LD.
        metadata: The task's, with what `--metadata` added: `data`, `data_revision` and
            `data_split` name other data for "released"; `synth_scenes` shortens the test set for
            quick trials (the name and the fingerprint in the results tell).
    """
    if source == "synth":
        from tempo_tasks.sources.synth.testset import load_synth

        return load_synth(kind, scenes=_synth_scenes(metadata))
    if source == "released":
        # Resolved here, so that a changed TEMPO_DATA is not answered with the old folder's table.
        data = metadata.get("data") or os.environ.get("TEMPO_DATA")
        return _load_released(kind, data, metadata.get("data_revision"), metadata.get("data_split"))
    raise ValueError(f"unknown source {source!r}; expected 'synth' or 'released'")


def load_mirror(source: str, kind: Kind, metadata: Mapping[str, Any]) -> MirrorSet:
    """Load one kind's questions beside those about the mirrored twins.

    Args:
        source: "synth" (twins are rendered) or "released" (twins are played backwards).
        kind: EO or LO.
        metadata: As for `load_questions`.

    Raises:
        NoMirrorError: LD, or no question has a twin.
    """
    if source == "synth":
        from tempo_tasks.sources.synth.mirror import load_synth_mirror

        return load_synth_mirror(kind, scenes=_synth_scenes(metadata))
    from tempo_tasks.sources.backwards import play_backwards

    other = opposite(kind)
    return play_backwards(
        load_questions(source, kind, metadata), load_questions(source, other, metadata)
    )


def _synth_scenes(metadata: Mapping[str, Any]) -> int:
    from tempo_tasks.sources.synth.testset import TEST_SCENES

    scenes = metadata.get("synth_scenes", TEST_SCENES)
    if not isinstance(scenes, int) or isinstance(scenes, bool) or scenes < 1:
        raise QuestionError(f"synth_scenes is {scenes!r}; expected a number of scenes, from 1")
    return scenes


# All conditions of a kind, by generation and by likelihood, read the same table.
@lru_cache(maxsize=6)
def _load_released(
    kind: Kind, data: str | None, revision: str | None, split: str | None
) -> QuestionSet:
    from tempo_tasks.sources.hub import load_released

    return load_released(kind, data=data, revision=revision, split=split)


def to_documents(questions: QuestionSet, condition: Condition) -> datasets.Dataset:
    """Pose every question under a condition.

    Raises:
        MissingCaptionError: A caption condition, and clips without caption; lists some.
    """
    if condition.has_caption:
        without = sorted({q.clip_id for q in questions.questions} - set(questions.captions))
        if without:
            shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
            raise MissingCaptionError(
                f"{questions.name}: {len(without)} clips have no caption ({shown}), and condition "
                f"{condition.value} gives the caption. Add a `caption` column to the data, or run "
                "the aqa and silence tasks"
            )
    rows = [_row(questions, question, condition) for question in questions.questions]
    return datasets.Dataset.from_list(rows, features=_FEATURES)


def mirror_documents(mirror: MirrorSet) -> datasets.Dataset:
    """Pose every question, and right after it the same question about the clip's twin."""
    rows = []
    for pair in mirror.pairs:
        rows.append(_row(mirror.originals, pair.original, Condition.AQA, pair.id))
        rows.append(_row(mirror.twins, pair.twin, Condition.MIRROR, pair.id))
    return datasets.Dataset.from_list(rows, features=_FEATURES)


def _row(
    questions: QuestionSet, question: Question, condition: Condition, pair: str = ""
) -> dict[str, Any]:
    prompt = make_prompt(
        question,
        condition,
        audio=questions.audio[question.clip_id],
        caption=questions.captions.get(question.clip_id),
    )
    return {
        "id": question.id,
        "pair": pair,
        "clip": question.clip_id,
        "kind": question.kind.value,
        "condition": condition.value,
        "prompt": prompt.text,
        "options": list(question.options),
        "answer": question.answer,
        "answer_text": question.answer_text,
        "n_present": question.n_present,
        "audio": [
            {
                "sha256": handle["sha256"],
                "silence": handle["silence"],
                "reversed": bool(handle.get("reversed")),
            }
            for handle in prompt.audio
        ],
    }
