"""What a build is asked for: the options of `tempo data build`, checked against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tempo_attn.errors import OptionError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.corpora.formats import check_format


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to build, and what from.

    Attributes:
        tacos: Folder with files of TACOS: captions, licences, splits, audio and, without
            `intervals`, the events; every file is checked against the published sums.
        intervals: Annotations with class labels: interval CSVs, or files or folders of another
            format (see `sources.corpora`).
        format: Their format; None: told by endings and columns.
        labels: Maps of their labels, used one after the other.
        words: Whether their labels are put into words; None: those of other formats than CSV.
        captions: CSV `filename,text`, instead of that of TACOS.
        audio: Folder or ZIP archive, instead of that of TACOS.
        mapping: CSV `text,label`: classes for the free texts of TACOS.
        split: `all`, `test`, `development`, or a CSV with a column `filename`.
        kinds: Which questions.
        size: Questions of each kind; None for all that there are.
        seed: Draws clips, distractors, order and letters.
        margin: Lead of the right event in seconds; None for the released one of each kind.
        min_events: Events that a clip must have.
        min_present: Options that must occur in the clip; None for 1, or 4 where labels are free
            texts: two texts can mean one sound, so a text of another clip is no safe distractor.
        per_clip: At most this many questions of a kind on one clip.
        hard: Only questions that presence and label priors cannot answer (see `build_hard`).
        repair: Mend what can be mended, and record it.
        allow_modified: Take files of TACOS that are not the published ones, and record it.
    """

    tacos: Path | None = None
    intervals: Sequence[Path] = ()
    format: str | None = None
    labels: Sequence[Path] = ()
    words: bool | None = None
    captions: Path | None = None
    audio: Path | None = None
    mapping: Path | None = None
    split: str = "all"
    kinds: Sequence[Kind] = tuple(Kind)
    size: int | None = None
    seed: int = 0
    margin: float | None = None
    min_events: int = 2
    min_present: int | None = None
    per_clip: int = 1
    hard: bool = False
    repair: bool = False
    allow_modified: bool = False

    @property
    def free_text(self) -> bool:
        """Whether labels are free texts."""
        return not self.intervals and self.mapping is None

    @property
    def options_in_clip(self) -> int:
        """Options that must occur in the clip."""
        if self.min_present is not None:
            return self.min_present
        return 4 if self.free_text or self.hard else 1

    def margin_of(self, kind: Kind) -> float:
        """Lead of the right event, in seconds."""
        return kind.released_margin if self.margin is None else self.margin

    def check(self) -> None:
        """Raise OptionError where options contradict each other."""
        if self.tacos is None and not self.intervals:
            raise OptionError("nothing to build from: name interval CSVs or a TACOS folder")
        check_format(self.format)
        of_intervals = {"--format": self.format, "--labels": self.labels, "--words": self.words}
        without = [name for name, value in of_intervals.items() if value not in (None, ())]
        if without and not self.intervals:
            raise OptionError(f"{', '.join(without)}: of --intervals, which is not given")
        if not self.kinds:
            raise OptionError(f"no kind of question; expected some of {[k.value for k in Kind]}")
        if self.size is not None and self.size < 1:
            raise OptionError(f"--size {self.size}: expected at least one question a kind")
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise OptionError(f"--margin {self.margin}: expected positive seconds")
        for name, value in (("--min-events", self.min_events), ("--per-clip", self.per_clip)):
            if value < 1:
                raise OptionError(f"{name} {value}: expected 1 or more")
        if self.min_present is not None and not 1 <= self.min_present <= 4:
            raise OptionError(f"--min-present {self.min_present}: expected 1 to 4 of the options")
        if self.intervals and self.mapping:
            raise OptionError("--mapping names classes of free texts; interval CSVs have labels")
        if self.free_text and self.options_in_clip < 4:
            raise OptionError(
                f"--min-present {self.options_in_clip}: labels are free texts, and a text of "
                "another clip may describe a sound of this one; expected 4 (all options occur in "
                "the clip), or --mapping, or --intervals with class labels"
            )
        fixed = {"--size": self.size is None, "--per-clip": self.per_clip == 1}
        fixed["--min-events"] = self.min_events in (2, 4)
        fixed["--min-present"] = self.options_in_clip == 4
        wrong = [name for name, as_it_is in fixed.items() if not as_it_is]
        if self.hard and wrong:
            raise OptionError(
                f"--hard keeps all questions that balance its labels, one a clip, with four "
                f"options in the clip; leave out {', '.join(wrong)}"
            )
