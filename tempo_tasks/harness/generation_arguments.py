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
