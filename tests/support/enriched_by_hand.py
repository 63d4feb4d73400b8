"""Enrichment by hooks written here, which share nothing with tempo_attn."""

from contextlib import contextmanager

from tempo_attn import AttnScaleConfig
from tests.support import steered_by_hand
from tests.support.reference import FullMatrix, full_matrix

# An edit of each sort, for what a wrapper does whatever the edit is.
ATTENTION = AttnScaleConfig(strength=4.0, layers=[2])
STATES = AttnScaleConfig(mode="enrich", strength=0.4, layers=[3], source=1)
STEERED = steered_by_hand.steer(-2.0)
SORTS = {"attention": ATTENTION, "states": STATES, "steered": STEERED}


def mixed_by_hand(deep, early, weight):
    """One state after the formula, in double precision."""
    deep, early = deep.double(), early.double()
    size = deep.square().sum().sqrt()
    mix = (1 - weight) * deep + weight * early * size / early.square().sum().sqrt()
    return mix * size / mix.square().sum().sqrt()


def states_in(output):
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def by_hand(layers, source, edited, rows, weight):
    """Enrich the rows, (batch, positions) bool, of a plain model; calls of another length pass."""
    kept = []

    def keep(module, args, output):
        kept[:] = [states_in(output)]

    def mix(module, args, output):
        states = states_in(output)
        if states.shape[:2] != rows.shape:
            return None
        new = states.clone()
        for b, at in rows.nonzero().tolist():
            new[b, at] = mixed_by_hand(states[b, at], kept[0][b, at], weight).to(new.dtype)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    hooks = [layers[source].register_forward_hook(keep)]
    hooks += [layers[layer].register_forward_hook(mix) for layer in edited]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def leaving(layers):
    """Note what leaves every layer, behind all hooks that are there already."""
    seen = {}

    def note(number):
        return lambda module, args, output: seen.update({number: states_in(output).clone()})

    hooks = [layer.register_forward_hook(note(n)) for n, layer in enumerate(layers)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def edited_by_hand(model, config, rows, audio, decode_rows=False):
    """Run a plain model with the edit of a configuration, written here or in `reference`.

    Args:
        model: The model, also inside a PEFT model.
        config: The edit; its layers are a list.
        rows: (batch, positions) bool: the edited query rows.
        audio: (batch, positions) bool: the edited keys.
        decode_rows: Whether rows that are decoded later are edited too.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = plain.model.language_model
    if config.mode == "enrich":
        with by_hand(decoder.layers, config.source, config.layers, rows, config.strength):
            yield
    elif config.mode == "steer":
        with steered_by_hand.by_hand(decoder.layers, config, rows):
            yield
    else:
        edit = FullMatrix(config.mode, config.strength, config.layers, rows, audio)
        edit.decode_rows = decode_rows
        with full_matrix(model, decoder, edit):
            yield
