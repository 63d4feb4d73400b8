"""What a rendering is asked for: the options of `tempo data render`, checked against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.sources.recorded.backgrounds import KINDS
from tempo_tasks.sources.recorded.envelope import Trim
from tempo_tasks.sources.recorded.recordings import SPLITS
from tempo_tasks.sources.recorded.scenes import Style

PLAIN, QUARTETS, MIRROR = "plain", "quartets", "mirror"
SETS = (PLAIN, QUARTETS, MIRROR)
BURSTS = ("apart", "leave-out")
NO_GROUPS = "none"
_SECONDS = (10.0, 30.0)
_RATES = (8_000, 48_000)


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """What to render, and from what.

    Attributes:
        sounds: The source; see `tempo_tasks.sources.recorded.layouts`.
        layout: `auto`, or the source's layout.
        licence: Of recordings for which the source names none.
        kind: `plain`, `quartets` or `mirror`.
        clips: How many; of quartets a multiple of four. Twins come on top.
        seconds: Length of a clip.
        events: Fewest and most events of a clip (not of quartets, which have four).
        repeats: Most intervals of an event, 1 to 3 (not of quartets).
        levels: Range of the events' levels over the background, dB.
        background: `none`, a colour of noise, or a folder of recordings.
        max_overlap: Most events at once; None for no limit.
        split: Which recordings: `all`, `train` or `test`.
        test_folds: Folds of the test split; None for the source's own.
        alike: None for the built-in groups, `none`, or a CSV `label,group`.
        min_recordings: Recordings that a label must have.
        bursts: Of recordings with several bursts: each one is used, or they are left out.
        seed: Draws everything.
        rate: Of the clips, Hz.
        repair: Leave out what cannot be used, and list it.
        trim: Parameters of trimming.
        workers: Processes; nothing depends on it.
    """

    sounds: Path
    layout: str = "auto"
    licence: str = ""
    kind: str = PLAIN
    clips: int = 400
    seconds: float = 10.0
    events: tuple[int, int] | None = None
    repeats: int | None = None
    levels: tuple[float, float] = (10.0, 25.0)
    background: str = "pink"
    max_overlap: int | None = None
    split: str = "all"
    test_folds: tuple[str, ...] | None = None
    alike: str | None = None
    min_recordings: int = 1
    bursts: str = "apart"
    seed: int = 0
    rate: int = 16_000
    repair: bool = False
    trim: Trim = field(default_factory=Trim)
    workers: int = 1

    @property
    def style(self) -> Style:
        """How events are placed."""
        return Style(
            seconds=self.seconds,
            events=self.events or (3, 5),
            repeats=self.repeats or 3,
            levels=self.levels,
            background=self.background_kind,
            max_overlap=self.max_overlap,
            closes=self.trim.closes,
            join=self.trim.join,
        )

    @property
    def background_kind(self) -> str:
        """`none`, a colour, or `folder`."""
        return self.background if self.background in KINDS else "folder"

    def check(self) -> None:
        """Raise OptionError where options are wrong, or contradict each other."""
        for option, value, known in (
            ("--set", self.kind, SETS),
            ("--split", self.split, SPLITS),
            ("--bursts", self.bursts, BURSTS),
        ):
            if value not in known:
                raise OptionError(
                    f"{option} {value}: expected {', '.join(known)}.{did_you_mean(value, known)}"
                )
        low, high = self.levels
        fewest, most = self.events or (3, 5)
        checks = {
            f"--clips {self.clips}: expected 1 or more": self.clips >= 1,
            f"--seconds {self.seconds:g}: expected {_SECONDS[0]:g} to {_SECONDS[1]:g}, what "
            "audio language models hear": _SECONDS[0] <= self.seconds <= _SECONDS[1],
            f"--events {fewest}-{most}: expected 2 to 8, the fewest first": 2
            <= fewest
            <= most
            <= 8,
            f"--repeats {self.repeats}: expected 1 to 3": self.repeats in (None, 1, 2, 3),
            f"--level {low:g}:{high:g}: expected 0 to 60 dB, the lower first": math.isfinite(low)
            and 0 <= low <= high <= 60,
            f"--max-overlap {self.max_overlap}: expected 1 or more": self.max_overlap is None
            or self.max_overlap >= 1,
            f"--min-recordings {self.min_recordings}: expected 1 or more": self.min_recordings >= 1,
            f"--rate {self.rate}: expected {_RATES[0]} to {_RATES[1]} Hz, a multiple of 100": (
                _RATES[0] <= self.rate <= _RATES[1] and self.rate % 100 == 0
            ),
            f"--workers {self.workers}: expected 1 or more": self.workers >= 1,
            "--open, --close: expected 0 < open <= close < 100 dB": 0
            < self.trim.opens
            <= self.trim.closes
            < 100,
            f"--join {self.trim.join:g}: expected 0.05 to 1 s": 0.05 <= self.trim.join <= 1,
        }
        for message, fine in checks.items():
            if not fine:
                raise OptionError(message)
        if self.kind == QUARTETS:
            self._check_quartets()
        if self.background_kind == "folder" and not Path(self.background).is_dir():
            raise OptionError(
                f"--background {self.background}: no such folder; expected one, or "
                f"{', '.join(KINDS)}.{did_you_mean(self.background, KINDS)}"
            )

    def _check_quartets(self) -> None:
        if self.clips % 4:
            raise OptionError(
                f"--clips {self.clips}: a quartet has four clips; expected a multiple of 4"
            )
        if self.events is not None or self.repeats is not None:
            raise OptionError(
                "--set quartets: each clip has the same four events, once or twice each; leave "
                "--events and --repeats out"
            )
