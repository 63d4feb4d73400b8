"""Saving and pushing the adapters of a wrapped model, with the verbs of PEFT and transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError
from tempo_attn.hub.model_names import loaded_name
from tempo_attn.hub.push import push
from tempo_attn.hub.save import save_adapters


class ShareableModel:
    """The part of `AttnScaleModel` that saves and pushes its configurations."""

    base_model: nn.Module

    @property
    def attn_scale_config(self) -> dict[str, AttnScaleConfig]:
        """Configurations by adapter name."""
        raise NotImplementedError

    def save_pretrained(
        self,
        save_directory: str | Path,
        selected_adapters: Sequence[str] | None = None,
        *,
        is_main_process: bool = True,
        safe_serialization: bool = True,
        state_dict: Mapping[str, Any] | None = None,
        save_embedding_layers: str | bool = "auto",
        max_shard_size: int | str | None = None,
    ) -> None:
        """Write the configurations and a model card; the model itself is not written.

        Args:
            save_directory: A folder, made if missing. The adapter "default" lies in it, others in
                folders of their name.
            selected_adapters: Names of those to save; None for all.
            is_main_process: Whether this process writes; of several, only the main one does.
            safe_serialization: Ignored, like the following ones: training scripts pass them to the
                methods of this name of PEFT and transformers. They are about weights, and an edit
                has none.
            state_dict: Ignored.
            save_embedding_layers: Ignored.
            max_shard_size: Ignored.
        """
        if not is_main_process:
            return
        save_adapters(Path(save_directory), self._to_share(selected_adapters))

    def push_to_hub(
        self, repo_id: str, selected_adapters: Sequence[str] | None = None, **kwargs: Any
    ) -> str:
        """Upload what `save_pretrained` writes; returns the address.

        Args:
            repo_id: `owner/name` on the Hub; made if missing.
            selected_adapters: Names of those to save; None for all.
            kwargs: `private`, `token`, `commit_message`, `commit_description`, `revision`,
                `create_pr`.
        """
        return push(self._to_share(selected_adapters), repo_id, **kwargs)

    def _to_share(self, names: Sequence[str] | None) -> dict[str, AttnScaleConfig]:
        base = str(getattr(self.base_model.config, "_name_or_path", "") or "")
        base = loaded_name(base) if base else ""
        configs = self.attn_scale_config
        for name in names or ():
            if name not in configs:
                raise no_adapter(name, configs)
        chosen = {name: configs[name] for name in (names or configs)}
        return {
            name: replace(
                config, base_model_name_or_path=config.base_model_name_or_path or base or None
            )
            for name, config in chosen.items()
        }


def no_adapter(name: str, known: Iterable[str]) -> AdapterError:
    """Return the error for an adapter that is not there."""
    return AdapterError(f"no adapter {name!r}; there are {sorted(known)}")
