"""Published interventions as configurations, each with its source in `provenance`.

The values are the sources' own. They were chosen for other data, and some for other models: choose
again on a part of your data, and claim on the rest.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Literal

from tempo_attn import config_fields as check
from tempo_attn.adaptive import Adaptive
from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import ConfigError

Layers = Sequence[int] | Literal["all"]

# Name: (Hub repository, alpha, layer), arXiv 2606.17417.
PAPER_MODELS: dict[str, tuple[str, float, int]] = {
    "audio-flamingo-3": ("nvidia/audio-flamingo-3-hf", 2.0, 20),
    "desta2.5": ("DeSTA-ntu/DeSTA2.5-Audio-Llama-3.1-8B", 0.2, 9),
}

# Preset: {model that it was published for: decoder layers}, the first being what its layers are
# counted in. Depths are those of the models' configurations: Qwen2-Audio's and LLaMA-7B's are the
# defaults in transformers, Audio Flamingo 3 has Qwen2.5-7B's, DeSTA2.5-Audio Llama-3.1-8B's. MATA
# draws its attention from Qwen2.5-Omni-7B; on which of the two 10 to 20 was chosen is not known.
SOURCE_DEPTHS: dict[str, dict[str, int]] = {
    "mata": {"Qwen2-Audio": 32, "Qwen2.5-Omni-7B": 28},
    "pai": {"LLaMA-7B (LLaVA-1.5)": 32},
    "audio-flamingo-3": {"Audio Flamingo 3": 28},
    "desta2.5": {"DeSTA2.5-Audio": 32},
}


def map_layers(layers: Sequence[int], n_source: int, n_layers: int) -> list[int]:
    """Return the layers of a decoder that lie at the same relative depth as a source's.

    Layer i of n spans the depths i / n to (i + 1) / n. A layer is taken where its middle lies in
    one of the source's layers; where that gives none, the layers that hold the middles of those.

    Args:
        layers: The source's layers, from 0.
        n_source: Number of layers of the source's decoder.
        n_layers: Number of layers of the other decoder.

    Example:
        >>> map_layers(range(10, 21), 32, 6)
        [2, 3]
    """
    chosen = set(layers)
    found = [i for i in range(n_layers) if (2 * i + 1) * n_source // (2 * n_layers) in chosen]
    return found or sorted({(2 * i + 1) * n_layers // (2 * n_source) for i in chosen})


def paper(model_name: str, *, queries: Sequence[str] = "keyword+last") -> AttnScaleConfig:
    """Return the attention scaling of arXiv 2606.17417: L <- alpha L, one layer, all heads.

    alpha is 2.0 at layer 20 for Audio Flamingo 3, and 0.2 at layer 9 for DeSTA2.5. The paper edits
    the rows of the last prompt token, of the keywords (earliest, latest, longest), or both; both is
    the default.

    Args:
        model_name: A name in `PAPER_MODELS`.
        queries: The rows: "last", "keyword" or "keyword+last".

    Raises:
        ConfigError: The paper has no setting for this model.
    """
    if model_name not in PAPER_MODELS:
        near = difflib.get_close_matches(str(model_name).lower(), PAPER_MODELS, n=1, cutoff=0.4)
        raise ConfigError(
            f"paper: no published setting for model {check.shown(model_name)}."
            + (f" Did you mean {near[0]!r}?" if near else "")
            + f" Available: {', '.join(PAPER_MODELS)}. For another model choose the layer and "
            "alpha yourself: AttnScaleConfig(strength=..., layers=[...])"
        )
    repository, alpha, layer = PAPER_MODELS[model_name]
    return AttnScaleConfig(
        mode="scale",
        strength=alpha,
        layers=[layer],
        queries=queries,
        base_model_name_or_path=repository,
        provenance={
            "preset": "paper",
            "source": "arXiv:2606.17417",
            "model": model_name,
            "chosen": "the paper's layer and alpha for this model; not chosen again",
        },
    )


def mata(
    formula: Literal["multiply", "add"] = "multiply",
    alpha: float = 0.1,
    layers: Layers = range(10, 21),
) -> AttnScaleConfig:
    """Return MATA (arXiv 2509.18816): last row, every decoding step, all heads, layers 10 to 20.

    Two readings of its formula are in print, and they differ: "multiply" is L <- (1 + alpha) L,
    "add" is L <- L + alpha.

    Raises:
        ConfigError: `formula` is neither, or a value is wrong.
    """
    formula = check.one_of("formula", formula, ("multiply", "add"))
    alpha = check.number("alpha", alpha)
    multiply = formula == "multiply"
    return AttnScaleConfig(
        mode="scale" if multiply else "upweight",
        strength=1 + alpha if multiply else alpha,
        layers=layers,
        queries="last",
        phase="all",
        provenance={
            "preset": "mata",
            "source": "arXiv:2509.18816",
            "formula": "L <- (1 + alpha) L" if multiply else "L <- L + alpha",
            "other_reading": "L <- L + alpha" if multiply else "L <- (1 + alpha) L",
            "alpha": alpha,
        },
    )


def pai(alpha: float = 0.2, layers: Layers = range(2, 32)) -> AttnScaleConfig:
    """Return PAI (arXiv 2407.21771): L <- L + alpha |L|, last row, every step, layers 2 to 31.

    PAI was made for image tokens of vision-language models; here it is applied to audio positions.
    Its other part, contrastive decoding against the prompt without the image, is not included.

    Raises:
        ConfigError: A value is wrong.
    """
    return AttnScaleConfig(
        mode="upweight_relative",
        strength=alpha,
        layers=layers,
        queries="last",
        phase="all",
        provenance={"preset": "pai", "source": "arXiv:2407.21771"},
    )


def adaptvis(
    low: float = 0.5, high: float = 1.5, threshold: float = 0.3, layers: Layers = "all"
) -> AttnScaleConfig:
    """Return AdaptVis (arXiv 2503.01773): L <- alpha L, last prompt row, alpha by confidence.

    A plain run comes first. alpha is `low` where the probability of its first generated token is
    below `threshold`, else `high`. AdaptVis was made for vision-language models; its values of
    alpha are 0.5, 0.8, 1.2, 1.5 and 2.0.

    Raises:
        ConfigError: A value is wrong.
    """
    return AttnScaleConfig(
        mode="scale",
        adaptive=Adaptive(threshold=threshold, low=low, high=high),
        layers=layers,
        queries="last",
        phase="prefill",
        provenance={"preset": "adaptvis", "source": "arXiv:2503.01773"},
    )
