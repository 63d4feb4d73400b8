"""Proof that a clip arrives at a model on a server: what the server answers must depend on it.

By log-probabilities where the server gives them: of the first token, with the clip and with silence
of its length. Else by what the server counts: a prompt with the clip must have the clip's tokens
more than the same prompt without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tempo_attn.errors import AudioNotDeliveredError
from tempo_tasks.audio import Wave
from tempo_tasks.harness.hearing import HearingChecks
from tempo_tasks.serving.chat import without_clips
from tempo_tasks.serving.completion import Completion

if TYPE_CHECKING:
    from tempo_tasks.serving.served_model import ServedModel

_FEWEST_A_SECOND = 2.0
"""Audio tokens: no model known has fewer (DeSTA2.5 has 64 for 30 s); most have 6 to 25."""
_MARKERS = 12
"""Tokens that may stand around a clip that was dropped, such as "Audio 1: <|audio_bos|>"."""
_LONG_ENOUGH = 5.0
"""Seconds: the tokens of a shorter clip could be mistaken for its markers."""
_TIMES_NOISE = 2.0


class HearingThroughServer(HearingChecks):
    """The checks of `HearingChecks`, for a model that cannot be looked into.

    Attributes:
        how: "log-probabilities", "prompt tokens", or None before a proof.
    """

    noise_seconds = _LONG_ENOUGH

    def __init__(self) -> None:
        super().__init__()
        self.how: str | None = None

    def prove(self, lm: Any, prompt: str, waves: Sequence[Wave]) -> float:
        """Return how much a clip changes what the server says.

        Returns:
            The largest change of a log-probability; or the clip's tokens.

        Raises:
            AudioNotDeliveredError: It changes nothing, or nothing can be told.
        """
        heard = lm.first_token(prompt, waves)
        if heard.first_tokens is not None:
            self.how = "log-probabilities"
            silent = lm.first_token(prompt, [wave * 0 for wave in waves])
            again = lm.first_token(prompt, waves)
            return change_by_silence(heard, silent, again)
        self.how = "prompt tokens"
        return prove_by_tokens(lm, prompt, waves)

    def to_dict(self) -> dict[str, Any]:
        """Return what the results say."""
        found = super().to_dict()
        clip, noise = (
            found.pop("first_clip_logit_change_by_silence"),
            found.pop("noise_logit_change_by_silence"),
        )
        tokens = self.how == "prompt tokens"
        return {
            "hearing_proved_by": self.how,
            ("first_clip_tokens" if tokens else "first_clip_logprob_change_by_silence"): clip,
            ("noise_tokens" if tokens else "noise_logprob_change_by_silence"): noise,
            **found,
        }


def change_by_silence(heard: Completion, silent: Completion, again: Completion) -> float:
    """Return the largest change of a first token's log-probability by silence.

    Args:
        heard: The answer about the clip.
        silent: The answer about silence of the same length.
        again: The answer about the clip, asked a second time: what changes then is no hearing.

    Raises:
        AudioNotDeliveredError: Silence changes no more than asking again does.
    """
    change, noise = difference(heard, silent), difference(heard, again)
    if change == 0.0 or change <= _TIMES_NOISE * noise:
        raise AudioNotDeliveredError(
            "through the server, the first clip's log-probabilities change by "
            f"{change:.3g} with silence in its place, and by {noise:.3g} when the same is asked "
            "again: the audio does not reach the model. Check that the server serves a model with "
            "audio, and its log; `tempo doctor --server URL` looks further"
        )
    return change


def difference(one: Completion, other: Completion) -> float:
    """Return the largest difference of log-probabilities of two answers' first tokens.

    A token that only one of them lists counts as the last that the other lists.
    """
    first, second = dict(one.first_tokens or ()), dict(other.first_tokens or ())
    if not first or not second:
        return 0.0
    of_one, of_other = min(first.values()), min(second.values())
    return max(
        abs(first.get(token, of_one) - second.get(token, of_other)) for token in {**first, **second}
    )


def prove_by_tokens(lm: ServedModel, prompt: str, waves: Sequence[Wave]) -> float:
    """Return how many tokens a prompt's clips have, as the server counts.

    Raises:
        AudioNotDeliveredError: Too few, or the server does not count.
    """
    waves = [_at_least(wave, int(_LONG_ENOUGH * lm.sampling_rate)) for wave in waves]
    seconds = sum(len(wave) for wave in waves) / lm.sampling_rate
    heard = lm.first_token(prompt, waves, logprobs=False)
    if heard.audio_tokens:
        return float(heard.audio_tokens)
    bare = lm.first_token(without_clips(prompt), [], logprobs=False)
    if heard.prompt_tokens is None or bare.prompt_tokens is None:
        raise AudioNotDeliveredError(
            "the server gives neither log-probabilities nor the number of prompt tokens, so it "
            "cannot be told whether audio reaches the model; use another server"
        )
    found = heard.prompt_tokens - bare.prompt_tokens
    needed = _FEWEST_A_SECOND * seconds + _MARKERS
    if found < needed:
        raise AudioNotDeliveredError(
            f"the server counts {heard.prompt_tokens} prompt tokens with a clip of {seconds:.1f} s "
            f"and {bare.prompt_tokens} without it; expected at least {needed:.0f} more: the audio "
            "does not reach the model. Check that the server serves a model with audio"
        )
    return float(found)


def _at_least(wave: Wave, samples: int) -> Wave:
    """Return a waveform, repeated where it is shorter than `samples`."""
    return wave if len(wave) >= samples else np.resize(wave, samples)
