"""Pieces of a model made wrong, one by one: what the doctor's checks must find."""

from contextlib import contextmanager

import torch


class Wrapped:
    """An object with some of its attributes, or its call, replaced."""

    def __init__(self, inner, call=None, **replaced):
        self.__dict__.update(replaced)
        self._inner, self._call = inner, call

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __call__(self, *args, **kwargs):
        return self._call(self._inner, *args, **kwargs)


def drops_audio(processor):
    """A processor that never passes waveforms on, as where its keyword is misspelt."""
    return Wrapped(processor, lambda inner, *args, audio=None, **more: inner(*args, **more))


def changed_inputs(lm, change):
    """`lm.inputs` with a change of what it returns."""
    inputs = lm.inputs

    def changed(prompts, waves):
        made = inputs(prompts, waves)
        change(made)
        return made

    return changed


def features_of_others(inputs):
    """In a batch, every prompt gets its neighbour's audio features, cut by its own mask."""
    if len(inputs["input_ids"]) > 1:
        inputs["input_features"] = inputs["input_features"].roll(1, 0)


def deaf(inputs):
    """Features that do not depend on the waveform."""
    inputs["input_features"] = inputs["input_features"] * 0


def padded_on_the_right(inputs):
    """Padding behind the prompts."""
    for row, mask in enumerate(inputs["attention_mask"]):
        by = int((~mask.bool()).sum())
        for name in ("input_ids", "attention_mask"):
            inputs[name][row] = inputs[name][row].roll(-by, 0)


def padding_is_read(inputs):
    """An attention mask that hides no padding, though the audio stays where it is."""
    inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])


@contextmanager
def states_changed(lm, change):
    """Change what enters the decoder's first layer."""

    def hook(module, args, kwargs):
        states = args[0] if args else kwargs["hidden_states"]
        new = change(states.clone())
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    layer = lm.family.decoder(lm.model).layers[0]
    handle = layer.register_forward_pre_hook(hook, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def places_with_padding(states):
    """Absolute positions that count padding."""
    steps = torch.arange(states.shape[1], dtype=states.dtype)
    return states + 0.5 * torch.sin(steps)[None, :, None]


def half_unfilled(states):
    """Positions of the second half of the prompt are the same whatever is heard."""
    states[:, 60:] = 0.25
    return states


def spilt(states):
    """Audio reaches the first position of the prompt, which is none of its own."""
    states[:, 0] = states.mean(1)
    return states
