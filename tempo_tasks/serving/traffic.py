"""What it took to get the answers: attempts, retries, tokens, seconds, cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tempo_tasks.serving.completion import Completion

_PERCENTILES = (50, 90, 99)


@dataclass
class Traffic:
    """Counts of one model object's requests; the proof of hearing and all retries included.

    Attributes:
        seconds: How long each answered attempt took.
        retries: Attempts that failed and were repeated, by what went wrong.
        models: What the server called the model, with how many answers.
    """

    seconds: list[float] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    audio_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    edited_rows: int = 0
    floored_letters: int = 0

    def answered(self, completion: Completion, seconds: float) -> None:
        """Count an answer."""
        self.seconds.append(seconds)
        self.models[completion.model] += 1
        self.uncounted += completion.prompt_tokens is None
        self.prompt_tokens += completion.prompt_tokens or 0
        self.audio_tokens += completion.audio_tokens or 0
        self.completion_tokens += completion.completion_tokens or 0

    def to_dict(
        self,
        *,
        price_in: float | None = None,
        price_audio_in: float | None = None,
        price_out: float | None = None,
    ) -> dict[str, Any]:
        """Return the counts as JSON data.

        Args:
            price_in: Price of a million prompt tokens.
            price_audio_in: Of a million of them that are audio; None for the same.
            price_out: Of a million generated tokens.
        """
        latency = (
            {
                f"p{share}": round(float(np.percentile(self.seconds, share)), 4)
                for share in _PERCENTILES
            }
            if self.seconds
            else {}
        )
        cost = None
        if price_in is not None or price_out is not None:
            audio = self.audio_tokens if price_audio_in is not None else 0
            cost = (self.prompt_tokens - audio) * (price_in or 0.0) / 1e6
            cost += audio * (price_audio_in or 0.0) / 1e6
            cost += self.completion_tokens * (price_out or 0.0) / 1e6
        return {
            "requests": len(self.seconds),
            "retries": sum(self.retries.values()),
            "retries_by_reason": dict(sorted(self.retries.items())),
            "latency_seconds": latency,
            "prompt_tokens": self.prompt_tokens,
            "audio_tokens": self.audio_tokens,
            "completion_tokens": self.completion_tokens,
            "requests_without_usage": self.uncounted,
            "cost": None if cost is None else round(cost, 6),
            "edited_rows": self.edited_rows,
            "letters_below_top_logprobs": self.floored_letters,
        }
