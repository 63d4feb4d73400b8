"""What a server is: its kind and version where it tells, its models, its edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_attn.hub.model_names import loaded_name, shared_name
from tempo_tasks.errors import ServersDifferError
from tempo_tasks.serving.served_edits import PATH, ServedEdits, read_edits
from tempo_tasks.serving.session import Session

_TAKES_ANY = ("transformers",)
"""Kinds of server that load what a request names, listed or not."""


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """What one server says of itself.

    Attributes:
        kind: "vllm", "llama.cpp", "transformers", "openai" or "unknown".
        version: As the server tells it; None where it does not.
        models: The models that it lists, by id, with what each is made from where it tells.
        edits: Its edits of attention; None without that interface.
    """

    kind: str
    version: str | None
    models: Mapping[str, str | None]
    edits: ServedEdits | None

    def model_id(self, wanted: str | None) -> str:
        """Return the id to ask for.

        Args:
            wanted: What the user named.

        Raises:
            OptionError: The server does not have it, or has several and none is named.
        """
        listed = ", ".join(list(self.models)[:8])
        if wanted is None:
            if len(self.models) != 1:
                raise OptionError(
                    f"the server lists {len(self.models)} models ({listed}); name one with model="
                )
            return next(iter(self.models))
        if self.models and wanted not in self.models and self.kind not in _TAKES_ANY:
            near = did_you_mean(wanted, self.models)
            raise OptionError(f"the server has no model {wanted!r}.{near} It lists: {listed}")
        return wanted

    def identity(self, model: str) -> dict[str, Any]:
        """Return what tells this server's model from others: where it runs is no part of it."""
        base = self.models.get(model)
        return {
            "model": public_name(model),
            "base_model": None if base is None else public_name(base),
            "server": self.kind,
            "server_version": self.version,
        }


def public_name(model: str) -> str:
    """Return a model's id as results show it; a folder without where it lies."""
    return loaded_name(model) if "/" in model or "\\" in model else shared_name(model)


async def ask_server(session: Session, server: int) -> ServerInfo:
    """Ask a server what it is.

    Args:
        session: The connections.
        server: Which of the servers.

    Raises:
        ServerError: It cannot be reached, or refuses.
    """
    listed = await session.get(server, "models")
    models: dict[str, str | None] = {}
    owners = set()
    for entry in (listed or {}).get("data") or []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            root = entry.get("root")
            models[entry["id"]] = root if isinstance(root, str) else None
            owners.add(entry.get("owned_by"))
    kind, version = await _kind(session, server, owners)
    edits = read_edits(await session.get(server, PATH)) if kind in ("vllm", "unknown") else None
    return ServerInfo(kind=kind, version=version, models=models, edits=edits)


async def _kind(session: Session, server: int, owners: set[Any]) -> tuple[str, str | None]:
    host = urlsplit(session.arguments.base_urls[server]).hostname or ""
    if host == "api.openai.com":
        return "openai", None
    if "vllm" in owners:
        told = await session.get(server, "/version") or {}
        return "vllm", _text(told.get("version"))
    if owners & {"llamacpp", "llama.cpp"}:
        told = await session.get(server, "/props") or {}
        return "llama.cpp", _text(told.get("build_info"))
    pages = (await session.get(server, "/openapi.json") or {}).get("paths")
    if isinstance(pages, dict) and {"/load_model", "/reset"} <= set(pages):
        return "transformers", None
    told = await session.get(server, "/version") or {}
    return "unknown", _text(told.get("version"))


def _text(value: Any) -> str | None:
    return value[:80] if isinstance(value, str) and value else None


def ask_servers(session: Session, wanted: str | None) -> tuple[ServerInfo, str]:
    """Ask all servers what they are, which must be the same.

    Args:
        session: The connections.
        wanted: The model that the user named.

    Returns:
        What they are, and the id of the model to ask for.

    Raises:
        ServersDifferError: They are not the same.
        OptionError: They do not have the model.
        ServerError: One cannot be reached, or refuses.
    """
    found = [
        session.call(ask_server, session, server)
        for server in range(len(session.arguments.base_urls))
    ]
    first, model = found[0], found[0].model_id(wanted)
    for url, other in zip(session.arguments.base_urls[1:], found[1:], strict=True):
        mine, theirs = _told(first, model), _told(other, other.model_id(model))
        if mine != theirs:
            differing = [name for name in mine if mine[name] != theirs[name]]
            raise ServersDifferError(
                f"{url} is another server than {session.arguments.base_urls[0]}: "
                + "; ".join(f"{n}: {theirs[n]} and {mine[n]}" for n in differing)
                + ". Answers of one run must come from one model: name servers that are the same"
            )
    return first, model


def _told(info: ServerInfo, model: str) -> dict[str, Any]:
    edits = info.edits
    hashes = {} if edits is None else {n: c["sha256"] for n, c in edits.configurations.items()}
    default = None if edits is None else edits.default
    return info.identity(model) | {"edits": hashes, "default_edit": default}
