"""Edits of attention on a server: which it has, and whether one was applied to a request.

The interface of tempo's plugin for vLLM: `GET <root>/tempo/edits` lists what is loaded, a request
chooses by its field `vllm_xargs`, and `GET <root>/tempo/edits/<request id>` tells how many rows
were edited in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempo_attn import AttnScaleConfig
from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import EditNotAppliedError, OptionError
from tempo_tasks.serving.session import Answered, Session

PATH = "/tempo/edits"
PLAIN = "none"
"""The name of no edit."""
_LOOKS = 5
_BETWEEN = 0.2  # seconds: a worker's account may arrive after the answer


@dataclass(frozen=True)
class ServedEdits:
    """What a server says of its edits.

    Attributes:
        configurations: Each one's `sha256` and `config`, by name.
        default: The one that a request gets which names none; None for no edit.
        versions: Of tempo_attn and vLLM, as the server says.
    """

    configurations: Mapping[str, Mapping[str, Any]]
    default: str | None
    versions: Mapping[str, str]

    def describe(self, name: str | None) -> dict[str, Any] | None:
        """Return a configuration as results have it: its hash and its fields."""
        if name is None or name == PLAIN:
            return None
        found = self.configurations[name]
        return {
            "sha256": found["sha256"],
            **{k: v for k, v in found["config"].items() if k != "base_model_name_or_path"},
        }


def read_edits(answer: Mapping[str, Any] | None) -> ServedEdits | None:
    """Read what a server lists; None where it has no such interface.

    Raises:
        EditNotAppliedError: It lists something else.
    """
    if answer is None:
        return None
    found = answer.get("configurations")
    default = answer.get("default")
    fits = isinstance(found, dict) and all(
        isinstance(one, dict)
        and isinstance(one.get("sha256"), str)
        and isinstance(one.get("config"), dict)
        for one in found.values()
    )
    if default == PLAIN:
        default = None
    if not fits or not (default is None or default in (found or {})):
        raise EditNotAppliedError(
            f"{PATH} of the server answers something else than configurations by name with sha256 "
            "and config; run a server and a client of the same version of tempo-lalm"
        )
    versions = {name: str(answer[name]) for name in ("tempo_attn", "vllm") if answer.get(name)}
    return ServedEdits(dict(found or {}), default, versions)


def choose(attn_scale: str, edits: ServedEdits | None) -> str:
    """Return the name by which the server has a configuration.

    Args:
        attn_scale: A name; "none"; or a folder, file or repository.
        edits: What the server has.

    Raises:
        OptionError: It does not have it.
        ConfigError: The folder cannot be read.
    """
    if edits is None:
        raise OptionError(
            f"attn_scale={attn_scale}: the server has no {PATH}, so it edits nothing; start it "
            "with tempo serve MODEL --attn-scale FOLDER, or leave attn_scale out"
        )
    if attn_scale == PLAIN or attn_scale in edits.configurations:
        return attn_scale
    names = ", ".join(edits.configurations) or "none"
    if not (Path(attn_scale).expanduser().exists() or "/" in attn_scale):
        near = did_you_mean(attn_scale, edits.configurations)
        raise OptionError(
            f"attn_scale={attn_scale}: the server has no such configuration.{near} It has: {names}"
        )
    wanted = AttnScaleConfig.from_pretrained(attn_scale).fingerprint()
    for name, one in edits.configurations.items():
        if one["sha256"] == wanted:
            return name
    told = ", ".join(f"{n} ({c['sha256'][:12]})" for n, c in edits.configurations.items())
    raise OptionError(
        f"attn_scale={attn_scale} is the configuration {wanted[:12]}, and the server has "
        f"{told or 'none'}; start it with this folder"
    )


async def check_applied(session: Session, answered: Answered, expected: str | None) -> int:
    """Check that a request was edited as was asked for.

    Args:
        session: The connections.
        answered: The request and its answer.
        expected: The configuration's name; None for the plain model.

    Returns:
        How many rows were edited.

    Raises:
        EditNotAppliedError: It was not.
    """
    import anyio

    path = f"{PATH}/{answered.request_id}"
    account = None
    for look in range(_LOOKS):
        if look:
            await anyio.sleep(_BETWEEN * 2**look)
        account = await session.get(answered.server, path)
        if account is not None or expected is None:
            break
    if account is None and expected is None:
        return 0
    rows = account.get("edited_rows") if account is not None else None
    if not isinstance(rows, int) or isinstance(rows, bool):
        raise EditNotAppliedError(
            f"the server does not tell how many rows {expected} edited in request "
            f"{answered.request_id} ({path}): its answer may be the plain model's"
        )
    assert account is not None
    name = account.get("configuration")
    name = None if name == PLAIN else name
    if name != expected or (rows > 0) != (expected is not None):
        raise EditNotAppliedError(
            f"request {answered.request_id} asked for {expected or 'no edit'}, and the server "
            f"edited {rows} rows with {name or 'no configuration'}; its answer is not used. See "
            "the server's log"
        )
    return rows
