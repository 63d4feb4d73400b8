"""Tasks to items: the same prompts, audio and inputs as the harness gives to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tempo_attn.errors import OptionError
from tempo_attn.lab.items import Item
from tempo_attn.lab.run_folder.fingerprints import content_key
from tempo_tasks.audio import Handle, check_audio
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.task import TempoTask
from tempo_tasks.harness.task_index import check_names, our_tasks
from tempo_tasks.questions.conditions import Condition
from tempo_tasks.questions.questions import LETTERS, Kind
from tempo_tasks.scoring import cluster_of, parse_answer

# As task_yamls/_generate.yaml has it.
_GENERATION = {"max_gen_toks": 32, "do_sample": False, "until": ["\n"]}


def load_tasks(names: Sequence[str], metadata: Mapping[str, Any]) -> dict[str, TempoTask]:
    """Load tasks by name; a group gives all its tasks.

    Args:
        names: Tasks or groups of ours.
        metadata: As lm-eval's `--metadata`.

    Raises:
        OptionError: An unknown name.
    """
    manager = our_tasks(metadata)
    check_names(names, manager.all_tasks)
    found: dict[str, TempoTask] = {}
    for name, task in _flat(manager.load_task_or_group(list(names))):
        if isinstance(task, TempoTask):
            found.setdefault(name, task)
    return found


def no_audio(name: str, condition: Condition) -> OptionError:
    """Return the error for a task without audio."""
    return OptionError(
        f"task {name} gives no audio (condition {condition.value}), and what is studied here is "
        "attention on audio; choose *_aqa, *_acqa or *_silence tasks"
    )


def _flat(tasks: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, task in tasks.items():
        pairs += _flat(task) if isinstance(task, Mapping) else [(str(name), task)]
    return pairs


def require_audio(tasks: Mapping[str, TempoTask]) -> None:
    """Check that tasks give audio, before a model is loaded.

    Raises:
        OptionError: One does not.
    """
    for name, task in tasks.items():
        condition = Condition(task.dataset["test"][0]["condition"])
        if not condition.has_audio:
            raise no_audio(name, condition)


def make_items(lm: LALM, tasks: Mapping[str, TempoTask], limit: int | None = None) -> list[Item]:
    """Make items of tasks' documents, after checking all their clips.

    Args:
        lm: The model as the harness has it.
        tasks: Tasks by name; all give audio.
        limit: Only the first ones of each task.

    Raises:
        OptionError: Two tasks hold the same items, or two letters begin with the same token.
        QuestionError: Texts hold special tokens of the model.
        AudioNotFoundError: See `check_audio`.
    """
    items: list[Item] = []
    names: dict[str, str] = {}
    for name, task in tasks.items():
        documents = task.dataset["test"]
        if limit is not None:
            documents = documents.select(range(min(limit, len(documents))))
        lm.check_texts(documents)
        for document in documents:
            item = item_of(lm, document, task.doc_to_audio(document), len(items))
            if names.setdefault(item.key, name) != name:
                raise OptionError(
                    f"tasks {names[item.key]} and {name} hold the same items, which would count "
                    "twice; name one of them"
                )
            items.append(item)
    handles = [handle for item in items for handle in item.content[1]]
    check_audio(handles, lm.sampling_rate, lm.limits, progress=lm.rank == 0)
    return items


def item_of(lm: LALM, document: Mapping[str, Any], handles: Sequence[Handle], index: int) -> Item:
    """Make the item of one document.

    Args:
        lm: The model as the harness has it.
        document: As `tempo_tasks.harness.documents` makes them.
        handles: Its clips.
        index: Its place among the items.

    Raises:
        OptionError: Two letters begin with the same token.
    """
    prompt = lm.render(document["prompt"], handles)
    candidates = []
    for letter in LETTERS:
        tokens = lm.continuation(prompt, letter)
        if not tokens or tokens[:1] in candidates:
            raise OptionError(
                f"{document['id']}: the answer {letter!r} begins with tokens {list(tokens)[:1]}, "
                "which another letter begins with too: the first token does not distinguish "
                "the letters"
            )
        candidates.append(tokens[:1])
    # Named only where it is so: the keys of all other items stay what they were.
    heard = [
        (handle["sha256"], handle["silence"], *(["reversed"] if handle.get("reversed") else []))
        for handle in handles
    ]
    answer = LETTERS.index(document["answer"])
    return Item(
        key=content_key([document["id"], prompt, heard, list(document["options"]), answer]),
        index=index,
        id=f"{document['id']}/{document['condition']}" + _rotation(document),
        # What the laboratory's errors and splits go by; four scenes of a quartet are one.
        cluster=cluster_of(document),
        kind=document["kind"],
        condition=document["condition"],
        candidates=tuple(tokens[0] for tokens in candidates),
        answer=answer,
        length=lm.length(prompt, handles),
        question=Kind(document["kind"]).text,
        options=tuple(document["options"]),
        content=(prompt, handles),
        beginning=content_key([lm.sharing.beginning_of(lm, prompt), heard]) if handles else "",
    )


def _rotation(document: Mapping[str, Any]) -> str:
    return f"/rotation-{document['rotation']}" if document.get("rotation") else ""


def prepare(lm: LALM, items: Sequence[Item]) -> Mapping[str, Any]:
    """Make model inputs of items, as the harness does."""
    prompts = [item.content[0] for item in items]
    inputs: Mapping[str, Any] = lm.inputs(prompts, [lm.waves(item.content[1]) for item in items])
    return inputs


def fingerprints(tasks: Mapping[str, TempoTask]) -> dict[str, Any]:
    """Return what the tasks' data are."""
    return {
        name: {
            key: (task.config.metadata or {}).get(key)
            for key in ("data_name", "data_fingerprint", "prompt_version")
        }
        for name, task in tasks.items()
    }


def generate(lm: LALM, items: Sequence[Item]) -> list[int]:
    """Return which option free generation names for each item; -1 for none.

    Greedy, with the settings of the benchmark's generation tasks.
    """
    texts = lm.generate_batch([item.content for item in items], _GENERATION)
    answers = [
        parse_answer(text, item.options or ()) for text, item in zip(texts, items, strict=True)
    ]
    return [-1 if answer is None else LETTERS.index(answer) for answer in answers]
