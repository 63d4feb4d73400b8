"""Generation arguments of the harness as fields of a chat request, and how an answer is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm_eval.models.utils import normalize_gen_kwargs

from tempo_attn.did_you_mean import did_you_mean
from tempo_tasks.errors import GenerationArgumentError
from tempo_tasks.harness.generation_arguments import check_generation, names_total
from tempo_tasks.harness.stopping import AnswerRule

_LENGTH = "max_completion_tokens"
_FIELDS = (
    *("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"),
    *("top_k", "min_p", "repetition_penalty"),
)
_OURS = ("until", "max_gen_toks", "do_sample", "num_return_sequences", "return_dict_in_generate")
DEFAULT_LENGTH = 256


def generation_fields(gen_kwargs: Mapping[str, Any], thinking_toks: int) -> dict[str, Any]:
    """Return the fields of a request; no stop sequences: see `answer_rule`.

    Args:
        gen_kwargs: As the task and `--gen_kwargs` have them.
        thinking_toks: Tokens that a model may think, beside those of its answer.

    Raises:
        GenerationArgumentError: One that servers do not take.
    """
    check_generation(gen_kwargs)
    kwargs: dict[str, Any] = dict(normalize_gen_kwargs(dict(gen_kwargs), DEFAULT_LENGTH))
    unknown = [name for name in kwargs if name not in (*_FIELDS, *_OURS)]
    if unknown:
        raise GenerationArgumentError(
            f"generation argument {unknown[0]!r}: a server takes none of this name."
            f"{did_you_mean(unknown[0], _FIELDS)} Expected one of {', '.join(_FIELDS)}"
        )
    length = kwargs["max_gen_toks"]
    if thinking_toks and not names_total(gen_kwargs):
        length += thinking_toks
    # OpenAI's newer models take the newer name only; servers of one's own know the older best.
    name = _LENGTH if _LENGTH in gen_kwargs else "max_tokens"
    fields = {name: length} | {key: kwargs[key] for key in _FIELDS if key in kwargs}
    if "temperature" not in gen_kwargs:  # else the server's own default, which may sample
        fields["temperature"] = 1.0 if kwargs.get("do_sample") else 0.0
    return fields


def answer_of(text: str, gen_kwargs: Mapping[str, Any], think_end: str | None) -> str:
    """Return the answer in what a model said, cut as `lalm` cuts it.

    A server would stop at a stop sequence wherever it stands: in the thinking, or in a line break
    before the answer. So it is told of none, and the text is cut here.

    Args:
        text: What the model said.
        gen_kwargs: As the task and `--gen_kwargs` have them.
        think_end: What ends thinking; None for models that do not think.
    """
    until = gen_kwargs.get("until") or []
    rule = AnswerRule(
        decode=lambda points: "".join(map(chr, points)),
        until=[until] if isinstance(until, str) else until,
        ends_of_turn=(),
        think_end=think_end,
    )
    return rule.read([ord(character) for character in text]).answer
