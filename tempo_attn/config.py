"""What to edit in a model's attention on audio, as a small shareable configuration.

L is the pre-softmax attention logits, (batch, heads, queries, keys). An edit changes L at some
layers, heads, query rows and key positions; `AttnScaleConfig` says which, and how. It holds a few
hundred bytes of JSON and no weights; mode `steer` has a file of directions beside it. Reading runs
no code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from tempo_attn import config_fields as check
from tempo_attn.adaptive import Adaptive
from tempo_attn.config_in_a_model import InAModel
from tempo_attn.directions import DIRECTIONS_NAME, Directions
from tempo_attn.errors import ConfigError
from tempo_attn.hub.config_file import ConfigFile
from tempo_attn.modes import MODES, Mode, ModeSpec

Phase = Literal["prefill", "all"]
PHASES: tuple[Phase, ...] = get_args(Phase)
QUERIES = ("last", "keyword", "option", "all_text")
KEYS = ("audio", "transcript")
# Where a configuration comes from; everything else decides the edit.
_ORIGIN = ("base_model_name_or_path", "revision", "tempo_version", "provenance")


@dataclass(kw_only=True)
class AttnScaleConfig(InAModel, ConfigFile):
    """Which attention logits on audio are edited, and how (arXiv 2606.17417).

    Fields may be set after construction; `validate` then checks them again.

    Example:
        >>> config = AttnScaleConfig(strength=2.0, layers=[20], queries="keyword+last")
        >>> config.queries
        ['last', 'keyword']
        >>> config.resolve_layers(28)
        [20]
        >>> AttnScaleConfig.from_json(config.to_json()) == config
        True

    Raises:
        ConfigError: A field is wrong.
    """

    nested_types: ClassVar[Mapping[str, type[Any]]] = {"adaptive": Adaptive}
    integer_keyed: ClassVar[tuple[str, ...]] = ("heads",)

    mode: Mode = field(
        default="scale",
        metadata={"help": " ".join(f"{mode.name}: {mode.summary}." for mode in MODES.values())},
    )
    strength: float | None = field(
        default=None, metadata={"help": "alpha, b or w; None for knockout and with `adaptive`."}
    )
    layers: Sequence[int] | Literal["all"] = field(
        default="all",
        metadata={"help": "Decoder layers, from 0; negative ones count from the end. Or 'all'."},
    )
    heads: Sequence[int] | Mapping[int, Sequence[int]] | None = field(
        default=None,
        metadata={
            "help": "Query heads: None for all, a list for every layer, or {layer: heads}, where a "
            "layer without an entry is edited in all its heads."
        },
    )
    queries: Sequence[str] = field(
        default="last",
        metadata={
            "help": "Query rows, a list or 'a+b': last (final prompt token), keyword, option (the "
            "options' texts), all_text."
        },
    )
    keywords: Sequence[str] = field(
        default=("earliest", "latest", "longest"),
        metadata={"help": "The words whose tokens are the keyword rows."},
    )
    keys: Sequence[str] = field(
        default="audio", metadata={"help": "Key positions, a list or 'a+b': audio, transcript."}
    )
    phase: Phase = field(
        default="prefill",
        metadata={"help": "prefill: the prompt only. all: every decoding step as well."},
    )
    adaptive: Adaptive | None = field(
        default=None,
        metadata={"help": "Two strengths instead of one, chosen after a plain run per prompt."},
    )
    source: int | None = field(
        default=None,
        metadata={
            "help": "enrich only: the layer whose states are mixed into deeper ones, from 0; "
            "negative ones count from the end."
        },
    )
    directions: Directions | None = field(
        default=None,
        metadata={
            "help": "steer only: a direction of every steered layer. They lie in a file beside the "
            "JSON, which has that file's SHA-256 here."
        },
    )
    base_model_name_or_path: str | None = field(
        default=None, metadata={"help": "The model that this was chosen for."}
    )
    revision: str | None = field(default=None, metadata={"help": "The base model's revision."})
    tempo_version: str | None = field(
        default=None, metadata={"help": "The version of tempo-lalm that saved it."}
    )
    provenance: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "How it was chosen, as free-form JSON: data fingerprint, split, metric, "
            "interval. The model card also reads license, datasets and metrics from here."
        },
    )

    def __post_init__(self) -> None:
        self.validate()

    def validate(self) -> None:
        """Check every field and bring it into its stored form: lists, floats, ascending order.

        Raises:
            ConfigError: A field is wrong, alone or together with another one.
        """
        self.mode = check.one_of("mode", self.mode, tuple(MODES))
        self.phase = check.one_of("phase", self.phase, PHASES)
        self._check_strengths()
        if not isinstance(self.layers, str):
            self.layers = check.integers("layers", self.layers)
        elif self.layers != "all":
            raise check.wrong("layers", self.layers, "'all' or a list of layers such as [20]")
        self.heads = check.head_map("heads", self.heads)
        if isinstance(self.heads, dict) and self.layers != "all":
            unedited = set(self.heads) - set(self.layers)
            if unedited:
                layers = check.shown(self.layers)
                raise check.wrong("heads", self.heads, f"only layers of {layers} as keys")
        self.queries = check.some_of("queries", self.queries, QUERIES)
        self.keys = check.some_of("keys", self.keys, KEYS)
        self.keywords = check.texts("keywords", self.keywords)
        if "keyword" in self.queries and not self.keywords:
            raise check.wrong("keywords", self.keywords, "at least one: queries has 'keyword'")
        if self.phase == "all" and not {"last", "all_text"} & set(self.queries):
            raise ConfigError(
                f"phase is 'all' with queries {self.queries}; expected 'last' or 'all_text' among "
                "them, as no other row exists in a decoding step. Or set phase='prefill'"
            )
        self._check_states()
        for name in ("base_model_name_or_path", "revision", "tempo_version"):
            if getattr(self, name) is not None:
                setattr(self, name, check.text(name, getattr(self, name)))
        self.provenance = check.json_object("provenance", self.provenance)

    def _check_states(self) -> None:
        """Check what only edits of states have, and what they cannot have."""
        takes = self.spec.states_with
        for name in ("source", "directions"):
            if name != takes and getattr(self, name) is not None:
                expected = f"None: mode {self.mode!r} has no {name}"
                raise check.wrong(name, getattr(self, name), expected)
        if takes is None:
            return
        if takes == "source":
            self.source = check.source("source", self.source, self.mode)
        else:
            self.directions = Directions.checked(self.directions, self.layers, self.mode)
        deeper = "deeper" if takes == "source" else "steered"
        alone = {
            "layers": (self.layers != "all", f"the {deeper} layers, such as [20]"),
            "heads": (self.heads is None, "None: states have no heads"),
            "keys": (self.keys == ["audio"], "['audio']: states have no keys"),
            "phase": (self.phase == "prefill", "'prefill'"),
            "adaptive": (self.adaptive is None, "None"),
        }
        for name, (fits, expected) in alone.items():
            if not fits:
                raise check.wrong(name, getattr(self, name), f"{expected} in mode {self.mode!r}")

    def _check_strengths(self) -> None:
        if self.adaptive is not None:
            if not isinstance(self.adaptive, Adaptive):
                raise check.wrong(
                    "adaptive", self.adaptive, "None or Adaptive(threshold, low, high)"
                )
            if not self.spec.has_strength or self.strength is not None:
                without = [repr(spec.name) for spec in MODES.values() if not spec.has_strength]
                raise ConfigError(
                    f"adaptive is set with mode {self.mode!r} and strength "
                    f"{check.shown(self.strength)}; it brings its own strengths: expected strength "
                    f"None, and a mode other than {' or '.join(without)}"
                )
            self.adaptive = self.adaptive.checked(self.mode)
        elif self.spec.has_strength:
            self.strength = check.strength("strength", self.strength, self.mode)
        elif self.strength is not None:
            raise check.wrong("strength", self.strength, f"None: {self.mode} has no strength")

    @property
    def spec(self) -> ModeSpec:
        """What is known of the mode: its entry in `tempo_attn.modes.MODES`.

        Raises:
            ConfigError: There is no such mode; it was set after construction.
        """
        return MODES[check.one_of("mode", self.mode, tuple(MODES))]

    @property
    def is_identity(self) -> bool:
        """Whether the edit changes nothing: alpha = 1 or b = 0."""
        neutral = self.spec.neutral
        if self.adaptive is not None:
            return self.adaptive.low == neutral == self.adaptive.high
        return neutral is not None and self.strength == neutral

    def to_dict(self) -> dict[str, Any]:
        """Return the checked fields as plain JSON types; of directions their file's SHA-256."""
        values = super().to_dict()
        values["directions"] = None if self.directions is None else self.directions.sha256
        return values

    def files(self) -> dict[str, bytes]:
        """Return the files that lie beside the JSON, by name.

        Raises:
            ConfigError: Directions are not loaded.
        """
        return {} if self.directions is None else {DIRECTIONS_NAME: self.directions.data}

    def read_files(self, find: Callable[[str], Path]) -> None:
        """Load what lies beside the JSON.

        Args:
            find: Returns the path of a file by its name.

        Raises:
            ConfigError: A file is missing, wrong, or another one than the configuration names.
        """
        if self.directions is not None and not self.directions.loaded:
            self.directions = Directions.read(find(DIRECTIONS_NAME), self.directions.sha256)
            self.validate()

    def fingerprint(self) -> str:
        """Return the SHA-256 of what decides the edit: no base model, version or provenance."""
        values = {name: value for name, value in self.to_dict().items() if name not in _ORIGIN}
        # Words that no row asks for change nothing, nor does their order.
        values["keywords"] = sorted(self.keywords) if "keyword" in self.queries else []
        for name in ("source", "directions"):
            if values[name] is None:  # as it was before there was such a field
                del values[name]
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the configuration and its model card into `folder`: see `tempo_attn.hub.save`."""
        from tempo_attn.hub.save import save_adapters  # it builds on this module

        save_adapters(folder, {"default": self})

    def push_to_hub(
        self,
        repo_id: str,
        *,
        adapter_name: str = "default",
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Upload the configuration and its model card to the Hub: see `tempo_attn.hub.push`.

        Args:
            repo_id: "owner/name"; made if missing.
            adapter_name: The edit's name there: "default" lies in the repository itself, another
                one in a folder of its name, for `from_pretrained(..., subfolder=name)`.
            commit_message: The commit's first line; None for the usual one.
            commit_description: The commit's further lines.
            private: Whether a new repository is private; None for the owner's default.
            token: A Hub token; None for the one saved by logging in.
            revision: The branch, made if missing; None for main.
            create_pr: Propose the commit as a pull request instead.

        Returns:
            The address of the commit, or of the pull request.
        """
        from tempo_attn.hub.push import push

        return push(
            {adapter_name: self},
            repo_id,
            commit_message=commit_message,
            commit_description=commit_description,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
        )

    @classmethod
    def paper(cls, model_name: str, *, queries: Sequence[str] = "keyword+last") -> AttnScaleConfig:
        """Return the paper's setting for a model: see `tempo_attn.presets.paper`."""
        from tempo_attn import presets  # the presets are configurations: they import this module

        return presets.paper(model_name, queries=queries)

    @classmethod
    def mata(
        cls,
        formula: Literal["multiply", "add"] = "multiply",
        alpha: float = 0.1,
        layers: Sequence[int] | Literal["all"] = range(10, 21),
    ) -> AttnScaleConfig:
        """Return MATA in one of its two published readings: see `tempo_attn.presets.mata`."""
        from tempo_attn import presets

        return presets.mata(formula, alpha, layers)

    @classmethod
    def pai(
        cls, alpha: float = 0.2, layers: Sequence[int] | Literal["all"] = range(2, 32)
    ) -> AttnScaleConfig:
        """Return PAI's relative upweighting: see `tempo_attn.presets.pai`."""
        from tempo_attn import presets

        return presets.pai(alpha, layers)

    @classmethod
    def adaptvis(
        cls,
        low: float = 0.5,
        high: float = 1.5,
        threshold: float = 0.3,
        layers: Sequence[int] | Literal["all"] = "all",
    ) -> AttnScaleConfig:
        """Return AdaptVis' scaling by confidence: see `tempo_attn.presets.adaptvis`."""
        from tempo_attn import presets

        return presets.adaptvis(low, high, threshold, layers)
