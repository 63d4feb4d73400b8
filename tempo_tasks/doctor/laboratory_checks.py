"""Whether the laboratory's fast engine fits the model, and how long things take here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tempo_attn.errors import UnsupportedInputError, UnsupportedModelError
from tempo_attn.lab.sweep.grid import ROWS, Grid, Variant
from tempo_attn.lab.sweep.run import Sweeper
from tempo_tasks.doctor.diagnosis import Number, Outcome, failed, passed, skipped
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.lab.check_settings import ConfigSize
from tempo_tasks.lab.grid_request import parse_grid
from tempo_tasks.lab.shared_options import ROWS as USUAL_ROWS
from tempo_tasks.lab.shared_options import SCALE

BENCHMARK_QUESTIONS = 1657
CONDITIONS = 4
SWEEP_ITEMS = 200
_LEAST_SECONDS, _MOST_ROUNDS = 0.5, 4
_REFUSALS = (UnsupportedModelError.__name__, UnsupportedInputError.__name__)
"""Begin the reasons why the fast engine does not fit a model; others are mistakes."""


def engine_agrees(exam: Examination) -> Outcome:
    """Check the laboratory's fast engine against full forwards, as every sweep does first."""
    sweeper = Sweeper(exam.subject, _variants(exam))
    sweeper.settle(exam.items[:2])
    choice = sweeper.choice
    if choice.engine == "fast":
        return passed(
            f"{len(sweeper.variants)} variants on 2 items: the fast engine differs by up to "
            f"{choice.checked:.2g} from full forwards",
            engine="fast",
            difference=choice.checked,
        )
    refused = choice.reason.startswith(_REFUSALS) or choice.readout is None
    if choice.checked is None and not refused:
        return failed(f"the fast engine breaks off: {choice.reason}", engine="full")
    if choice.checked is None:  # it refused before there was anything to compare
        return skipped(
            f"the fast engine does not fit, so the laboratory takes a full forward for each "
            f"variant: {choice.reason}",
            engine="full",
        )
    return failed(
        f"the two engines differ: {choice.reason}; the laboratory takes a full forward for each "
        "variant",
        engine="full",
        difference=choice.checked,
    )


def _variants(exam: Examination) -> list[Variant]:
    """Return edits of the first, the middle and the last layer that has attention."""
    layers = exam.layers_with_attention
    chosen = sorted({layers[0], layers[len(layers) // 2], layers[-1]})
    grid = Grid(
        strengths={"scale": (2.0,)}, layers=[(layer,) for layer in chosen], rows=ROWS, nulls=()
    )
    return grid.variants(len(exam.subject.decoder.layers), heads_of(exam))


def heads_of(exam: Examination) -> int:
    """Return the query heads of a layer of the decoder."""
    config: Any = exam.lm.family.decoder(exam.lm.model).config
    return int(config.get_text_config().num_attention_heads)


@dataclass(frozen=True)
class Speed:
    """What was measured, and what follows from it.

    Attributes:
        items: Items that were timed.
        batch_size: Items in one forward.
        seconds_an_item: Of one question, answered by the likelihoods of its letters.
        seconds_a_variant: Of one edit of one item in a sweep.
        variants: Edits, controls and random perturbations of a usual sweep of all layers.
        engine: How the sweep's variants run.
    """

    items: int
    batch_size: int
    seconds_an_item: float
    seconds_a_variant: float
    variants: int
    engine: str

    @property
    def benchmark_hours(self) -> float:
        """Estimate for all questions under all conditions."""
        return BENCHMARK_QUESTIONS * CONDITIONS * self.seconds_an_item / 3600

    @property
    def sweep_hours(self) -> float:
        """Estimate for a sweep of all layers at its usual strengths and rows."""
        one = self.seconds_an_item + self.variants * self.seconds_a_variant
        return SWEEP_ITEMS * one / 3600

    def to_dict(self) -> dict[str, Number]:
        """Return it as JSON data, with what the estimates are of."""
        return {
            "items_timed": self.items,
            "batch_size": self.batch_size,
            "items_per_minute": round(60 / self.seconds_an_item, 2),
            "benchmark_questions": BENCHMARK_QUESTIONS,
            "benchmark_conditions": CONDITIONS,
            "benchmark_hours_estimate": round(self.benchmark_hours, 3),
            "sweep_items": SWEEP_ITEMS,
            "sweep_variants": self.variants,
            "sweep_engine": self.engine,
            "sweep_hours_estimate": round(self.sweep_hours, 3),
        }


def measure(exam: Examination) -> Speed:
    """Time some items and some variants."""
    requests = [r for n in range(len(exam.documents)) for r in exam.requests(n)]
    exam.lm.loglikelihood(requests, disable_tqdm=True)  # the first call is slower than others
    n_items, start, rounds = 0, time.perf_counter(), 0
    while rounds == 0 or (rounds < _MOST_ROUNDS and _since(start) < _LEAST_SECONDS):
        exam.lm.loglikelihood(requests, disable_tqdm=True)
        n_items += len(exam.documents)
        rounds += 1
    an_item = _since(start) / n_items
    sweeper = Sweeper(exam.subject, _variants(exam))
    sweeper.settle(exam.items[:2])
    a_variant = an_item
    if sweeper.choice.engine == "fast":
        start = time.perf_counter()
        sweeper.run_batch(exam.items)
        took = _since(start) / len(exam.items)
        # What a prefill takes is counted once an item, not for each variant.
        a_variant = max(took - an_item, 0.1 * took) / len(sweeper.variants)
    size = ConfigSize(len(exam.subject.decoder.layers), heads_of(exam))
    usual = parse_grid(SCALE, "each", USUAL_ROWS, "all", nulls="sign", source="").variants(size)
    without = set(exam.subject.decoder.without_attention)
    n_variants = sum(not without & set(variant.layers) for variant in usual)
    batch_size = exam.lm.batch_size
    return Speed(
        items=n_items,
        batch_size=int(batch_size) if str(batch_size).isdigit() else int(exam.lm.max_batch_size),
        seconds_an_item=an_item,
        seconds_a_variant=a_variant,
        variants=n_variants,
        engine=sweeper.choice.engine,
    )


def speed_of(speed: Speed) -> Outcome:
    """Return the measured speed in words."""
    return passed(
        f"{_rate(60 / speed.seconds_an_item)} items a minute here (batch size {speed.batch_size}). "
        f"Estimates from {speed.items} items: the benchmark ({BENCHMARK_QUESTIONS:,} questions x "
        f"{CONDITIONS} conditions) {_hours(speed.benchmark_hours)}; a sweep of all layers on "
        f"{SWEEP_ITEMS} items ({speed.variants} variants, {speed.engine} engine) "
        f"{_hours(speed.sweep_hours)}"
    )


def _since(start: float) -> float:
    return time.perf_counter() - start


def _rate(a_minute: float) -> str:
    return f"{a_minute:,.0f}" if a_minute >= 10 else f"{a_minute:.2g}"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.2g} min"
