"""A strength that is chosen for every prompt, by how sure the model is without an edit."""

from __future__ import annotations

from dataclasses import dataclass, field

from tempo_attn import config_fields as check


@dataclass(frozen=True)
class Adaptive:
    """Two strengths, chosen by the model's confidence without an edit (AdaptVis).

    The confidence is the probability of the first generated token in a plain run.
    """

    threshold: float = field(metadata={"help": "Confidence that separates the two, in (0, 1)."})
    low: float = field(metadata={"help": "The strength where the confidence is below it."})
    high: float = field(metadata={"help": "The strength where the confidence is not below it."})

    def checked(self, mode: str) -> Adaptive:
        """Return the rule with its numbers checked and in their stored form.

        Args:
            mode: The mode of the edit that the strengths are for.

        Raises:
            ConfigError: A number is wrong.
        """
        threshold = check.number("adaptive.threshold", self.threshold)
        if not 0 < threshold < 1:
            raise check.wrong("adaptive.threshold", threshold, "a probability in (0, 1)")
        return Adaptive(
            threshold=threshold,
            low=check.strength("adaptive.low", self.low, mode),
            high=check.strength("adaptive.high", self.high, mode),
        )
