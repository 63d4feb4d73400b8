"""Whether an edit of attention on audio is applied, and comes off without a trace."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import PositionError
from tempo_tasks.doctor.diagnosis import Outcome, failed, passed, skipped
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.doctor.tolerance import EXACT

_ROWS = ("last", "keyword", "option")
_MORE = 4
"""Times the change by recomputing rows alone: what is less may be rounding."""


def _edit(exam: Examination, strength: float) -> AttnScaleConfig:
    return AttnScaleConfig(
        mode="scale", strength=strength, layers=_reachable(exam), queries=list(_ROWS)
    )


def _reachable(exam: Examination) -> list[int]:
    """Return the layers whose edited rows see audio: with a sliding window some may not."""
    if exam.reachable is None:
        every = exam.layers_with_attention
        exam.reachable = (
            every if _reaches(exam, every) else [n for n in every if _reaches(exam, [n])]
        )
    return exam.reachable


def _reaches(exam: Examination, layers: list[int]) -> bool:
    config = AttnScaleConfig(mode="scale", strength=2.0, layers=layers, queries=list(_ROWS))
    try:
        with exam.edited(config) as model:
            exam.logits(exam.first_inputs, model)
    except PositionError:
        return False
    return True


def edit_applied(exam: Examination) -> Outcome:
    """Check that an edit reaches the rows and keys that it should, and changes the logits."""
    prompt = exam.positions(exam.first_inputs)
    # Rows before the audio see none of it.
    rows = exam.found_rows(prompt, *_ROWS)
    n_rows = int((rows & (prompt.spans["audio"].cumsum(1) > 0)).sum())
    n_keys = int(prompt.spans["audio"].sum())
    if not _reachable(exam):
        return failed("in no layer do the edited rows see audio, so that no edit does anything")
    with exam.edited(_edit(exam, 2.0)) as model:
        found = exam.logits(exam.first_inputs, model)
        status = model.status()
    change = float((found - exam.first_logits).abs().max())
    control = exam.change_by_recomputing(_edit(exam, 2.0))
    numbers: dict[str, Any] = {
        "layers": sum(count > 0 for count in status.prefills.values()),
        "rows": status.rows[0] if status.rows else 0,
        "keys": status.audio_tokens[0] if status.audio_tokens else 0,
        "change": round(change, 5),
        "change_by_recomputing": round(control, 7),
    }
    unedited = [layer for layer in status.layers if not status.prefills.get(layer)]
    if unedited:
        return failed(f"layers {unedited} were chosen and not edited", **numbers)
    if (numbers["rows"], numbers["keys"]) != (n_rows, n_keys):
        return failed(
            f"{numbers['rows']} rows and {numbers['keys']} keys were edited; expected {n_rows} "
            f"(last, keyword, option) and {n_keys} (audio)",
            **numbers,
        )
    if not change > _MORE * control:
        return failed(
            f"{n_rows} rows and {n_keys} keys count as edited in {numbers['layers']} layers, and "
            f"the logits change by {change:.2g}, where recomputing the rows alone changes them by "
            f"{control:.2g}",
            **numbers,
        )
    blind = sorted(set(exam.layers_with_attention) - set(_reachable(exam)))
    aside = (
        f"; in layers {', '.join(map(str, blind))} these rows see no audio (a sliding window): "
        "leave them out of edits"
        if blind
        else ""
    )
    return passed(
        f"{n_rows} rows on {n_keys} keys in {numbers['layers']} layers; alpha = 2 changes logits "
        f"by up to {change:.3g} (recomputing the rows alone: {control:.1g}){aside}",
        **numbers,
    )


def edit_removed(exam: Examination) -> Outcome:
    """Check that logits are bit-identical with the edit switched off, and after its removal."""
    if again := _not_repeatable(exam):
        return again
    with exam.edited(_edit(exam, 2.0)) as model:
        exam.logits(exam.first_inputs, model)
        with model.disable_adapter():
            off = exam.logits(exam.first_inputs, model)
    gone = exam.logits(exam.first_inputs)
    for found, when in ((off, "switched off"), (gone, "after its removal")):
        if not torch.equal(found, exam.first_logits):
            change = float((found - exam.first_logits).abs().max())
            return failed(f"with the edit {when}, logits differ by {change:.3g}", change=change)
    return passed("logits are bit-identical with the edit switched off, and after its removal")


def neutral_edit_changes_nothing(exam: Examination) -> Outcome:
    """Check that alpha = 1 gives bit-identical logits."""
    if again := _not_repeatable(exam):
        return again
    with exam.edited(_edit(exam, 1.0)) as model:
        found = exam.logits(exam.first_inputs, model)
    if not torch.equal(found, exam.first_logits):
        change = float((found - exam.first_logits).abs().max())
        return failed(f"alpha = 1 changes logits by {change:.3g}", change=change)
    return passed("alpha = 1 gives bit-identical logits")


def attn_scale_fits(exam: Examination) -> Outcome:
    """Check that the configuration of `--attn-scale` fits the model, is applied and does something.

    Raises:
        TempoError: It does not fit; the message says what.
    """
    config = exam.attn_scale
    assert config is not None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with exam.edited(config) as model:
            found = exam.logits(exam.first_inputs, model)
            status = model.status()
    change = float((found - exam.first_logits).abs().max())
    numbers: dict[str, Any] = {
        "layers": len(status.layers),
        "rows": status.rows[0] if status.rows else 0,
        "keys": status.audio_tokens[0] if status.audio_tokens else 0,
        "change": round(change, 5),
    }
    layers = f"{len(status.layers)} layer{'' if len(status.layers) == 1 else 's'}"
    what = f"mode {config.mode}, {layers}"
    # Such as that it was made for another model.
    aside = "".join(f"; but {w.message}" for w in warned if issubclass(w.category, UserWarning))
    if config.is_identity:
        return passed(f"{what}: it fits, and by its strength changes nothing{aside}", **numbers)
    # Of hidden states nothing is recomputed. In 16 bits a small edit may be no larger than
    # rounding, and is applied all the same.
    control = 0.0 if config.spec.edits_states else exam.change_by_recomputing(config)
    if not change > (_MORE * control if exam.dtype in EXACT else 0):
        return failed(
            f"{what}: it fits, and changes logits by {change:.2g}, where recomputing the rows "
            f"alone changes them by {control:.2g}{aside}",
            **numbers,
        )
    return passed(
        f"{what}, {numbers['rows']} rows on {numbers['keys']} keys: changes logits by up to "
        f"{change:.3g} (recomputing the rows alone: {control:.1g}){aside}",
        **numbers,
    )


def _not_repeatable(exam: Examination) -> Outcome | None:
    change = exam.change_by_running_again
    if change == 0:
        return None
    return skipped(
        f"the plain model itself differs by {change:.2g} from one run to the next, so that nothing "
        "can be told to be bit-identical; choose deterministic kernels",
        change_by_running_again=change,
    )
