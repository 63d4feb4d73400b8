"""Checks of `Settings` before data are loaded, scenes rendered, or a model loaded.

A large model takes minutes to load and a sweep hours to run, so a wrong option is an error before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_attn.families import get_family
from tempo_attn.lab.run_folder.files import refuse_foreign
from tempo_attn.runtime.resolve_edit import decoder_size
from tempo_tasks.harness.arguments import check_arguments, check_device, model_config
from tempo_tasks.harness.task_index import Asked, asked_tasks
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.tasks_to_items import no_audio
from tempo_tasks.output_files import check_output

_METADATA = (
    *("data", "data_revision", "data_split", "data_intervals", "data_captions"),
    *("synth_scenes", "synth_quartets", "caption_place", "caption_wording"),
)


class Size(Protocol):
    """A decoder's size: of a configuration, or of a study's loaded model."""

    @property
    def n_layers(self) -> int:
        """Layers of the decoder."""

    @property
    def n_heads(self) -> int:
        """Query heads of a layer."""


@dataclass(frozen=True)
class ConfigSize:
    """The decoder's size as the model's configuration says it."""

    n_layers: int
    n_heads: int


def check_settings(
    settings: Settings, fits: Callable[[Size], object] | None = None
) -> dict[str, Asked]:
    """Check settings, and return what their tasks ask.

    Args:
        settings: What the user asked for.
        fits: Raises an error where what is asked for does not fit a decoder of some size.

    Raises:
        OptionError: Something is wrong with the options.
        UnknownFamilyError: No family is registered for the model's type.
        UnsupportedModelError: Attention on audio cannot be edited in the model.
    """
    for name in ("limit", "batch_size", "memory"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise OptionError(f"{name} must be 1 or more; found {value}")
    if settings.seed < 0:
        raise OptionError(f"seed must be 0 or more; found {settings.seed}")
    if settings.shard is not None and not 0 <= settings.shard[0] < settings.shard[1]:
        raise OptionError(f"shard is {settings.shard}; expected (i, n) with i from 0 to n - 1")
    asked = asked_tasks(settings.tasks, settings.metadata)
    for name, task in asked.items():
        if deaf := [condition for condition in task.conditions if not condition.has_audio]:
            raise no_audio(name, deaf[0])
    for key in settings.metadata or {}:
        if key not in _METADATA:
            raise OptionError(
                f"--metadata: unknown {key!r}; expected some of {', '.join(_METADATA)}."
                f"{did_you_mean(key, _METADATA)}"
            )
    if settings.out is not None:
        check_output(settings.out, folder=True)
        refuse_foreign(settings.out)
    arguments = dict(settings.model_args or {})
    check_model_args(arguments)
    given = {**arguments, **({} if settings.device is None else {"device": settings.device})}
    if settings.device is not None:
        check_device("device", settings.device)
    check_arguments(settings.model, given)
    config = model_config(settings.model, given)
    get_family(config, given.get("family"))
    size = decoder_size(config)
    if fits is not None and size is not None:
        fits(ConfigSize(*size))
    return asked


def check_model_args(arguments: Mapping[str, Any]) -> None:
    """Refuse model arguments that are options of their own, or that a plain model does not have.

    Raises:
        OptionError: There is one.
    """
    for name, option in (("pretrained", "--model"), ("device", "--device")):
        if name in arguments:
            raise OptionError(f"{name} is among the model arguments; it is given by {option} here")
    if arguments.get("attn_scale") is not None:
        raise OptionError(
            "attn_scale is among the model arguments; the laboratory puts its own edits on a "
            "plain model. Evaluate a saved edit with lm_eval"
        )
    if arguments.get("mixed_precision_dtype") is not None:
        raise OptionError(
            "mixed_precision_dtype is among the model arguments, and the laboratory does not "
            "run under autocast: load the model in that dtype instead, with dtype=..."
        )
