"""The model card of saved adapters: what is edited, by which maths, and how it was chosen.

Texts in a configuration come from strangers. In the card they are escaped so that they can end
neither the YAML block nor a table cell or code block, and hold no HTML or links.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from tempo_attn.config import AttnScaleConfig
from tempo_attn.directions import DIRECTIONS_NAME
from tempo_attn.hub.adapter_folder import DEFAULT_ADAPTER
from tempo_attn.hub.model_names import is_repo_id, shared_name

LIBRARY = "tempo-lalm"
MARK = (
    "<!-- Written by tempo-lalm, and written anew by the next save. To keep changes of yours, "
    "delete this comment. -->"
)
TAGS = ["audio", "attention-scaling", "tempo", "training-free"]
# The usual ones of the Hub's list; it refuses a card with another identifier under `license`.
HUB_LICENSES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "unlicense", "cc0-1.0"),
    *("gpl-3.0", "lgpl-3.0", "agpl-3.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "other", "unknown"),
)

_BODY = """
{mark}

# {title}

{count} of an audio language model's attention, or of its states between layers, at inference. No
weights are trained or stored: a configuration of a few hundred bytes says what is edited{beside}.
Base model: {base}.

## What is edited

| adapter | mode | strength | layers | heads | query rows | key positions | phase |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

L is the pre-softmax logits of the named layers, heads, query rows and key positions; heads are
query heads, layers count from 0.

{maths}

## How it was chosen

{provenance}

## How to use it

```python
{snippet}
```

## Limits

- Chosen for the base model above. Another model, or another revision of it, has other layers and
  heads; nothing carries over by itself.
- A gain holds for the data and split on which it was measured. Where the section above does not
  state a held-out split, take the setting as a hypothesis.
- More attention on audio is not more hearing: compare with the same model without the edit, on the
  same items, and count the answers that become wrong too.
"""


def model_card(configs: Mapping[str, AttnScaleConfig], *, repo_id: str | None = None) -> ModelCard:
    """Return the model card of adapters.

    Args:
        configs: The adapters by name. The front matter names the first one's base model if it is a
            repository on the Hub, and license, datasets and metrics where provenances state them.
        repo_id: The repository that will hold the adapters, for the example; None while unknown.
    """
    bases = [config.base_model_name_or_path for config in configs.values()]
    base = next((shared_name(name) for name in bases if name is not None), None)
    # A path on somebody's disk means nothing to the Hub, which would refuse the card.
    on_hub = base if base is not None and is_repo_id(base) else None
    provenances = [config.provenance for config in configs.values()]
    license_name = next(iter(_named(provenances, "license", r"[a-z0-9][a-z0-9.+-]{0,63}")), None)
    listed = license_name is None or license_name in HUB_LICENSES
    data = ModelCardData(
        base_model=on_hub,
        base_model_relation="adapter" if on_hub else None,
        library_name=LIBRARY,
        license=license_name if listed else "other",
        license_name=None if listed else license_name,
        pipeline_tag="audio-text-to-text",
        tags=list(TAGS),
        datasets=[name for name in _named(provenances, "datasets", r".+") if is_repo_id(name)]
        or None,
        metrics=_named(provenances, "metrics", r"[A-Za-z0-9][\w.-]{0,63}") or None,
    )
    modes = dict.fromkeys(config.spec for config in configs.values())
    many = len(configs) > 1
    body = _BODY.format(
        mark=MARK,
        title="Attention scaling adapters" if many else "Attention scaling adapter",
        count=f"{len(configs)} edits" if many else "An edit",
        beside=_beside(configs),
        base=_base(base),
        rows="\n".join(_row(name, config) for name, config in configs.items()),
        maths="\n".join(f"- **{mode.name}**: {mode.maths} — {mode.explanation}" for mode in modes),
        provenance="\n\n".join(_chosen(name, config, many) for name, config in configs.items()),
        snippet=_snippet(configs, on_hub, repo_id),
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n{body}")


def is_ours(text: str) -> bool:
    """Return whether a model card was written by `model_card` and nobody claimed it since."""
    front = re.match(r"---\n(.*?)\n---\n", text.replace("\r\n", "\n"), re.DOTALL)
    return bool(front and f"library_name: {LIBRARY}" in front[1].split("\n") and MARK in text)


def plain(text: str) -> str:
    """Return `text` for running Markdown or a table cell; only letters and digits are trusted."""
    return "".join(c if c.isalnum() or c in " ,-/" else f"&#{ord(c)};" for c in text)


def _beside(configs: Mapping[str, AttnScaleConfig]) -> str:
    if all(config.directions is None for config in configs.values()):
        return ""
    return (
        f",\nand {DIRECTIONS_NAME} beside it holds one direction for each steered layer. It is\n"
        "loaded only if its SHA-256 is the one in the configuration"
    )


def _base(name: str | None) -> str:
    if name is None:
        return "not stated"
    return f"[{name}](https://huggingface.co/{name})" if is_repo_id(name) else plain(name)


def _row(name: str, config: AttnScaleConfig) -> str:
    if config.adaptive is not None:
        chosen = config.adaptive
        strength = (
            f"{chosen.low!r} where the first generated token of a plain run has a probability "
            f"below {chosen.threshold!r}, else {chosen.high!r}"
        )
    else:
        strength = "none" if config.strength is None else repr(config.strength)
    queries = [
        f"keyword ({', '.join(map(plain, config.keywords))})" if query == "keyword" else query
        for query in config.queries
    ]
    if isinstance(config.heads, Mapping):
        heads = "; ".join(
            f"layer {layer}: {_numbers(of_layer)}" for layer, of_layer in config.heads.items()
        )
        if config.layers == "all" or set(config.heads) < set(config.layers):
            heads += "; other layers: all"
    else:
        heads = "all" if config.heads is None else _numbers(config.heads)
    layers = "all" if isinstance(config.layers, str) else _numbers(config.layers)
    phase = "prefill" if config.phase == "prefill" else "prefill and every decoding step"
    keys = ", ".join(config.keys)
    mode = config.mode if config.source is None else f"{config.mode} from layer {config.source}"
    cells = (plain(name), mode, strength, layers, heads, ", ".join(queries), keys, phase)
    return f"| {' | '.join(cells)} |"


def _numbers(values: Any) -> str:
    return ", ".join(map(str, values))


def _chosen(name: str, config: AttnScaleConfig, many: bool) -> str:
    heading = f"**{plain(name)}**: " if many else ""
    fingerprint = f"Fingerprint of the edit: {config.fingerprint()}."
    if not config.provenance:
        return f"{heading}Not stated. {fingerprint}"
    return (
        f"{heading}As its author states. {fingerprint}\n\n```json\n{_json(config.provenance)}\n```"
    )


def _json(value: object) -> str:
    """Return indented JSON for a code block: no character in it can end the block or begin HTML.

    Escapes keep it valid JSON. No line can be a fence, as line breaks within strings are escaped.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(c if c == "\n" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if character.isprintable() and character not in "<>&`":
        return character
    if ord(character) < 0x10000:
        return f"\\u{ord(character):04x}"
    return json.dumps(character)[1:-1]  # as a surrogate pair


def _python(text: str) -> str:
    """Return a Python literal of `text` for a code block, safe as `_json` is."""
    safe = (c if c.isalnum() or c in " /-_.,:+@" else f"\\U{ord(c):08x}" for c in text)
    return f'"{"".join(safe)}"'


def _snippet(configs: Mapping[str, AttnScaleConfig], base: str | None, repo_id: str | None) -> str:
    here = _python(repo_id or "owner/name")
    where = "" if repo_id else "  # this repository, or a folder"
    revision = next((c.revision for c in configs.values() if c.revision is not None), None)
    loaded = "name" + (f", revision={_python(revision)}" if revision else "")
    if DEFAULT_ADAPTER in configs:
        names = "AttnScaleModel"
        rest = [f"model = AttnScaleModel.from_pretrained(base, {here}){where}"]
    else:
        names = "AttnScaleConfig, apply_attn_scale"
        name = _python(next(iter(configs)))
        rest = [
            f"config = AttnScaleConfig.from_pretrained({here}, subfolder={name}){where}",
            "model = apply_attn_scale(base, config)",
        ]
    lines = [
        "from transformers import AutoConfig",
        "",
        f"from tempo_attn import {names}",
        "from tempo_attn.families import get_family",
        "",
        f"name = {_python(base or 'owner/model')}",
        f"family = get_family(AutoConfig.from_pretrained({loaded}))",
        f"base = family.auto_class.from_pretrained({loaded})",
        *rest,
    ]
    return "\n".join(lines)


def _named(provenances: list[dict[str, Any]], field: str, pattern: str) -> list[str]:
    """Return what provenances name under `field` or its singular, if it fits `pattern` whole.

    The front matter only takes values of a known form; the rest stays in the card's body.
    """
    found: dict[str, None] = {}
    for provenance in provenances:
        for key in dict.fromkeys((field, field.removesuffix("s"))):
            values = provenance.get(key)
            for value in values if isinstance(values, list) else [values]:
                name = value.get("name") if isinstance(value, dict) else value
                if isinstance(name, str) and re.fullmatch(pattern, name, re.ASCII):
                    found[name] = None
    return list(found)
