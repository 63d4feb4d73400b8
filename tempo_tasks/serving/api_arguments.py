"""The model arguments of `lalm-api`, checked before any server is asked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tempo_attn.config_fields import shown
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.audio import MAX_CHANNELS, MAX_RATE, AudioLimits
from tempo_tasks.serving.base_urls import base_urls, further_urls

AUDIO_FORMATS = ("wav", "wav_float")
AUDIO_PARTS = ("input_audio", "audio_url")
_IGNORED = ("batch_size", "max_batch_size", "device")
"""lm_eval hands these to every model class; a server decides on them itself."""
KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True, kw_only=True)
class ApiArguments:
    """What `lalm-api` is told.

    Attributes:
        base_urls: Where the servers are: each the `/v1` of an OpenAI interface.
        model: What the server calls the model; None for the only one that it has.
        num_concurrent: Requests that are under way at a time, over all servers.
        timeout: Seconds that one attempt may take, from its start to the answer's last byte.
        max_retries: Further attempts after the first.
        retry_wait: Seconds before the second attempt, doubled for each further one; up to as much
            again is added by chance.
        api_key_env: The environment variable with the key.
        audio_format: "wav" (16-bit) or "wav_float" (32-bit).
        audio_part: "input_audio", or "audio_url" for a data URL (vLLM).
        sampling_rate: Clips are resampled to this before they are sent, in Hz.
        max_seconds: A longer clip is refused, for a server may cut it silently; 0 for no bound.
        max_channels: Audio with more channels is refused; 0 for no bound.
        max_rate: Audio with a higher sampling rate (Hz) is refused; 0 for no bound.
        top_logprobs: How many tokens' log-probabilities are asked for.
        missing_letters: "error", or "floor" to give a letter that is not among those tokens the
            log-probability of the last of them, which is more than it has.
        attn_scale: A configuration of the server's by name; a folder or Hub repository, which the
            server must have loaded; or "none" for the plain model.
        attn_scale_missing: A prompt without audio under an edit: "raise", or "warn" to ask the
            plain model.
        think_end_token: What ends a model's thinking, as text.
        max_thinking_toks: With it: how many tokens the model may think, beside those of its answer.
        price_in: Price of a million prompt tokens, in any currency.
        price_audio_in: Price of a million of them that are audio, where the server counts these.
        price_out: Price of a million generated tokens.
    """

    base_urls: tuple[str, ...]
    model: str | None = None
    num_concurrent: int = 8
    timeout: float = 120.0
    max_retries: int = 5
    retry_wait: float = 1.0
    api_key_env: str = KEY_VARIABLE
    audio_format: str = "wav"
    audio_part: str = "input_audio"
    sampling_rate: int = 16_000
    max_seconds: float = 30.0
    max_channels: int = MAX_CHANNELS
    max_rate: int = MAX_RATE
    top_logprobs: int = 20
    missing_letters: str = "error"
    attn_scale: str | None = None
    attn_scale_missing: str = "raise"
    think_end_token: str | None = None
    max_thinking_toks: int = 1024
    price_in: float | None = None
    price_audio_in: float | None = None
    price_out: float | None = None

    @property
    def limits(self) -> AudioLimits:
        """What audio is accepted."""
        return AudioLimits(
            max_channels=self.max_channels or None,
            max_rate=self.max_rate or None,
            max_seconds=self.max_seconds or None,
        )

    def key(self) -> str | None:
        """Return the key from the environment; None where there is none.

        Raises:
            OptionError: A variable is named that is not set.
        """
        key = os.environ.get(self.api_key_env, "").strip()
        if not key and self.api_key_env != KEY_VARIABLE:
            raise OptionError(
                f"api_key_env={self.api_key_env}: the environment has no such variable; expected "
                "one with the server's key"
            )
        return key or None

    def of_answers(self) -> dict[str, Any]:
        """Return the arguments that answers depend on: no URL, nothing of how they are asked."""
        names = (
            *("audio_format", "audio_part", "sampling_rate", "top_logprobs", "missing_letters"),
            *("attn_scale_missing", "think_end_token", "max_thinking_toks"),
        )
        return {name: getattr(self, name) for name in names}


def read_arguments(given: Mapping[str, Any]) -> ApiArguments:
    """Check model arguments.

    Args:
        given: By name, as lm_eval has them.

    Raises:
        OptionError: An unknown name or a wrong value; a key among the arguments.
    """
    further = further_urls(given)
    arguments = {
        name: value
        for name, value in given.items()
        if name not in (*_IGNORED, *further) and value is not None
    }
    for name in arguments:
        if ("api_key" in name.lower() and name != "api_key_env") or name.lower() in (
            "key",
            "token",
        ):
            raise OptionError(
                f"lalm-api takes no {name}: lm_eval writes model arguments into its results. Set "
                f"the environment variable {KEY_VARIABLE}, or another and name it with api_key_env"
            )
    known = [field.name for field in fields(ApiArguments) if field.name != "base_urls"]
    unknown = [name for name in arguments if name not in (*known, "base_url")]
    if unknown:
        raise OptionError(
            f"unknown model argument {unknown[0][:80]!r}.{did_you_mean(unknown[0], known)} "
            f"lalm-api takes base_url, {', '.join(known)}"
        )
    first = arguments.pop("base_url", None)
    urls = base_urls([*base_urls(first), *further] if further else first)
    values = {name: _value(name, value) for name, value in arguments.items()}
    read = ApiArguments(base_urls=urls, **values)
    if read.price_audio_in is not None and read.price_in is None:
        raise OptionError("price_audio_in is given without price_in; expected both")
    return read


_CHOICES = {
    "audio_format": AUDIO_FORMATS,
    "audio_part": AUDIO_PARTS,
    "missing_letters": ("error", "floor"),
    "attn_scale_missing": ("raise", "warn"),
}
_LEAST = {
    **{"num_concurrent": 1, "max_retries": 0, "sampling_rate": 8000, "max_channels": 0},
    **{"max_rate": 0, "top_logprobs": 4, "max_thinking_toks": 0},
}
_SECONDS_OR_PRICES = ("timeout", "retry_wait", "max_seconds", "price_in", "price_audio_in")


def _value(name: str, value: Any) -> Any:
    """Return a value as its field wants it."""
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise _wrong(name, value, " or ".join(map(repr, _CHOICES[name])))
        return value
    if name in _LEAST:
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < _LEAST[name]:
            raise _wrong(name, value, f"a whole number, {_LEAST[name]} or more")
        return value
    if name in (*_SECONDS_OR_PRICES, "price_out"):
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (0 <= number < math.inf) or (name == "timeout" and not number):
            raise _wrong(name, value, "a number, 0 or more" if name != "timeout" else "seconds")
        return number
    text = str(value)
    if not text.strip():
        raise _wrong(name, value, "a name")
    return text


def _wrong(name: str, value: object, expected: str) -> OptionError:
    return OptionError(f"model argument {name}={shown(value)}: expected {expected}")
