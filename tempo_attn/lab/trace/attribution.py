"""Attribution patching: what every patch would do, to first order, from three passes.

The effect of writing states s over h is about (s - h) . dP/dh, with P the probability of the right
answer (Nanda 2023, "Attribution patching"). One forward of the run that states come from, one
forward and one backward of the run that is patched, for all sites together. It is exact for small
changes only: the agreement with true patches says how far to trust it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tempo_attn.attention.hidden_states import StateHooks
from tempo_attn.errors import UnsupportedModelError
from tempo_attn.lab.engine.growing_batch import rows_at
from tempo_attn.lab.engine.hidden_states import (
    Component,
    States,
    modules_of,
    place,
)
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.engine.query_rows import QueryRows
from tempo_attn.lab.items import Batch
from tempo_attn.lab.trace.sites import Site


def attributed(
    subject: ModelUnderStudy,
    base: Batch,
    answers: Sequence[int],
    states: States,
    start: int,
    places: Mapping[str, QueryRows],
    sites: Sequence[Site],
) -> Tensor:
    """Return the approximate change of the right answer's probability by each patch.

    Args:
        subject: The model; its decoder's attention is its own.
        base: The run that is patched.
        answers: Index of each item's right candidate.
        states: What left the components of the run that states come from, from `start` on.
        start: The first position in them.
        places: The positions of every group.
        sites: The patches; none random.

    Returns:
        (items, sites), float32.

    Raises:
        UnsupportedModelError: No gradient reaches a layer.
    """
    components = list(dict.fromkeys(site.component for site in sites))
    outputs: dict[Component, list[Tensor]] = {component: [] for component in components}
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        _graph_from_first_layer(subject, outputs),
    ):
        logits = subject.candidate_logits(subject.call(base), base)
        right = torch.tensor(answers, device=logits.device)[:, None]
        total = logits.softmax(-1).gather(1, right).sum()
        flat = [output for component in components for output in outputs[component]]
        gradients = list(torch.autograd.grad(total, flat, allow_unused=True))
    found: dict[tuple[Component, int], Tensor] = {}
    for component in components:
        for at, output in enumerate(outputs[component]):
            gradient = gradients.pop(0)
            # What leaves the last layer behind the last position but one reaches no answer.
            gradient = torch.zeros_like(output) if gradient is None else gradient
            source = states[component][at].to(output)
            change = source - output.detach()[:, start:]
            found[component, at] = (change * gradient[:, start:]).float().sum(-1)
    effects = [
        _at(found[s.component, place(s.component, s.layer)], places[s.group], start) for s in sites
    ]
    return torch.stack([effect.to(subject.device) for effect in effects], 1)


def _at(by_position: Tensor, places: QueryRows, start: int) -> Tensor:
    """Return the sum over a group's positions, (items,); (items, tokens) without repetitions."""
    rows = rows_at(by_position[..., None], places.index - start)[..., 0]
    return (rows * places.valid.to(rows)).sum(1)


@contextmanager
def _graph_from_first_layer(
    subject: ModelUnderStudy, outputs: Mapping[Component, list[Tensor]]
) -> Iterator[None]:
    """Keep what leaves the components, with gradients of the decoder's layers and nothing else."""
    learned = [weight for weight in subject.model.parameters() if weight.requires_grad]

    def begin(entering: Tensor) -> Tensor:
        hidden = entering.detach().requires_grad_()
        if "residual" in outputs:
            outputs["residual"].append(hidden)
        return hidden

    def keep(module: nn.Module, kept: list[Tensor]) -> Callable[[Tensor], None]:
        def visit(found: Tensor) -> None:
            if not found.requires_grad:
                raise UnsupportedModelError(
                    f"{type(module).__name__} passes no gradient on, so there is nothing to "
                    "attribute; use true patches"
                )
            kept.append(found)

        return visit

    with StateHooks() as hooks:
        try:
            for weight in learned:
                weight.requires_grad_(False)
            hooks.on_input(subject.decoder.layers[0], begin)
            for component, kept in outputs.items():
                for module in modules_of(subject.decoder, component):
                    hooks.on_output(module, keep(module, kept))
            yield
        finally:
            for weight in learned:
                weight.requires_grad_(True)
