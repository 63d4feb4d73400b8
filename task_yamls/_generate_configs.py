"""Write the task files: `python task_yamls/_generate_configs.py` (lm-eval's name for such a file).

A YAML file includes another by replacing whole keys, so a list of metrics that is one item longer
must be written out whole. Here each metric stands once. The files are committed, and a test
compares them with what this makes; a file in this folder that it does not make is removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tempo_tasks.harness.benchmark_files import benchmark_files
from tempo_tasks.sources.benchmarks.description import describe, described_sets

FOLDER = Path(__file__).absolute().parent
KINDS = ("eo", "lo", "ld")
MIRRORED = ("eo", "lo")  # reversed order leaves the longest duration what it was
CONDITIONS = ("aqa", "cqa", "acqa", "silence")
PROMPTS = (1, 2, 3)


# Metrics


@dataclass(frozen=True)
class Metric:
    """A metric and its clustered error.

    Attributes:
        name: As in the results.
        aggregation: "mean", or a function of `tempo_tasks.scoring`.
        higher: Whether higher is better.
        error: The function of its error; it takes the place of lm-eval's own.
    """

    name: str
    aggregation: str = "mean"
    higher: bool = True
    error: str | None = None

    def lines(self) -> Iterator[str]:
        """Yield its entries in a `metric_list`."""
        yield from _entry(self.name, self.aggregation, self.higher)
        if self.error:
            yield from _entry(f"{self.name}_stderr", self.error, False)


def _entry(name: str, aggregation: str, higher: bool) -> Iterator[str]:
    function = "mean" if aggregation == "mean" else f"!function tempo_tasks.scoring.{aggregation}"
    yield f"  - metric: {name}"
    yield f"    aggregation: {function}"
    yield f"    higher_is_better: {str(higher).lower()}"


def _own(name: str, higher: bool = True) -> Metric:
    """Return a metric whose functions bear its name."""
    return Metric(name, name, higher, f"{name}_stderr")


ACC = Metric("acc", error="clustered_stderr")
TEMPORAL = (_own("acc_temporal"), _own("acc_chance_corrected"))
NORM = Metric("acc_norm", error="clustered_stderr")
PARSE_FAILURE = Metric("parse_failure", higher=False, error="clustered_stderr")
LETTERS = tuple(Metric(f"acc_{letter}", f"mean_{letter}") for letter in "abcd")
STRATA = Metric("strata_with_stderr", "strata_with_stderr")
MIRROR = (_own("swap_consistency"), _own("same_answer", higher=False))
CONSISTENCY = (_own("consistency"), _own("acc_all"))
ROTATION = (*CONSISTENCY, Metric("letter_bias", "letter_bias", higher=False))
QUARTET = (_own("acc_quartet"),)


# Bases: how a task is scored


@dataclass(frozen=True)
class Base:
    """A file that tasks include.

    Attributes:
        name: The file, without "_" and ".yaml".
        about: Its first line.
        include: The file that it extends.
        settings: Its further lines.
        process: The function that scores a document.
        extra: Metrics beside those of every task.
        groups: Metrics of groups of such tasks.
        only: All metrics, where they are not those of every task.
    """

    name: str
    about: str
    include: str
    settings: tuple[str, ...]
    process: str
    extra: tuple[Metric, ...] = ()
    groups: tuple[Metric, ...] = ()
    only: tuple[Metric, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics of a task, in the order of the file."""
        return self.only or (ACC, *self.extra, *TEMPORAL, *LETTERS, STRATA)

    def text(self) -> str:
        """Return the file."""
        lines = [
            f"# {self.about}",
            f"include: _{self.include}.yaml",
            *self.settings,
            f"process_results: !function tempo_tasks.scoring.{self.process}",
            "# An entry *_stderr is the clustered error: it takes the place of lm-eval's own.",
            "metric_list:",
            *(line for metric in self.metrics for line in metric.lines()),
        ]
        return _file(lines)


GENERATE = Base(
    "generate",
    "By generation: the answer is parsed strictly (tempo_tasks.scoring.parse_answer).",
    "base",
    (
        "output_type: generate_until",
        'doc_to_target: "{{answer}}"',
        "generation_kwargs:",
        "  max_gen_toks: 32",
        "  do_sample: false",
        '  until: ["\\n"]',
    ),
    "generation_metrics",
    (PARSE_FAILURE,),
    (PARSE_FAILURE,),
)
LIKELIHOOD = Base(
    "likelihood",
    "By the log-probabilities of the four letters.",
    "base",
    (
        "output_type: multiple_choice",
        'doc_to_choice: ["A", "B", "C", "D"]',
        'doc_to_target: "{{answer}}"',
        'target_delimiter: ""',
    ),
    "likelihood_metrics",
)
TEXT = Base(
    "text",
    "By the log-probabilities of the four options' texts.",
    "base",
    (
        "output_type: multiple_choice",
        "doc_to_choice: options",
        "doc_to_target: answer_text",
        'target_delimiter: ""',
    ),
    "text_metrics",
    (NORM,),
    (NORM,),
)


def _extended(base: Base, name: str, about: str, metrics: tuple[Metric, ...]) -> Base:
    kind = "generation" if base is GENERATE else "likelihood"
    return Base(
        f"{base.name}_{name}",
        f"As _{base.name}.yaml, {about}",
        base.name,
        (),
        f"{'rotation' if name == 'rot' else name}_{kind}_metrics",
        (*base.extra, *metrics),
        (*base.groups, *metrics),
    )


def _both(name: str, about: str, metrics: tuple[Metric, ...]) -> tuple[Base, Base]:
    return (
        _extended(GENERATE, name, about, metrics),
        _extended(LIKELIHOOD, name, about, metrics),
    )


_BOTH = (GENERATE, LIKELIHOOD)
_MIRROR = _both("mirror", "with the metrics of pairs: each question and its mirrored twin.", MIRROR)
_ROT = _both("rot", "with the metrics of rotations: each question four times.", ROTATION)
_QUARTET = _both("quartet", "with the metric of quartets: four scenes, one prompt.", QUARTET)
BASES = (*_BOTH, TEXT, *_MIRROR, *_ROT, *_QUARTET)


# Other people's benchmarks: two to eight options, or a time


def _choice(*extra: Metric) -> tuple[Metric, ...]:
    more = (_own("acc_above_chance"), _own("acc_every_run"), STRATA)
    return (ACC, *extra, TEMPORAL[0], *more, Metric(*["categories_with_stderr"] * 2))


CHOICE_BASES = (
    Base(
        "choice_generate",
        "Other benchmarks, by generation: the answer is parsed strictly.",
        "benchmark",
        GENERATE.settings,
        "choice_generation_metrics",
        only=_choice(PARSE_FAILURE),
    ),
    Base(
        "choice_likelihood",
        "Other benchmarks, by the log-probabilities of the letters.",
        "benchmark",
        (
            "output_type: multiple_choice",
            "doc_to_choice: letters",
            'doc_to_target: "{{answer}}"',
            'target_delimiter: ""',
        ),
        "choice_likelihood_metrics",
        only=_choice(),
    ),
    Base(
        "choice_text",
        "Other benchmarks, by the log-probabilities of the options' texts.",
        "benchmark",
        TEXT.settings,
        "choice_text_metrics",
        only=_choice(NORM),
    ),
    Base(
        "seconds_generate",
        "Other benchmarks that ask for a time, by generation.",
        "benchmark",
        (
            "output_type: generate_until",
            'doc_to_target: "{{seconds}}"',
            *GENERATE.settings[2:],
        ),
        "seconds_metrics",
        only=(
            Metric("within_1s", error="clustered_stderr"),
            PARSE_FAILURE,
            _own("seconds_error", higher=False),
            Metric("seconds_error_median", "seconds_error_median", higher=False),
            Metric("tolerance_with_stderr", "tolerance_with_stderr"),
        ),
    ),
)


# Protocols: the tasks of a source that are asked and scored alike


@dataclass(frozen=True)
class Protocol:
    """A suffix of task names.

    Attributes:
        suffix: What is added to `{source}_{kind}_{condition}`.
        base: How a task is scored.
        folder: Where its files lie, in the source's folder.
        settings: Further lines of `dataset_kwargs`.
    """

    suffix: str
    base: Base
    folder: str = ""
    settings: tuple[str, ...] = ()


def _suffixes(middle: str) -> Iterator[tuple[str, int]]:
    yield f"_{middle}" if middle else "", 0
    yield f"_{middle}_ll" if middle else "_ll", 1


PLAIN = [Protocol(suffix, _BOTH[way]) for suffix, way in _suffixes("")]
TEXTS = [Protocol("_text", TEXT, "text")]
ROTATIONS = [
    Protocol(suffix, _ROT[way], "rotations", ("rotations: true",))
    for suffix, way in _suffixes("rot")
]
PHRASINGS = [
    Protocol(suffix, _BOTH[way], "prompts", (f"prompt: {number}",))
    for number in PROMPTS
    for suffix, way in _suffixes(f"prompt{number}")
]
HARD = [Protocol(suffix, _QUARTET[way]) for suffix, way in _suffixes("")]


@dataclass(frozen=True)
class Source:
    """Where questions come from.

    Attributes:
        prefix: What task names begin with.
        name: The `source` in `dataset_kwargs`.
        folder: Where its files lie.
        protocols: Its protocols with a group for each condition and one for all.
        complete: Whether it has the prompts and the mirror too.
    """

    prefix: str
    name: str
    folder: str
    protocols: Sequence[Protocol]
    complete: bool = True


_EVERY = [*PLAIN, *TEXTS, *ROTATIONS]
SOURCES = (
    Source("tempo", "released", "released", _EVERY),
    Source("tempo_synth", "synth", "synth", _EVERY),
    Source("tempo_hard", "hard", "released_hard", HARD, complete=False),
    Source("tempo_synth_hard", "synth_hard", "synth_hard", HARD, complete=False),
)


# Files


def files() -> dict[str, str]:
    """Return every task file's text, by its path in this folder."""
    made = {"_base.yaml": _BASE}
    made["_benchmark.yaml"] = _BENCHMARK
    made |= {f"_{base.name}.yaml": base.text() for base in (*BASES, *CHOICE_BASES)}
    for source in SOURCES:
        for protocol in source.protocols:
            made |= _suite(source, protocol)
        if source.complete:
            made |= _prompts(source) | _mirror(source)
    for name in described_sets():
        for file, text in benchmark_files(describe(name), name, "../../").items():
            made[f"benchmarks/{name}/{file}"] = text
    return made


_BASE = """\
# Shared by every tempo task. Documents come from tempo_tasks.harness.task.TempoTask.
class: !function tempo_tasks.harness.task.TempoTask
test_split: test
doc_to_text: "{{prompt}}"
doc_to_audio: audio
metadata:
  version: 1.0
"""

_BENCHMARK = """\
# Shared by the tasks about other people's benchmarks (docs/other_benchmarks.md).
include: _base.yaml
class: !function tempo_tasks.harness.benchmark_task.BenchmarkTask
"""


def _suite(source: Source, protocol: Protocol) -> dict[str, str]:
    """Make a protocol's tasks for all kinds and conditions, and their groups."""
    made: dict[str, str] = {}
    for condition in CONDITIONS:
        made |= _tasks(source, protocol, KINDS, condition)
    return made | _groups(source, protocol.suffix, protocol.folder, protocol.base)


def _groups(source: Source, suffix: str, folder: str, base: Base) -> dict[str, str]:
    """Make the group of each condition, whose children are of every kind, and that of them all."""
    made: dict[str, str] = {}
    for condition in CONDITIONS:
        children = [f"{source.prefix}_{kind}_{condition}{suffix}" for kind in KINDS]
        made |= _group(source, f"{source.prefix}_{condition}{suffix}", folder, base, children)
    children = [f"{source.prefix}_{condition}{suffix}" for condition in CONDITIONS]
    return made | _group(source, f"{source.prefix}{suffix}", folder, base, children)


def _prompts(source: Source) -> dict[str, str]:
    """Make the tasks of all phrasings, the mean over them for each task, and groups of these."""
    made: dict[str, str] = {}
    for protocol in PHRASINGS:
        for condition in CONDITIONS:
            made |= _tasks(source, protocol, KINDS, condition)
    for base, tail in zip(_BOTH, ("", "_ll"), strict=True):
        for condition in CONDITIONS:
            for kind in KINDS:
                name = f"{source.prefix}_{kind}_{condition}"
                children = [f"{name}_prompt{number}{tail}" for number in PROMPTS]
                made |= _group(source, f"{name}_prompts{tail}", "prompts", base, children)
        made |= _groups(source, f"_prompts{tail}", "prompts", base)
    return made


def _mirror(source: Source) -> dict[str, str]:
    made: dict[str, str] = {}
    for base, tail in zip(_MIRROR, ("", "_ll"), strict=True):
        made |= _tasks(source, Protocol(tail, base), MIRRORED, "mirror")
        children = [f"{source.prefix}_{kind}_mirror{tail}" for kind in MIRRORED]
        made |= _group(source, f"{source.prefix}_mirror{tail}", "", base, children)
    return made


def _tasks(
    source: Source, protocol: Protocol, kinds: Sequence[str], condition: str
) -> dict[str, str]:
    made: dict[str, str] = {}
    for kind in kinds:
        name = f"{source.prefix}_{kind}_{condition}{protocol.suffix}"
        folder = _folder(source, protocol.folder)
        up = "../" * (folder.count("/") + 1)
        lines = [
            f"include: {up}_{protocol.base.name}.yaml",
            f"task: {name}",
            "dataset_kwargs:",
            f"  source: {source.name}",
            f"  kind: {kind}",
            f"  condition: {condition}",
            *(f"  {line}" for line in protocol.settings),
        ]
        made[f"{folder}/{name}.yaml"] = _file(lines)
    return made


def _group(
    source: Source, name: str, folder: str, base: Base, children: Sequence[str]
) -> dict[str, str]:
    metrics = [ACC, *base.groups, *TEMPORAL]
    lines = [
        f"group: {name}",
        "task:",
        *(f"  - {child}" for child in children),
        "aggregate_metric_list:",
    ]
    for metric in metrics:
        lines += [
            f"  - metric: {metric.name}",
            "    aggregation: mean",
            "    weight_by_size: false",
        ]
    lines += ["metadata:", "  version: 1.0"]
    return {f"{_folder(source, folder)}/_{name}.yaml": _file(lines)}


def _folder(source: Source, folder: str) -> str:
    return f"{source.folder}/{folder}" if folder else source.folder


def _file(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all files and remove those that are no longer made."""
    made = files()
    for path in FOLDER.rglob("*.yaml"):
        if path.relative_to(FOLDER).as_posix() not in made:
            path.unlink()
    for name, text in made.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(made)} files in {FOLDER}")


if __name__ == "__main__":
    main()
