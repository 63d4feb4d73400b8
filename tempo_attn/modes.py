"""The table of modes: all that is known of a mode but its formula.

A mode is one way to edit: `AttnScaleConfig.mode` is its name. Its formula is in
`tempo_attn.attention.mode_formulas`, under the same name; a mode is added in these two places and
nowhere else. Nothing heavy is imported here, so that a command can check its options at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

Mode = str
"""The name of a mode: a key of `MODES`."""

Null = Literal["sign", "keys"]
"""A random perturbation of the same size, to compare an edit with. "sign": the change of each logit
(or of each component of a state) with a random sign. "keys": the edit on as many random keys that
are not audio."""
NULLS: tuple[Null, ...] = ("sign", "keys")

USUAL_FACTORS = (0.2, 0.5, 0.8, 1.2, 1.5, 2.0)
"""alpha of AdaptVis, and 0.2 of arXiv 2606.17417."""


@dataclass(frozen=True, kw_only=True)
class ModeSpec:
    """What is known of one mode.

    Attributes:
        name: Its name in configurations.
        summary: One sentence for the help of `AttnScaleConfig`, plain ASCII.
        maths: The formula in the model card.
        explanation: What the formula means, in the model card: full sentences.
        states_with: What it changes hidden states between layers with: those that left a "source"
            layer, or "directions" that are stored beside the configuration. It then has neither
            heads nor keys. None: it edits attention logits.
        hides_keys: A row sees none of the edited keys any more.
        neutral: The strength at which it changes nothing; None for a mode without a strength.
        range: The lowest and the highest strength.
        expected: What an error says was expected where a strength is out of this range.
        strengths_are: What several strengths are called in messages.
        usual_strengths: What a sweep tries where no strengths are given; empty if some must be.
        example_strengths: Two strengths for a message that asks for some.
        nulls: The random perturbations that it admits.
    """

    name: Mode
    summary: str
    maths: str
    explanation: str
    states_with: Literal["source", "directions"] | None = None
    hides_keys: bool = False
    neutral: float | None
    range: tuple[float, float] = (-inf, inf)
    expected: str = ""
    strengths_are: str = "strengths"
    usual_strengths: tuple[float, ...] = ()
    example_strengths: tuple[float, ...] = (-1, 1)
    nulls: tuple[Null, ...] = NULLS

    @property
    def edits_states(self) -> bool:
        """Whether the mode edits hidden states, and not attention logits."""
        return self.states_with is not None

    @property
    def has_strength(self) -> bool:
        """Whether the mode has a strength, and then needs one."""
        return self.neutral is not None

    def size(self, strength: float | None) -> float:
        """Return how far a strength is from changing nothing; infinite without a strength."""
        if strength is None or self.neutral is None:
            return inf
        return abs(strength - self.neutral)


def _factor_mode(name: Mode, *, summary: str, maths: str, explanation: str) -> ModeSpec:
    """Return a mode whose strength is a factor of the logits, alpha."""
    return ModeSpec(
        name=name,
        summary=summary,
        maths=maths,
        explanation=explanation,
        neutral=1.0,
        range=(0.0, inf),
        expected=(
            f"0 or more: a negative factor in mode {name!r} reverses the order of the logits. "
            "To weaken attention use a factor below 1, or mode 'upweight' with b < 0"
        ),
        usual_strengths=USUAL_FACTORS,
    )


_SPECS = (
    _factor_mode(
        "scale",
        summary="L <- alpha L",
        maths="L ← α · L",
        explanation=(
            "The factor changes the audio mass (the row's probability on audio) as well as its "
            "shape within the audio, and pushes negative logits further down where α > 1."
        ),
    ),
    _factor_mode(
        "scale_preserving",
        summary="the same, the audio mass of each row kept",
        maths="L ← α · L + logsumexp(L) − logsumexp(α · L), over the edited keys",
        explanation=(
            "Each row's probability on the edited keys stays as it was; α only redistributes it."
        ),
    ),
    ModeSpec(
        name="upweight",
        summary="L <- L + b",
        maths="L ← L + b",
        explanation=(
            "The shape within the edited keys stays; their mass m becomes m·e^b / (1 − m + m·e^b)."
        ),
        neutral=0.0,
    ),
    _factor_mode(
        "upweight_matched",
        summary=("the b of each row and head that gives the audio mass of scaling by alpha"),
        maths="L ← L + logsumexp(α · L) − logsumexp(L), over the edited keys",
        explanation=(
            "The shape within the edited keys stays; their mass becomes that of scaling by α."
        ),
    ),
    ModeSpec(
        name="upweight_relative",
        summary="L <- L + alpha |L|",
        maths="L ← L + α · |L|",
        explanation="The larger a logit's size, the more it gains.",
        neutral=0.0,
    ),
    ModeSpec(
        name="knockout",
        summary="L <- -inf",
        maths="L ← −∞",
        explanation="The edited rows cannot attend to the edited keys at all.",
        hides_keys=True,
        neutral=None,
        nulls=("keys",),  # its change is infinite: there is no sign to draw
    ),
    ModeSpec(
        name="enrich",
        summary=(
            "no logits, but what leaves the layers: the query rows' states are mixed with those "
            "that left the layer `source`, w = strength of them"
        ),
        maths="h ← ‖h‖ · m / ‖m‖, m = (1 − w) · h + w · ‖h‖ / ‖s‖ · s",
        explanation=(
            "No logits: h is what leaves an edited layer at the query rows after the first audio "
            "position, s what left the source layer there; the norm stays."
        ),
        states_with="source",
        neutral=0.0,
        range=(0.0, 1.0),
        expected="the early states' weight, from 0 to 1",
        strengths_are="weights",
        example_strengths=(0.1, 0.3),
        nulls=("sign",),  # states have no keys
    ),
    ModeSpec(
        name="steer",
        summary=(
            "no logits, but what leaves the layers: the query rows' states are moved along a "
            "stored direction d, h <- h + alpha rho d"
        ),
        maths="h ← h + α · ρ · d",
        explanation=(
            "No logits: h is what leaves an edited layer at the query rows after the first audio "
            "position, d the layer's direction and ρ the usual norm of its states, both stored "
            "beside the configuration."
        ),
        states_with="directions",
        neutral=0.0,
        # Random directions of the same size are its null, and `tempo steer` runs them.
        nulls=(),
    ),
)
MODES: dict[Mode, ModeSpec] = {spec.name: spec for spec in _SPECS}
"""Every mode by its name, in the order in which messages list them."""
