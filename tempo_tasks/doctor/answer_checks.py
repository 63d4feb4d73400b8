"""Whether generated answers and likelihoods tell of the same model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tempo_tasks.doctor.diagnosis import Outcome, passed
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.doctor.tolerance import EXACT
from tempo_tasks.questions.questions import LETTERS

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1.0),
    "encoder_repetition_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "exponential_decay_length_penalty": (None,),
    "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []),
    "forced_bos_token_id": (None,),
    "sequence_bias": (None,),
    "bad_words_ids": (None,),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "guidance_scale": (None, 1.0),
}
"""What a generation configuration may hold that greedy generation obeys, and where it does not."""


def generation_agrees(exam: Examination) -> Outcome:
    """Check that greedy generation begins with the likeliest token and letter."""
    texts, n_letters = [], 0
    for number in range(len(exam.documents)):
        row = exam.row(number)
        (first,) = exam.lm.generate_batch([row], {"until": [], "max_gen_toks": 1})
        logits = exam.logits(exam.inputs([row]))[0]
        likeliest = _likeliest(exam, logits)
        if first not in likeliest and not _thinks(exam):
            return _disagrees(
                exam,
                f"generation begins with {first!r}, and the likeliest token is {likeliest[0]!r}",
            )
        (text,) = exam.lm.generate_batch([row], {"until": ["\n"], "max_gen_toks": 8})
        texts.append(text)
        letter = text[:1]
        if letter not in LETTERS or text[1:2].isalnum():
            continue
        n_letters += 1
        scores = _scores(exam, number)
        best = max(scores)
        if best - scores[LETTERS.index(letter)] > _tie(logits, exam):
            return _disagrees(
                exam,
                f"generation answers {text!r}, and the likeliest letter is "
                f"{LETTERS[scores.index(best)]}",
            )
    answers = ", ".join(map(repr, texts))
    if not n_letters:
        return passed(
            f"{len(texts)} answers begin with the likeliest token; none is a letter: {answers}",
            answers=len(texts),
            letters=0,
        )
    return passed(
        f"{len(texts)} answers ({answers}) begin with the likeliest token; {n_letters} with a "
        "letter, the likeliest one",
        answers=len(texts),
        letters=n_letters,
    )


def _likeliest(exam: Examination, logits: Tensor) -> list[str]:
    """Return the text of the likeliest token, and of those that tie with it up to rounding."""
    best = float(logits.max())
    tied = (logits >= best - _tie(logits, exam)).nonzero()[:, 0].tolist()
    tied.sort(key=lambda token: -float(logits[token]))
    # As an answer is read: without special tokens and blanks before it.
    return [exam.lm.tok_decode([token]).lstrip() for token in tied]


def _tie(logits: Tensor, exam: Examination) -> float:
    """Return the difference of logits that rounding explains between two ways to compute them."""
    size = float(logits.abs().max())
    return 1e-4 * max(1.0, size) if exam.dtype in EXACT else 4 * torch.finfo(exam.dtype).eps * size


def _thinks(exam: Examination) -> bool:
    """Return whether a model thinks first: its answer is not what it generates first."""
    return exam.lm.think_end_token is not None


def _scores(exam: Examination, number: int) -> list[float]:
    """Return the letters' log-probabilities, as the harness asks for them."""
    answers = exam.lm.loglikelihood(exam.requests(number), disable_tqdm=True)
    return [score for score, _ in answers]


def steering(exam: Examination) -> dict[str, Any]:
    """Return what the generation configuration holds that changes greedy generation."""
    config = exam.lm.model.generation_config
    found = {name: getattr(config, name, None) for name in _NEUTRAL}
    return {name: value for name, value in found.items() if value not in _NEUTRAL[name]}


def _disagrees(exam: Examination, reason: str) -> Outcome:
    """Return the failure, with what in the checkpoint may explain it."""
    found = steering(exam)
    if not found:
        return Outcome("failed", reason)
    named = ", ".join(f"{name}={value}" for name, value in found.items())
    neutral = ",".join(
        f"{name}={values[-1]}"
        for name, values in _NEUTRAL.items()
        if name in found and isinstance(values[-1], int | float)
    )
    return Outcome(
        "failed",
        f"{reason}; the checkpoint's generation_config has {named}",
        to_do="greedy generation obeys the checkpoint's generation_config and likelihoods do not: "
        + (f"generate with --gen_kwargs {neutral}, or " if neutral else "")
        + "report the two kinds of scores apart",
    )
