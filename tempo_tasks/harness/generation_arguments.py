"""Generation arguments (`--gen_kwargs`): what is refused, and which of two lengths counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tempo_tasks.errors import GenerationArgumentError

_TOTAL = ("max_new_tokens", "max_tokens", "max_completion_tokens")
"""Other names of lm-eval's `max_gen_toks`, which tasks set: users say the whole length by these."""
_ONE_ANSWER = {
    "num_return_sequences": (1, "each prompt has one answer; for several, use repeats in the task"),
    "return_dict_in_generate": (False, "the answers' tokens alone are read"),
}

_GOES_ON = (
    *("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"),
    *("no_repeat_ngram_size", "min_new_tokens", "until", "max_gen_toks", "max_length", *_TOTAL),
)
"""With these alone, `generate` goes on from a cache that is given; beams would not find theirs."""
_OTHERWISE = {
    **{"num_beams": 1, "num_beam_groups": 1, "guidance_scale": 1, "use_cache": True},
    **dict.fromkeys(
        ("penalty_alpha", "prompt_lookup_num_tokens", "cache_implementation", "cache_config")
    ),
    **dict.fromkeys(("prefill_chunk_size", "dola_layers", "assistant_early_exit", "constraints")),
    **dict.fromkeys(("low_memory", "force_words_ids")),
}
"""Settings of a model's own with which it would not, where they are others than these."""


def goes_on(gen_kwargs: Mapping[str, Any], config: Any) -> bool:
    """Return whether a generation can begin with a key/value cache, one row for each prompt.

    Args:
        gen_kwargs: A task's and a user's.
        config: The model's own generation configuration.
    """
    own = config.to_diff_dict() if config is not None else {}
    plain = all(own.get(name) in (None, False, value) for name, value in _OTHERWISE.items())
    return set(gen_kwargs) <= set(_GOES_ON) and plain and own.get("use_cache") is not False


def check_generation(gen_kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments with which answers could not be told to their prompts.

    Raises:
        GenerationArgumentError: There is one.
    """
    for name, (only, why) in _ONE_ANSWER.items():
        if gen_kwargs.get(name, only) != only:
            raise GenerationArgumentError(
                f"generation argument {name}={gen_kwargs[name]}: expected {only}, as {why}"
            )


def names_total(gen_kwargs: Mapping[str, Any]) -> bool:
    """Return whether the whole length of a generation is said, thinking included."""
    return "max_gen_toks" not in gen_kwargs and any(name in gen_kwargs for name in _TOTAL)


def updated(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's generation arguments with a user's.

    A length of the user's takes the place of the task's, whatever it is called: lm-eval would let
    the task's `max_gen_toks` win over the user's `max_new_tokens`.

    Raises:
        GenerationArgumentError: See `check_generation`.
    """
    check_generation(new)
    lengths = ("max_gen_toks", *_TOTAL)
    if any(name in new for name in lengths):
        old = {name: value for name, value in old.items() if name not in lengths}
    return {**old, **new}
