"""What loaders of models that transformers does not load itself refuse alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tempo_attn.errors import OptionError


def refuse_arguments(pretrained: str, asked: Sequence[str], loaded_by: str) -> None:
    """Refuse model arguments that such a loader does not take.

    Args:
        pretrained: The checkpoint, for the message.
        asked: Names of such arguments that are given.
        loaded_by: What model it is, and what loads it.

    Raises:
        OptionError: There are some.
    """
    if asked:
        raise OptionError(
            f"{pretrained}: {loaded_by}, which takes no {', '.join(asked)}; leave it out of the "
            "model arguments"
        )


def one_device(pretrained: str, device_map: Any, model: str) -> Any:
    """Return the device of the whole model; None where none is said.

    Args:
        pretrained: The checkpoint, for the message.
        device_map: As for `from_pretrained`.
        model: The model's name.

    Raises:
        OptionError: It names several, or leaves them to be chosen.
    """
    devices = set(device_map.values()) if isinstance(device_map, dict) else {device_map}
    if len(devices) > 1 or devices & {"auto", "balanced", "sequential"}:
        raise OptionError(
            f"{pretrained}: {model} runs on one device; found device_map={device_map!r}"
        )
    return devices.pop()
