"""What a benchmark's rows look like: a small YAML file a set.

    name: myset                      # tasks are called tempo_myset_<part>_aqa
    about: My questions about my clips.
    hub: someone/my-set              # or `get: how a local copy is had`
    audio: audio_path                # a file, several, or the bytes of one
    question: question
    options: choices                 # a list, JSON, or [optionA, optionB, ...] for columns
    answer: answer
    answer_is: text                  # or letter
    parts:
      all: {files: [test.json]}

Keys that name columns stand at the top, or in a part that differs from the others. A list of names
stands for the first of them that a row has, except in `options`, where it names one column an
option. A dot goes into nested objects and lists: `scene.events.text`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.benchmarks.clip_orders import ORDERS

SETS = Path(__file__).parent / "sets"
Columns = tuple[str, ...]
_NAME = re.compile(r"[a-z][a-z0-9]*")
# Words that say something else in the names of tasks.
_TAKEN = {kind.value for kind in Kind} | {
    *("aqa", "cqa", "acqa", "silence", "mirror", "synth", "hard", "ll", "text", "rot", "seconds"),
}
_SOURCE = "file of the description"  # no key that a file can have: for messages
ANSWERS = ("letter", "text")
# What items may lack without being faults: they cannot be scored, and are counted.
MAY_LACK = ("options", "answer", "audio")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a benchmark, with tasks of its own.

    Attributes:
        name: Part of the task names.
        files: Where its rows are in a copy; the first that exists is read. None of them, or an
            empty list: the only table of the folder, or that of `split`.
        split: The split of a copy that the Hub's Parquet files make up.
        where: Columns and the value that a row of this part has in them.
        audio: Columns of the clips: names of files, or their bytes.
        id: Column of the item's name; without one, rows are numbered.
        question: Column of the sentence.
        options: One column with all options, or one column an option.
        answer: Column of the right one.
        answer_is: "letter" or "text".
        seconds: Column of the right time, where the items can be asked for seconds too (or alone:
            then `options: []`).
        sounds: Column of the labels of the sounds in the clip, in the order they start in.
        categories: Columns by which scores are split.
        may_lack: What rows may lack, of `MAY_LACK`: they are left out, and counted.
    """

    name: str
    files: Columns = ()
    split: Columns = ()
    where: Mapping[str, str] = field(default_factory=dict)
    audio: Columns = ("audio",)
    id: Columns = ()
    question: Columns = ("question",)
    options: Columns = ("choices",)
    answer: Columns = ("answer",)
    answer_is: str = "text"
    seconds: Columns = ()
    sounds: Columns = ()
    categories: Columns = ()
    may_lack: Columns = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """A benchmark.

    Attributes:
        name: Lower-case letters and digits; part of the task names.
        about: What it asks, in one sentence.
        parts: Its parts, by name.
        hub: Id of the data set on the Hub; empty where it is not there.
        get: How a local copy is had.
        licence: What the authors say of its use.
        audio_folders: Folders of a copy in which clips are looked for, beside the copy itself.
        same_sound: Names of sounds in the options, and what `sounds` calls them.
        clip_order: How clips are permuted (see `clip_orders`); empty: as they stand.
        runs: How often each item is asked, where clips are permuted.
        seen: Which of its columns were read from public files, and which were not seen.
    """

    name: str
    about: str
    parts: Mapping[str, Part]
    hub: str = ""
    get: str = ""
    licence: str = ""
    audio_folders: Columns = ()
    same_sound: Mapping[str, str] = field(default_factory=dict)
    clip_order: str = ""
    runs: int = 1
    seen: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that names a local copy."""
        return f"TEMPO_DATA_{self.name.upper()}"

    def part(self, name: str) -> Part:
        """Return a part.

        Raises:
            OptionError: There is none of that name.
        """
        if name not in self.parts:
            raise OptionError(
                f"{self.name} has no part {name!r}; expected one of {list(self.parts)}."
                f"{did_you_mean(name, self.parts)}"
            )
        return self.parts[name]


def described_sets() -> list[str]:
    """Return the names of the sets that this package describes."""
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def describe(given: str | Mapping[str, Any]) -> Description:
    """Return a description by the name of a set, by the path of a YAML file, or from its keys.

    Raises:
        OptionError: There is no such set or file, or this is no description; the message says
            which key is wrong.
    """
    if isinstance(given, Mapping):
        return _described(dict(given), str(given.get("name") or "the description"))
    return _described_file(given)


@cache
def _described_file(name: str) -> Description:
    path = SETS / f"{name}.yaml" if name in described_sets() else Path(name).expanduser()
    if not path.is_file():
        raise OptionError(
            f"there is no benchmark {name!r}; expected one of {described_sets()}, or the path of a "
            f"description (see docs/other_benchmarks.md).{did_you_mean(name, described_sets())}"
        )
    return describe({**read_keys(path), _SOURCE: path.name})


def read_keys(path: Path) -> dict[str, Any]:
    """Return the keys of a description's file.

    Raises:
        OptionError: It is no YAML file with keys.
    """
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise OptionError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise OptionError(f"{path.name}: expected keys such as name, question, options and parts")
    return given


def _described(given: dict[str, Any], where: str) -> Description:
    where = given.pop(_SOURCE, where)
    of_part = {found.name for found in fields(Part)} - {"name"}
    shared = {key: given[key] for key in given if key in of_part}
    own = {key: value for key, value in given.items() if key not in of_part}
    known = {found.name for found in fields(Description)}
    _refuse_unknown(where, own, known | of_part)
    name = _word(where, "name", own.pop("name", None))
    parts = own.pop("parts", None)
    if not isinstance(parts, dict) or not parts:
        raise OptionError(
            f"{where}: parts is {parts!r}; expected names of parts, such as `all: {{}}`"
        )
    made = {}
    for part, differs in parts.items():
        _word(where, "a part", part)
        differs = differs or {}
        if not isinstance(differs, dict):
            raise OptionError(f"{where}, part {part}: expected keys, found {differs!r}")
        _refuse_unknown(f"{where}, part {part}", differs, of_part)
        made[part] = _part(f"{where}, part {part}", part, {**shared, **differs})
    return _checked(
        where,
        Description(
            name=name,
            about=_text(where, "about", own.pop("about", None)),
            parts=made,
            audio_folders=_columns(where, "audio_folders", own.pop("audio_folders", [])),
            same_sound=_mapping(where, "same_sound", own.pop("same_sound", {})),
            runs=own.pop("runs", 1),
            **{key: _text(where, key, value) for key, value in own.items()},
        ),
    )


def _checked(where: str, found: Description) -> Description:
    if found.clip_order and found.clip_order not in ORDERS:
        raise OptionError(
            f"{where}: clip_order is {found.clip_order!r}; expected one of {sorted(ORDERS)}"
        )
    runs = found.runs
    if not isinstance(runs, int) or not 1 <= runs <= 6 or (runs > 1 and not found.clip_order):
        raise OptionError(f"{where}: runs is {runs!r}; expected 1 to 6, above 1 with clip_order")
    if not (found.hub or found.get):
        raise OptionError(f"{where}: expected `hub`, an id on the Hub, or `get`, how it is had")
    return found


def _part(where: str, name: str, given: Mapping[str, Any]) -> Part:
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key == "where":
            made[key] = _mapping(where, key, value)
        elif key == "answer_is":
            made[key] = value
        else:
            made[key] = _columns(where, key, value)
    part = replace(Part(name=name), **made)
    if part.answer_is not in ANSWERS:
        raise OptionError(f"{where}: answer_is is {part.answer_is!r}; expected letter or text")
    if unknown := set(part.may_lack) - set(MAY_LACK):
        raise OptionError(f"{where}: may_lack has {sorted(unknown)}; expected some of {MAY_LACK}")
    return part


def _refuse_unknown(where: str, given: Mapping[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise OptionError(
                f"{where}: there is no key {key!r}; expected some of {sorted(known)}."
                f"{did_you_mean(key, sorted(known))}"
            )


def _word(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value in _TAKEN:
        raise OptionError(
            f"{where}: {key} is {value!r}; expected lower-case letters and digits, and none of the "
            f"words of task names: {sorted(_TAKEN)}"
        )
    return value


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise OptionError(f"{where}: {key} is {value!r}; expected text")
    return " ".join(value.split())


def _columns(where: str, key: str, value: Any) -> Columns:
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(name, str) and name for name in named):
        raise OptionError(f"{where}: {key} is {value!r}; expected a name, or a list of names")
    return tuple(named)


def _mapping(where: str, key: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise OptionError(f"{where}: {key} is {value!r}; expected names and values")
    return {name: str(found) for name, found in value.items()}
