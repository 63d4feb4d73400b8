"""Whether audio gets into the prompt, into the decoder, and into the answer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tempo_attn import AUDIO_PLACEHOLDER
from tempo_tasks.doctor.diagnosis import Outcome, failed, passed
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.harness.delivery import check_silence_differs, noise

QUESTION = "What do you hear?"
_LITTLE = 0.05
"""Of the logits' standard deviation: what is less hardly decides an answer."""


def template_has_audio(exam: Examination) -> Outcome:
    """Check that a rendered chat has positions for its audio, and keeps the question behind it."""
    handles = exam.handles[:1]
    rendered = exam.lm.render(f"{AUDIO_PLACEHOLDER}{QUESTION}", handles)
    inputs = exam.inputs([(rendered, handles)])
    prompt = exam.positions(inputs)
    n_audio = int(prompt.spans["audio"].sum())
    if prompt.ids is None or not n_audio:
        return failed("the rendered chat has no audio positions", audio_positions=n_audio)
    skip = ~prompt.real | torch.stack(list(prompt.spans.values())).any(0)
    text = exam.reader.read(prompt.ids[0].tolist(), skip[0].tolist()).text
    _, found, after = text.rpartition(QUESTION)
    if not found:
        return failed(
            f"the rendered chat has no {QUESTION!r} in it: the template drops text beside audio; "
            f"it ends {text[-100:]!r}"
        )
    return passed(f"{n_audio} audio positions; after the question: {after[:80]!r}")


def positions_match(exam: Examination) -> Outcome:
    """Check audio positions in the ids against what is foretold and what the encoder fills."""
    lm = exam.lm
    told: dict[str, int] = {}
    foretold = []
    for number, (prompt, handles) in enumerate(exam.rows):
        (wave,) = lm.waves(handles)
        inputs = exam.inputs([(prompt, handles)])
        positions = exam.positions(inputs).spans["audio"][0]
        counted = int(positions.sum())
        expected = lm.family.n_audio_tokens(lm.processor, len(wave))
        reached = _reached(exam, (prompt, handles), inputs, len(wave))
        foretold.append(expected)
        told |= {f"in_ids_{number}": counted, f"foretold_{number}": expected}
        told |= {f"filled_{number}": int(reached.sum())}
        seconds = len(wave) / lm.sampling_rate
        if counted != expected:
            return failed(
                f"a clip of {seconds:.2f} s has {counted} positions in the ids, and "
                f"the family foretells {expected}",
                **told,
            )
        if bool((reached & ~positions).any()):
            return failed(
                f"the encoder's output reaches {int((reached & ~positions).sum())} positions that "
                "are not audio",
                **told,
            )
        # A family that fills a fixed window foretells the same for every clip: the positions of
        # its padding are the same whatever is heard.
        if not bool(reached.any()) or (int(reached.sum()) < counted and not _fixed(exam)):
            return failed(
                f"a clip of {seconds:.2f} s has {counted} audio positions, and the encoder's "
                f"output reaches {int(reached.sum())} of them",
                **told,
            )
    lengths = ", ".join(map(str, foretold))
    if len(set(foretold)) < len(foretold):
        lengths += " (a fixed window)"
    return passed(f"{lengths} positions for clips at three lengths: ids, family, encoder", **told)


def _fixed(exam: Examination) -> bool:
    lm = exam.lm
    lengths = [len(lm.waves([handle])[0]) for handle in exam.handles]
    return len({lm.family.n_audio_tokens(lm.processor, length) for length in lengths}) == 1


def _reached(exam: Examination, row: Any, inputs: Any, n_samples: int) -> Tensor:
    """Return the positions where noise for the clip changes what enters the decoder, (tokens,)."""
    rate = exam.lm.sampling_rate
    other = noise(n_samples / rate + 1.0, rate)[:n_samples]
    states = [_entering(exam, inputs), _entering(exam, exam.inputs([row], [[other]]))]
    if states[0].shape != states[1].shape:
        return torch.zeros(states[0].shape[-2], dtype=torch.bool)
    changed = (states[0] != states[1]).any(-1)
    return changed.reshape(-1, changed.shape[-1]).any(0)


def _entering(exam: Examination, inputs: Any) -> Tensor:
    """Return what enters the decoder's first layer, (..., tokens, width)."""
    seen: list[Tensor] = []

    def look(module: Any, args: Any, kwargs: Any) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        seen.append(states.detach().float().cpu())

    layers: Any = exam.lm.family.decoder(exam.lm.model).layers
    hook = layers[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        exam.logits(inputs)
    finally:
        hook.remove()
    return seen[0]


def silence_differs(exam: Examination) -> Outcome:
    """Check that zeros in the clip's place change the next token's logits."""
    (row,) = exam.rows[:1]
    silence = [wave * 0 for wave in exam.lm.waves(row[1])]
    inputs = exam.inputs([row], [silence])
    change, _ = check_silence_differs(exam.lm.model, exam.first_inputs, inputs)
    deviation = float(exam.first_logits.std())
    share = change / deviation if deviation else math.inf
    if not math.isfinite(share):
        return failed("the logits of all tokens are the same", change=round(change, 5))
    little = " (little: listen to its answers before you trust them)" if share < _LITTLE else ""
    return passed(
        f"silence changes logits by up to {change:.3g}, {share:.2g} times their standard "
        f"deviation{little}",
        change=round(change, 5),
        in_standard_deviations=round(share, 5),
    )
