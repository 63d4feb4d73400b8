"""Two runs of one prompt, and patches between them by plain hooks, one full forward each."""

from dataclasses import replace

import numpy as np
import torch

from tempo_attn.families import get_family
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_attn.lab.trace.run import Tracer
from tempo_attn.lab.trace.sites import Site
from tests.support.lab_items import CANDIDATES, Prepared, make_prepared


def twin(item):
    """The same item with other audio, for `Twins`."""
    return replace(item, content="corrupted")


class Twins:
    """Prepares items, and their corrupted twins: the same prompts with other audio."""

    def __init__(self, prepared: Prepared, corrupted=None):
        self.clean = prepared
        self.corrupted = replace(prepared, inputs=corrupted or with_other_audio(prepared.inputs))
        self.items = prepared.items

    def __call__(self, items):
        (corrupted,) = {item.content == "corrupted" for item in items}
        return (self.corrupted if corrupted else self.clean)(items)


def with_other_audio(inputs):
    """Other noise as features; silence behind the audio stays silent."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(value.shape, generator=generator) * (value != 0)
        if isinstance(value, torch.Tensor) and value.is_floating_point()
        else value
        for name, value in inputs.items()
    }


def twins_of(tiny):
    """Prompts of a family's tiny model: a padded batch where it takes one."""
    inputs, spans = (
        (tiny.inputs, tiny.spans) if tiny.batch is None else (tiny.batch, tiny.batch_spans)
    )
    masks = {f"{name}_mask": mask for name, mask in spans.items()}
    inputs = {**inputs, **masks}
    # Other words, too: some tiny encoders make almost the same of all noise.
    ids = inputs["input_ids"]
    words = (ids >= 10) & (ids < 80)
    other = torch.where(words, 89 - ids, ids)
    corrupted = with_other_audio(inputs) | {"input_ids": other}
    return Twins(make_prepared(inputs, n_items=len(spans["audio"])), corrupted)


def tracer_of(model, twins, sites, forward=None, **settings):
    subject = ModelUnderStudy(model, twins, tokenizer=twins.clean.tokenizer, forward=forward)
    return Tracer(subject, twin, sites, **settings)


def traced(tracer, twins):
    """Probabilities of every site by direction, (items, sites), and changes to first order."""
    return tracer.trace(twins.items, [twin(item) for item in twins.items])


# ------------------------------------------------------------------------------ by plain hooks


def answers(logits, items):
    """The right answers' probabilities among the candidates, (items,)."""
    shares = logits[:, -1, list(CANDIDATES)].float().softmax(-1)
    return shares[range(len(items)), [item.answer for item in items]]


def own_probability(run, inputs, items):
    """The right answers' probabilities without a patch, (items,)."""
    with torch.no_grad():
        return answers(run(**without_masks(inputs)).logits, items)


def without_masks(inputs):
    return {k: v for k, v in inputs.items() if k not in ("audio_mask", "transcript_mask")}


def module_of(model, site: Site):
    family = get_family(model.config)
    if site.component == "attention":
        return family.attentions(model)[site.layer]
    layer = family.decoder(model).layers[max(site.layer, 0)]
    return layer.mlp if site.component == "mlp" else layer


def run_with(model, run, inputs, site, change):
    """Run a model whose states at a site are what `change` makes of them."""

    def leave(module, args, output):
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    def enter(module, args, kwargs):
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

    module = module_of(model, site)
    if site.layer < 0:
        hook = module.register_forward_pre_hook(enter, with_kwargs=True)
    else:
        hook = module.register_forward_hook(leave)
    try:
        with torch.no_grad():
            return run(**without_masks(inputs)).logits
    finally:
        hook.remove()


class ByHooks:
    """Patches of one run with states of another one, one full forward each.

    Args:
        model: The model.
        run: Calls it.
        base: Inputs of the run that is patched.
        source: Inputs of the run that states come from.
        items: The items.
        seed: Of the random signs.
    """

    def __init__(self, model, run, base, source, items, seed=0):
        self._model, self._run, self._items, self._seed = model, run, items, seed
        self._base, self._source = base, source
        self._kept = {}

    def __call__(self, site, where):
        """The right answers' probabilities, (items,); `where` is (items, tokens) bool."""
        return answers(self.logits(site, where), self._items)

    def logits(self, site, where):
        new = self._states(site)

        def change(old):
            written = old + self._signs(old) * (new - old) if site.random else new
            return torch.where(where[..., None], written, old)

        return run_with(self._model, self._run, self._base, site, change)

    def _states(self, site):
        key = site.component, site.layer
        if key not in self._kept:

            def keep(states):
                self._kept[key] = states.clone()
                return states

            run_with(self._model, self._run, self._source, site, keep)
        return self._kept[key]

    def _signs(self, states):
        """As the laboratory draws them: a stream for each item, by its key."""
        seeds = [[self._seed, int(item.key[:15], 16), 2] for item in self._items]
        width = states.shape[-1]
        signs = np.stack([np.random.default_rng(seed).choice([-1.0, 1.0], width) for seed in seeds])
        return torch.from_numpy(signs)[:, None].to(states)
