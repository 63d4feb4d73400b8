"""Stands in for `generate` while a model is wrapped, at whichever level it is called.

A generation is many forward calls. Only `generate` itself knows where the prompt ends, and it alone
can run the plain first step that an adaptive edit needs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from transformers import GenerationMixin

from tempo_attn.runtime.adaptive_strength import one_plain_step
from tempo_attn.runtime.tracker import Tracker


def stand_in_for_generate(tracker: Tracker) -> None:
    """Put the stand-in on every module of a wrapped model that generates.

    Args:
        tracker: Follows the model; takes the stand-ins off with its hooks.
    """
    for module in tracker.modules:
        undo = _put_on(module, tracker)
        if undo is not None:
            tracker.to_remove.append(undo)


def _put_on(module: nn.Module, tracker: Tracker) -> Callable[[], None] | None:
    """Put the stand-in on a module that generates; return what removes it, or None.

    Modules with a `generate` of another kind (chat messages in, speech out) call the one of a
    module inside them.
    """
    if not isinstance(module, GenerationMixin):
        return None
    parameters = inspect.signature(type(module).generate).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    if "generation_config" not in parameters and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return None
    before, own = module.__dict__.get("generate"), module.__dict__
    original: Any = getattr(module, "generate")  # noqa: B009 (the mixin's annotation of self)
    own["generate"] = functools.wraps(original)(functools.partial(_generate, tracker, original))

    def remove() -> None:
        del own["generate"]
        if before is not None:
            own["generate"] = before

    return remove


def _generate(tracker: Tracker, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Generate with the prompts' positions fixed; an adaptive edit first takes one plain step."""
    edit = tracker.edit
    inputs = _inputs(args, kwargs)
    known = inputs.get("inputs_embeds") is not None or (
        tracker.family.token_ids(inputs) is not None
    )
    if edit is None or not known or tracker.is_pinned(inputs):
        return original(*args, **kwargs)
    # Positions differ from call to call; a compiled decoding step would keep the first.
    kwargs.setdefault("disable_compile", True)
    with ExitStack() as stack:
        if edit.config.adaptive is not None:
            with tracker.disabled():
                plain = original(*args, **one_plain_step(kwargs))
            stack.enter_context(tracker.adapting(plain.logits[0]))
        stack.enter_context(tracker.generating(inputs))
        return original(*args, **kwargs)


def _inputs(args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's model inputs by name: the first argument may be the token ids."""
    inputs = dict(kwargs)
    ids = args[0] if args else inputs.get("inputs")
    if isinstance(ids, Tensor):
        inputs["input_ids"] = ids
    return inputs
