"""Whether a prompt is answered the same alone and among others."""

from __future__ import annotations

from typing import Any

import torch

from tempo_tasks.doctor.diagnosis import Outcome, failed, passed
from tempo_tasks.doctor.examination import Examination, Row
from tempo_tasks.doctor.tolerance import difference

_LONGER = "\nListen to the whole clip before you answer. The clip is played to you only once."


def batch_equals_single(exam: Examination) -> Outcome:
    """Check that clips give the same logits in a batch and one at a time.

    They are of different lengths, unless a clip hears the padding behind it: then the harness takes
    one prompt at a time.
    """
    alike = exam.lm.family.pads_audio_alike
    rows = exam.rows if alike else [exam.row(number) for number in range(len(exam.documents))]
    of_what = "clips of different lengths" if alike else "prompts on clips of one length"
    together = exam.logits(exam.inputs(rows))
    alone = torch.cat([exam.logits(exam.inputs([row])) for row in rows])
    found = difference(together, alone, exam.dtype)
    numbers: dict[str, Any] = {
        "difference": found.largest,
        "allowed": found.allowed,
        "n_clips": len(rows),
    }
    if not found.explained:
        worst = [difference(together[n : n + 1], alone[n : n + 1], exam.dtype) for n in range(3)]
        wrong = [str(n) for n, part in enumerate(worst) if not part.explained]
        return failed(
            f"in a batch of {len(rows)} {of_what}, logits differ by {found.largest:.3g} from one "
            f"at a time (allowed: {found.bound}), in row {', '.join(wrong)} (longest clip first)",
            **numbers,
        )
    # What a clip becomes depends on the padding behind it, so the harness pads none.
    aside = "" if alike else "; the harness takes one prompt at a time of this family"
    return passed(
        f"{len(rows)} {of_what}: logits differ by {found.largest:.2g} (allowed: {found.bound})"
        f"{aside}",
        **numbers,
    )


def left_padding_harmless(exam: Examination) -> Outcome:
    """Check that padding lies on the left, and that a prompt does not notice it.

    Both prompts have the same clip: only their texts differ in length.
    """
    prompt, handles = exam.row(0, 2)
    longer = exam.documents[0]["prompt"] + _LONGER
    rows: list[Row] = [(prompt, handles), (exam.lm.render(longer, handles), handles)]
    inputs = exam.inputs(rows)
    mask = inputs["attention_mask"].bool()
    n_padding = int((~mask[0]).sum())
    if not n_padding:
        return failed("the shorter of two prompts is not padded in a batch, or not masked there")
    real = mask[0].nonzero()
    n_right = mask.shape[1] - 1 - int(real[-1])
    if n_right or not bool(mask[:, -1].all()):
        return failed(
            f"the shorter prompt is padded on the right ({n_right} positions), where its answer is "
            "read",
            padding=n_padding,
            on_the_right=n_right,
        )
    padded = exam.logits(inputs)[:1]
    found = difference(padded, exam.logits(exam.inputs(rows[:1])), exam.dtype)
    numbers: dict[str, Any] = {
        "difference": found.largest,
        "allowed": found.allowed,
        "padding": n_padding,
    }
    sentence = (
        f"{n_padding} positions of padding on the left change logits by {found.largest:.2g} "
        f"(allowed: {found.bound})"
    )
    return passed(sentence, **numbers) if found.explained else failed(sentence, **numbers)
