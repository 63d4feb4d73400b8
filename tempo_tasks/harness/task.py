"""The task class of every `tempo_*` task: questions under a condition as harness documents.

`dataset_kwargs` in the YAML say what to load: source, kind, condition, and for some tasks the
phrasing (`prompt`) or that options are asked in all rotations (`rotations`). `--metadata` (and so
`TEMPO_DATA`) may name other data for the released benchmark, and where and how a caption is given.
What was really loaded and asked is written into the task's metadata, and so into the results.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

import tempo_tasks
from tempo_attn.errors import OptionError
from tempo_attn.lab.run_folder.fingerprints import code_fingerprint
from tempo_tasks.audio import Handle, document_handle
from tempo_tasks.errors import PromptError
from tempo_tasks.harness.documents import ROTATIONS, mirror_documents, to_documents
from tempo_tasks.harness.generation_arguments import updated
from tempo_tasks.prompts import CAPTION_WORDING, OPTIONS_FORMS, QUOTED, PromptStyle
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.mirror import MirrorSet, opposite
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Kind, Question


class TempoTask(ConfigurableTask):  # type: ignore[misc]
    """A temporal-question task; configured by its YAML like any other."""

    def __init__(self, config: dict[str, Any] | None = None, **kwargs: Any) -> None:
        # `class` brought the harness here; the configuration proper has no such field.
        config = {key: value for key, value in (config or {}).items() if key != "class"}
        _refuse_few_shot(config.get("num_fewshot"), config.get("task"))
        super().__init__(config=config, **kwargs)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Load the questions and lay them out as documents."""
        settings = dataset_kwargs or {}
        metadata = self.config.metadata or {}
        kind, condition = Kind(settings["kind"]), Condition(settings["condition"])
        style = prompt_style(settings.get("prompt", 1), metadata)
        if style.variant == QUOTED and self.config.doc_to_choice == list(LETTERS):
            raise PromptError(
                f"options_form is 'quoted', and {self.config.task} scores letters, which such a "
                "prompt does not have; use tasks by generation or those with _text"
            )
        questions: QuestionSet | MirrorSet
        # What the laboratory asks of an item's clip; times of mirrored twins are other ones.
        self.questions: tuple[Question, ...] = ()
        self.clips: Mapping[str, Clip] = {}
        if condition is Condition.MIRROR:
            questions = load_mirror(settings["source"], kind, metadata)
            documents, audio = mirror_documents(questions), questions.audio
            metadata = {**metadata, "mirror": questions.describe()}
        else:
            questions = load_questions(settings["source"], kind, metadata)
            self.questions, self.clips = questions.questions, questions.clips
            rotations = ROTATIONS if settings.get("rotations") else (0,)
            documents = to_documents(questions, condition, style=style, rotations=rotations)
            audio = list(questions.audio.values())
        self.dataset = datasets.DatasetDict({"test": documents})
        self._paths: dict[str, str] = {handle["sha256"]: handle["path"] for handle in audio}
        self.config.metadata = {
            **metadata,
            "tempo_version": tempo_tasks.__version__,
            "data_name": questions.name,
            "data_fingerprint": questions.fingerprint,
            "prompt_version": style.version,
        }
        if condition.has_caption:
            self.config.metadata |= {
                "caption_place": style.caption_place,
                "caption_wording": style.caption_wording,
            }

    def doc_to_audio(self, doc: Any, doc_to_audio: Any = None) -> list[Handle]:
        """Return the lazy handles of a document; where the files lie is not part of it."""
        return [document_handle(audio, self._paths) for audio in doc["audio"]]

    def set_config(self, key: str, value: Any, update: bool = False) -> None:
        """Change the configuration, as lm_eval does by its command line; see lm-eval's `Task`.

        Raises:
            PromptError: Few-shot examples are asked for.
            GenerationArgumentError: See `tempo_tasks.harness.generation_arguments`.
        """
        if key == "num_fewshot":
            _refuse_few_shot(value, self.config.task)
        if key == "generation_kwargs" and update:
            value, update = updated(self.config.generation_kwargs or {}, value), False
        super().set_config(key, value, update)

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
            # The harness keeps requests under the names of task and tokenizer alone; other data,
            # another prompt or other generation arguments must not be given the old ones.
            documents = [[doc["id"], doc["prompt"], doc["audio"]] for doc in self.dataset["test"]]
            template = kwargs.get("chat_template")
            turn = [{"role": "user", "content": "?"}]
            shaping = {
                "documents": documents,
                "paths": sorted(self._paths.values()),
                "configuration": self.dump_config(),
                "chat": template(turn) if template is not None else None,
                "code": code_fingerprint(tempo_tasks),
            }
            content = json.dumps(shaping, sort_keys=True, default=str)
            digest = hashlib.sha256(content.encode()).hexdigest()[:16]
            kwargs["tokenizer_name"] = f"{kwargs.get('tokenizer_name', '')}-tempo-{digest}"
        super().build_all_requests(**kwargs)

    def apply_filters(self) -> Any:
        """Run the filters, on the answers that were asked for.

        Where several processes have different numbers of requests, lm-eval repeats the last one
        and keeps every answer to it; those beyond the first would stand in the samples as further
        answers to one item.
        """
        for instance in self._instances or ():
            del instance.resps[instance.repeats :]
        return super().apply_filters()


def _refuse_few_shot(num_fewshot: int | None, task: str | None) -> None:
    if num_fewshot:
        raise PromptError(
            f"num_fewshot is {num_fewshot}, and {task} takes no examples: the harness does not "
            "collect their audio. Leave --num_fewshot out"
        )


def prompt_style(variant: int, metadata: Mapping[str, Any]) -> PromptStyle:
    """Return how a task puts its questions into words.

    Args:
        variant: The phrasing that the task names.
        metadata: The task's, where `caption_place`, `caption_wording` and `options_form` may be
            given.

    Raises:
        PromptError: See `PromptStyle`; or an unknown form of options, or one for a task that has
            another phrasing.
    """
    form = metadata.get("options_form", "lettered")
    if form not in OPTIONS_FORMS:
        raise PromptError(f"options_form is {form!r}; expected one of {list(OPTIONS_FORMS)}")
    if form == "quoted":
        if variant != 1:
            raise PromptError(
                f"options_form is 'quoted', and the task asks by phrasing {variant}; use tasks "
                "without _prompt in their names"
            )
        variant = QUOTED
    return PromptStyle(
        variant=variant,
        caption_place=metadata.get("caption_place", "before"),
        caption_wording=metadata.get("caption_wording", CAPTION_WORDING),
    )


def load_questions(source: str, kind: Kind, metadata: Mapping[str, Any]) -> QuestionSet:
    """Load one kind's questions.

    Args:
        source: "synth" (rendered scenes), "synth_hard" (quartets of them), "released" (the
            published benchmark) or "hard" (hard questions about its clips).
        kind: EO, LO or LD.
        metadata: The task's, with what `--metadata` added. For "released" and "hard": `data`,
            `data_revision` and `data_split` name other data, `data_intervals` (a path or several)
            and `data_captions` (a path) tables to join. `synth_scenes` and `synth_quartets`
            shorten the rendered sets for quick trials (the name and the fingerprint in the results
            tell).

    Raises:
        OptionError: A number or a path in `metadata` is none.
    """
    if source == "synth":
        from tempo_tasks.sources.synth.testset import TEST_SCENES, load_synth

        return load_synth(kind, scenes=_count(metadata, "synth_scenes", TEST_SCENES))
    if source == "synth_hard":
        from tempo_tasks.sources.synth.quartets import QUARTETS, load_synth_hard

        return load_synth_hard(kind, quartets=_count(metadata, "synth_quartets", QUARTETS))
    if source not in ("released", "hard"):
        raise ValueError(
            f"unknown source {source!r}; expected 'synth', 'synth_hard', 'released' or 'hard'"
        )
    captions = _tables(metadata, "data_captions")
    if len(captions) > 1:
        raise OptionError(f"data_captions names {len(captions)} files; expected one")
    return _load_released(
        source,
        kind,
        # Resolved here, so that a changed TEMPO_DATA is not answered with the old folder's table.
        metadata.get("data") or os.environ.get("TEMPO_DATA"),
        metadata.get("data_revision"),
        metadata.get("data_split"),
        _tables(metadata, "data_intervals"),
        captions[0] if captions else None,
    )


def load_mirror(source: str, kind: Kind, metadata: Mapping[str, Any]) -> MirrorSet:
    """Load one kind's questions beside those about the mirrored twins.

    Args:
        source: "synth" (twins are rendered) or "released" (twins are played backwards, but for a
            folder with rendered ones: see `tempo_tasks.sources.rendered_twins`).
        kind: EO or LO.
        metadata: The metadata of the task; see `load_questions`.

    Raises:
        NoMirrorError: LD, or no question has a twin.
    """
    if source == "synth":
        from tempo_tasks.sources.synth.mirrored_scenes import load_synth_mirror
        from tempo_tasks.sources.synth.testset import TEST_SCENES

        return load_synth_mirror(kind, scenes=_count(metadata, "synth_scenes", TEST_SCENES))
    from tempo_tasks.sources.backwards import play_backwards
    from tempo_tasks.sources.captions_and_intervals import find_intervals
    from tempo_tasks.sources.rendered_twins import beside_twins, find_twins

    other = opposite(kind)
    data = metadata.get("data") or os.environ.get("TEMPO_DATA")
    folder = Path(data).expanduser() if data else None
    if folder is not None and (twins := find_twins(folder)):
        clips = find_intervals(folder, _tables(metadata, "data_intervals")).clips
        asked = load_questions(source, kind, metadata)
        return beside_twins(asked, twins, folder, dict(clips))
    return play_backwards(
        load_questions(source, kind, metadata), load_questions(source, other, metadata)
    )


def _count(metadata: Mapping[str, Any], key: str, default: int) -> int:
    count = metadata.get(key, default)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise OptionError(f"{key} is {count!r}; expected a number of scenes, from 1")
    return count


def _tables(metadata: Mapping[str, Any], key: str) -> tuple[Path, ...]:
    named = metadata.get(key) or []
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(path, str) for path in named):
        raise OptionError(f"{key} is {named!r}; expected the path of a table, or a list of them")
    return tuple(Path(path).expanduser() for path in named)


# All conditions of a kind, by generation and by likelihood, read the same table.
@lru_cache(maxsize=6)
def _load_released(
    source: str,
    kind: Kind,
    data: str | None,
    revision: str | None,
    split: str | None,
    intervals: tuple[Path, ...],
    captions: Path | None,
) -> QuestionSet:
    from tempo_tasks.sources.hard import load_hard
    from tempo_tasks.sources.hub import load_released

    load = partial(
        load_released,
        data=data,
        revision=revision,
        split=split,
        intervals=intervals,
        captions=captions,
    )
    return load_hard(kind, load) if source == "hard" else load(kind)
