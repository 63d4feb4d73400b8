"""`apply_attn_scale` and the wrapper that it returns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tempo_attn.attention.edited_attention import LayerEdit
from tempo_attn.attention.enrich_between_layers import enrich_layers
from tempo_attn.attention.steer_states import steer_layers
from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.families import get_family
from tempo_attn.hub.adapter_folder import check_adapter_name
from tempo_attn.hub.share_model import ShareableModel, no_adapter
from tempo_attn.prompts.decoded_text import TextReader
from tempo_attn.runtime.adaptive_strength import is_decoding_step, last_of_prompts, plain_inputs
from tempo_attn.runtime.forward_call import arguments, refuse_compiled
from tempo_attn.runtime.generate_stand_in import stand_in_for_generate
from tempo_attn.runtime.resolve_edit import ResolvedEdit, find_tokenizer, resolve_edit
from tempo_attn.runtime.stated_by_caller import StatedByCaller
from tempo_attn.runtime.tracker import Tracker
from tempo_attn.status import AttnScaleStatus
from tempo_attn.transparent_to_peft import TransparentModule


class AttnScaleModel(ShareableModel, StatedByCaller, TransparentModule):
    """An audio language model with edited attention; made by `apply_attn_scale`.

    Attributes of the model (`config`, `device`, `dtype`, `generation_config` ...) are those of the
    wrapped one, which is changed in place: `unload()` gives it back untouched. Use one thread.

    To torch it is transparent: submodules and weights have the names that they have in the wrapped
    model. So PEFT may be put around it, and what PEFT or `state_dict()` saves loads on the plain
    model; what was saved from that loads here.

    Attributes:
        base_model: The wrapped model.
    """

    def __init__(
        self,
        model: nn.Module,
        config: AttnScaleConfig,
        adapter_name: str = "default",
        *,
        tokenizer: Any = None,
        on_missing: str = "raise",
        recompute_identity: bool = False,
    ) -> None:
        if on_missing not in ("raise", "warn"):
            raise ConfigError(f"on_missing must be 'raise' or 'warn', not {on_missing!r}")
        if isinstance(model, AttnScaleModel):
            raise AdapterError(
                "the model is wrapped already: use its add_adapter(name, config), or unload() it"
            )
        family = get_family(getattr(model, "config", None))
        family.check_model(model)
        attentions = family.attentions(model)
        refuse_compiled(model, attentions)
        if any(hasattr(module, "_tempo_edit") for module in attentions):
            raise AdapterError("another wrapper is on this model: unload() that one first")
        super().__init__(model)
        self._family = family
        self._attentions = attentions
        self._tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._edits: dict[str, ResolvedEdit] = {}
        self._undo: list[Callable[[], None]] = []
        self._tracker = Tracker(model, family, on_missing, recompute_identity)
        self._active = adapter_name
        self._unloaded = False
        self._install()
        try:
            self.add_adapter(adapter_name, config)
            self.set_adapter(adapter_name)
        except BaseException:
            self.unload()
            raise

    # ------------------------------------------------------------------ running

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model; see its own forward. An adaptive edit first runs it plainly."""
        tracker = self._tracker
        if tracker.edit is None or tracker.edit.config.adaptive is None:
            return self.base_model(*args, **kwargs)
        inputs = arguments(self.base_model, args, kwargs)
        if is_decoding_step(inputs):
            return self.base_model(*args, **kwargs)
        with tracker.disabled(), torch.no_grad():
            logits = self.base_model(**plain_inputs(inputs)).logits
        last = last_of_prompts(inputs.get("attention_mask"), logits, tracker.given.prompt_length)
        with tracker.adapting(last):
            return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate; see the model's own `generate`."""
        generate: Any = self.base_model.generate
        return generate(*args, **kwargs)

    # ------------------------------------------------------------------ adapters

    @property
    def active_adapter(self) -> str:
        """Name of the adapter in use."""
        return self._active

    @property
    def on_missing(self) -> str:
        """What is done about a prompt that the edit does not fit: "raise" or "warn"."""
        return self._tracker.complaints.on_missing

    @property
    def attn_scale_config(self) -> dict[str, AttnScaleConfig]:
        """Configurations by adapter name (as PEFT's `peft_config`); copies."""
        return {name: replace(edit.config) for name, edit in self._edits.items()}

    def add_adapter(self, adapter_name: str, config: AttnScaleConfig) -> None:
        """Add an edit under a name; `set_adapter` makes it active.

        Raises:
            AdapterError: The name is taken or cannot be used.
            ConfigError: The configuration is wrong or does not fit the model.
        """
        check_adapter_name(adapter_name)
        if adapter_name in self._edits:
            raise AdapterError(f"there is an adapter {adapter_name!r} already; choose another name")
        if not isinstance(config, AttnScaleConfig):
            raise ConfigError(f"expected an AttnScaleConfig, found {type(config).__name__}")
        config = replace(config)  # validates again, and later changes of the caller's do not reach
        edit = resolve_edit(config, self.base_model, self._family, self._attentions)
        if {"keyword", "option"} & set(config.queries) and self._tracker.planner.reader is None:
            tokenizer = find_tokenizer(self.base_model, self._tokenizer)
            self._tracker.planner.reader = TextReader(tokenizer)
        self._edits[adapter_name] = edit

    def load_adapter(
        self, path_or_repo: str | Path, adapter_name: str = "default", **kwargs: Any
    ) -> None:
        """Add an adapter from a folder or a Hub repository.

        Args:
            path_or_repo: A folder, a file or a repository on the Hub.
            adapter_name: The adapter's name here.
            kwargs: `revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`.
        """
        self.add_adapter(adapter_name, AttnScaleConfig.from_pretrained(path_or_repo, **kwargs))

    def set_adapter(self, adapter_name: str) -> None:
        """Make an adapter the active one."""
        if self._unloaded:
            raise AdapterError("this wrapper was unloaded: wrap the model again")
        edit = self._edit_of(adapter_name)
        self._restore()
        edits_states = edit.config.spec.edits_states
        if edits_states:
            self._undo.append(self._hook_states(edit))
        for layer, attention in enumerate(self._attentions):
            if attention is None or (not edits_states and layer not in edit.heads):
                continue
            # An edit of states only marks the model as edited: its attention runs as it is.
            attention._tempo_edit = LayerEdit(layer, self._tracker)  # type: ignore[assignment]
            if not edits_states:
                self._undo.append(self._family.redirect(attention))
        self._tracker.chosen = edit
        self._active = adapter_name

    def delete_adapter(self, adapter_name: str) -> None:
        """Remove an adapter that is not active."""
        self._edit_of(adapter_name)
        if adapter_name == self._active:
            raise AdapterError(f"{adapter_name!r} is active: set another adapter, or unload()")
        del self._edits[adapter_name]

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Run the plain model inside the context."""
        with self._tracker.disabled():
            yield

    def unload(self) -> nn.Module:
        """Take the edit off and return the model as it was."""
        self._restore()
        self._tracker.chosen = None
        self._tracker.remove()
        self._unloaded = True
        return self.base_model

    def status(self) -> AttnScaleStatus:
        """Return which layers, rows and audio tokens are edited, and how often they were."""
        tracker = self._tracker
        return AttnScaleStatus(
            enabled=tracker.edit is not None,
            active_adapter=self._active,
            adapters=self.attn_scale_config,
            layers=tuple(self._edits[self._active].heads),
            rows=tuple(tracker.planner.last_rows),
            audio_tokens=tuple(tracker.planner.last_keys),
            prefills=dict(tracker.prefills),
            steps=dict(tracker.steps),
        )

    # ------------------------------------------------------------------ sharing

    @classmethod
    def from_pretrained(
        cls,
        model: nn.Module,
        path_or_repo: str | Path,
        adapter_name: str = "default",
        *,
        tokenizer: Any = None,
        on_missing: str = "raise",
        **kwargs: Any,
    ) -> AttnScaleModel:
        """Wrap a loaded model with a saved or shared configuration.

        Args:
            model: The loaded base model.
            path_or_repo: A folder, a file or a repository on the Hub.
            adapter_name: The adapter's name here.
            tokenizer: See `apply_attn_scale`.
            on_missing: See `apply_attn_scale`.
            kwargs: `revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`.
        """
        config = AttnScaleConfig.from_pretrained(path_or_repo, **kwargs)
        return cls(model, config, adapter_name, tokenizer=tokenizer, on_missing=on_missing)

    # ------------------------------------------------------------------ inside

    def __deepcopy__(self, memo: dict[int, Any]) -> AttnScaleModel:
        """Copy the model and wrap the copy; the two share nothing."""
        active, off = self._active, self._unloaded
        self._restore()
        self._tracker.remove()
        try:
            base = copy.deepcopy(self.base_model, memo)
        finally:
            if not off:
                self._install()
                self.set_adapter(active)
        twin = AttnScaleModel(
            base,
            self._edits[active].config,
            active,
            tokenizer=self._tokenizer,
            on_missing=self.on_missing,
            recompute_identity=self._tracker.planner.recompute_identity,
        )
        for name, edit in self._edits.items():
            if name != active:
                twin.add_adapter(name, edit.config)
        if off:
            twin.unload()
        return twin

    def _install(self) -> None:
        """Let the tracker follow the model's calls and generations."""
        self._tracker.install()
        stand_in_for_generate(self._tracker)

    def _hook_states(self, edit: ResolvedEdit) -> Callable[[], None]:
        """Put an edit of states on the layers; returns what takes it off."""
        layers: Any = self._family.decoder(self.base_model).layers
        edited, directions = list(edit.heads), edit.config.directions
        if directions is not None:
            return steer_layers(layers, directions, edited, self._tracker)
        source = edit.config.resolve_source(len(layers))
        return enrich_layers(layers, source, edited, self._tracker)

    def _restore(self) -> None:
        for undo in self._undo:
            undo()
        self._undo = []
        for attention in self._attentions:
            if attention is not None and hasattr(attention, "_tempo_edit"):
                del attention._tempo_edit

    def _edit_of(self, adapter_name: str) -> ResolvedEdit:
        if adapter_name not in self._edits:
            raise no_adapter(adapter_name, self._edits)
        return self._edits[adapter_name]


def apply_attn_scale(
    model: nn.Module,
    config: AttnScaleConfig,
    adapter_name: str = "default",
    *,
    tokenizer: Any = None,
    on_missing: str = "raise",
    recompute_identity: bool = False,
) -> AttnScaleModel:
    """Wrap an audio language model so that its attention on audio is edited.

    Args:
        model: A loaded model of a family that tempo knows, also inside a PEFT model.
        config: What is edited.
        adapter_name: The edit's name.
        tokenizer: Tokenizer or processor, for keyword and option rows; default: by the model's
            name.
        on_missing: A prompt without audio, or without a keyword where keyword rows are edited:
            "raise", or "warn" once and leave its row alone.
        recompute_identity: Recompute the rows also where the edit changes nothing (alpha = 1): the
            control that a 16-bit comparison needs.

    Returns:
        The wrapper; `model` itself is changed in place until `unload()`.

    Raises:
        UnknownFamilyError: No family is registered for the model's type.
        UnsupportedModelError: Its attention on audio cannot be edited; the message says why.
        ConfigError: The configuration does not fit the model.

    Example:
        >>> config = AttnScaleConfig(mode="scale", strength=2.0, layers=[20])
        >>> model = apply_attn_scale(model, config)  # doctest: +SKIP
        >>> model.generate(**inputs)  # doctest: +SKIP
    """
    return AttnScaleModel(
        model,
        config,
        adapter_name,
        tokenizer=tokenizer,
        on_missing=on_missing,
        recompute_identity=recompute_identity,
    )
