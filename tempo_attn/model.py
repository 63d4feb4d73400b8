"""`apply_attn_scale` and the wrapper that it returns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tempo_attn.attention.edited_attention import LayerEdit
from tempo_attn.attention.enrich_hooks import enrich_layers
from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.families import get_family
from tempo_attn.hub.find import check_adapter_name, loaded_name
from tempo_attn.hub.save_and_push import push, save_adapters
from tempo_attn.prompts.positions import Given
from tempo_attn.prompts.spans import TextReader
from tempo_attn.runtime.forward_call import (
    CACHE_NAMES,
    arguments,
    cache_name,
    cached_positions,
    last_of_prompts,
    refuse_compiled,
    shape_of,
)
from tempo_attn.runtime.resolve import Edit, find_tokenizer, fit
from tempo_attn.runtime.tracker import Tracker

# A plain run leaves the caller's cache alone and gives the logits of all positions.
_NOT_IN_A_PLAIN_RUN = (*CACHE_NAMES, "labels", "logits_to_keep", "return_dict")


@dataclass(frozen=True)
class AttnScaleStatus:
    """What a wrapped model is doing.

    Attributes:
        enabled: Whether an edit is active now.
        active_adapter: Its name (also while disabled).
        adapters: The configurations by name.
        layers: Edited layers of the active adapter.
        rows: Edited query rows of each prompt in the last prefill.
        audio_tokens: Edited key positions of each prompt in the last prefill.
        prefills: How often each layer was edited in a prefill, since wrapping.
        steps: How often in a decoding step.
    """

    enabled: bool
    active_adapter: str
    adapters: Mapping[str, AttnScaleConfig]
    layers: tuple[int, ...]
    rows: tuple[int, ...]
    audio_tokens: tuple[int, ...]
    prefills: Mapping[int, int]
    steps: Mapping[int, int]


class AttnScaleModel(nn.Module):
    """An audio language model with edited attention; made by `apply_attn_scale`.

    Attributes of the model (`config`, `device`, `dtype`, `generation_config` ...) are those of the
    wrapped one, which is changed in place: `unload()` gives it back untouched. Use one thread.

    To torch it is transparent: submodules and weights have the names that they have in the wrapped
    model. So PEFT may be put around it, and what PEFT or `state_dict()` saves loads on the plain
    model; what was saved from that loads here.

    Attributes:
        base_model: The wrapped model.
    """

    base_model: nn.Module

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
        super().__init__()
        if on_missing not in ("raise", "warn"):
            raise ConfigError(f"on_missing must be 'raise' or 'warn', not {on_missing!r}")
        if isinstance(model, AttnScaleModel):
            raise AdapterError(
                "the model is wrapped already: use its add_adapter(name, config), or unload() it"
            )
        family = get_family(getattr(model, "config", None))
        family.check_model(model)
        self._attentions = family.attentions(model)
        refuse_compiled(model, self._attentions)
        if any(hasattr(module, "_tempo_edit") for module in self._attentions):
            raise AdapterError("another wrapper is on this model: unload() that one first")
        self._be_transparent(model)
        self._family = family
        self._tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._edits: dict[str, Edit] = {}
        self._undo: list[Callable[[], None]] = []
        self._tracker = Tracker(model, family, on_missing, recompute_identity)
        self._active = adapter_name
        self._unloaded = False
        self._tracker.install()
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
        name = cache_name(inputs)
        cache = None if name is None else inputs[name]
        first, shape = cached_positions(cache), shape_of(inputs)
        if first and shape is not None and shape[1] == 1:  # decoding: the prompt's strength holds
            return self.base_model(*args, **kwargs)
        plain_inputs = {k: v for k, v in inputs.items() if k not in _NOT_IN_A_PLAIN_RUN}
        if name is not None and first:
            plain_inputs[name] = copy.deepcopy(cache)
        with tracker.disabled(), torch.no_grad():
            logits = self.base_model(**plain_inputs).logits
        last = last_of_prompts(inputs.get("attention_mask"), logits, tracker.given.prompt_length)
        with tracker.adapting(last):
            return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate; see the model's own `generate`."""
        generate: Any = self.base_model.generate
        return generate(*args, **kwargs)

    def positions(
        self,
        *,
        audio_mask: Any = None,
        transcript_mask: Any = None,
        query_mask: Any = None,
        prompt_length: int | None = None,
        questions: Sequence[str] | None = None,
        options: Sequence[Sequence[str]] | None = None,
    ) -> AbstractContextManager[None]:
        """State positions for the calls inside the context, instead of finding them.

        Args:
            audio_mask: (batch, tokens) bool: audio positions; needed with `inputs_embeds` only.
            transcript_mask: (batch, tokens) bool.
            query_mask: (batch, tokens) bool: the edited rows.
            prompt_length: Number of prompt tokens (padding included) where an answer follows in
                the same call.
            questions: Exact text of each prompt's question, where it cannot be told from options.
            options: Exact option names of each prompt.
        """
        given = Given(audio_mask, transcript_mask, query_mask, prompt_length, questions, options)
        return self._tracker.stating(given)

    # ------------------------------------------------------------------ adapters

    @property
    def active_adapter(self) -> str:
        """Name of the adapter in use."""
        return self._active

    @property
    def on_missing(self) -> str:
        """What is done about a prompt that the edit does not fit: "raise" or "warn"."""
        return self._tracker.on_missing

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
        edit = fit(config, self.base_model, self._family, self._attentions)
        if {"keyword", "option"} & set(config.queries) and self._tracker.reader is None:
            tokenizer = find_tokenizer(self.base_model, self._tokenizer)
            self._tracker.reader = TextReader(tokenizer)
        self._edits[adapter_name] = edit

    def load_adapter(
        self, path_or_repo: str | Path, adapter_name: str = "default", **kwargs: Any
    ) -> None:
        """Add an adapter from a folder or a Hub repository.

        Args:
            path_or_repo: As for `AttnScaleConfig.from_pretrained`.
            adapter_name: Its name here.
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
            layers: Any = self._family.decoder(self.base_model).layers
            source = edit.config.resolve_source(len(layers))
            self._undo.append(enrich_layers(layers, source, list(edit.heads), self._tracker))
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
            rows=tuple(tracker.last_rows),
            audio_tokens=tuple(tracker.last_keys),
            prefills=dict(tracker.prefills),
            steps=dict(tracker.steps),
        )

    # ------------------------------------------------------------------ sharing

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
            save_directory: Made if missing. "default" lies in it, others in folders of their name.
            selected_adapters: Names; default: all.
            is_main_process: Only the main process of several writes.
            safe_serialization: As the next ones, an argument of the same method of PEFT and
                transformers, by which training scripts call it. It is about weights; an edit has
                none.
            state_dict: Likewise.
            save_embedding_layers: Likewise.
            max_shard_size: Likewise.
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
            selected_adapters: Names; default: all.
            kwargs: `private`, `token`, `commit_message`, `commit_description`, `revision`,
                `create_pr`.
        """
        return push(self._to_share(selected_adapters), repo_id, **kwargs)

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
            path_or_repo: Folder, file or Hub repository.
            adapter_name: The adapter's name here.
            tokenizer: As for `apply_attn_scale`.
            on_missing: As for `apply_attn_scale`.
            kwargs: `revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`.
        """
        config = AttnScaleConfig.from_pretrained(path_or_repo, **kwargs)
        return cls(model, config, adapter_name, tokenizer=tokenizer, on_missing=on_missing)

    # ------------------------------------------------------------------ inside

    def _be_transparent(self, model: nn.Module) -> None:
        """Take the model's own submodules and weights for this module's."""
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

    def __deepcopy__(self, memo: dict[int, Any]) -> AttnScaleModel:
        """Copy the model and wrap the copy; the two share nothing."""
        active, off = self._active, self._unloaded
        self._restore()
        self._tracker.remove()
        try:
            base = copy.deepcopy(self.base_model, memo)
        finally:
            if not off:
                self._tracker.install()
                self.set_adapter(active)
        twin = AttnScaleModel(
            base,
            self._edits[active].config,
            active,
            tokenizer=self._tokenizer,
            on_missing=self.on_missing,
            recompute_identity=self._tracker.recompute_identity,
        )
        for name, edit in self._edits.items():
            if name != active:
                twin.add_adapter(name, edit.config)
        if off:
            twin.unload()
        return twin

    def _restore(self) -> None:
        for undo in self._undo:
            undo()
        self._undo = []
        for attention in self._attentions:
            if attention is not None and hasattr(attention, "_tempo_edit"):
                del attention._tempo_edit

    def _edit_of(self, adapter_name: str) -> Edit:
        if adapter_name not in self._edits:
            raise AdapterError(f"no adapter {adapter_name!r}; there are {sorted(self._edits)}")
        return self._edits[adapter_name]

    def _to_share(self, names: Sequence[str] | None) -> dict[str, AttnScaleConfig]:
        base = str(getattr(self.base_model.config, "_name_or_path", "") or "")
        base = loaded_name(base) if base else ""
        chosen = {name: self._edit_of(name).config for name in (names or self._edits)}
        return {
            name: replace(
                config, base_model_name_or_path=config.base_model_name_or_path or base or None
            )
            for name, config in chosen.items()
        }


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
