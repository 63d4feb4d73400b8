"""What lets PEFT, and torch itself, see through the wrapper to the wrapped model.

PEFT may be put around a wrapped model, and a wrapper around a model of PEFT's: both rely on
submodules and weights having the names that they have in the plain model.
"""

from __future__ import annotations

from typing import Any

from torch import nn


class TransparentModule(nn.Module):
    """A module whose submodules, weights and attributes are those of the model inside it.

    What `state_dict()` or PEFT saves of it loads on the plain model, and the other way round.

    Args:
        model: The model inside; not a submodule, which would have a prefix in every name.

    Attributes:
        base_model: The model inside.
    """

    base_model: nn.Module

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        own = vars(self)
        own["base_model"] = model  # not by setattr, which would make it a submodule, with a prefix
        own["_modules"] = model._modules
        own["_parameters"] = model._parameters
        own["_buffers"] = model._buffers
        own["_non_persistent_buffers_set"] = model._non_persistent_buffers_set
        if "name_or_path" in vars(model):  # where PEFT looks for the name of a base model
            own["name_or_path"] = vars(model)["name_or_path"]

    @property
    def training(self) -> bool:
        """The model's own; set here, it is set there."""
        return self.base_model.training

    @training.setter
    def training(self, mode: bool) -> None:
        if "base_model" in vars(self):  # torch sets it before there is a model
            self.base_model.training = mode

    def get_submodule(self, target: str) -> nn.Module:
        """Return a submodule by its name in the wrapped model; "" is the wrapper."""
        return self.base_model.get_submodule(target) if target else self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_model":  # not set yet
                raise
            return getattr(self.base_model, name)

    @property
    def generation_config(self) -> Any:
        """The model's own; set here, it is set there."""
        return self.base_model.generation_config

    @generation_config.setter
    def generation_config(self, value: Any) -> None:
        self.base_model.generation_config = value
