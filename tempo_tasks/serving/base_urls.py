"""Where servers are: the model argument `base_url`, one URL or several."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from tempo_attn.errors import OptionError


def base_urls(given: object) -> tuple[str, ...]:
    """Return base URLs, without a slash at the end.

    Args:
        given: A URL; several with commas, semicolons or blanks between; or a list of them.

    Raises:
        OptionError: None is given, one is no URL, or one holds a key.
    """
    if isinstance(given, str):
        # A list typed on the command line arrives with its brackets and quotes.
        found: Sequence[Any] = [part for part in re.split(r"[,;\s\[\]\"']+", given) if part]
    elif isinstance(given, list | tuple):
        found = given
    else:
        found = []
    if not found:
        raise OptionError(
            "lalm-api needs base_url, where the server's OpenAI interface is; expected such as "
            "--model_args base_url=http://127.0.0.1:8000/v1,model=NAME"
        )
    urls = tuple(dict.fromkeys(_checked(url) for url in found))
    return urls


def further_urls(arguments: Mapping[str, Any]) -> list[str]:
    """Return the URLs that lm_eval took for names of arguments of their own.

    `--model_args base_url=http://a/v1,http://b/v1` is parsed by lm_eval at its commas: what follows
    the first URL becomes an argument without a value.
    """
    return [
        name
        for name, value in arguments.items()
        if name.startswith(("http://", "https://")) and value in ("", None)
    ]


def root_of(url: str) -> str:
    """Return the address under which a server has what is no part of the OpenAI interface."""
    return re.sub(r"/v\d+$", "", url)


def _checked(url: object) -> str:
    text = str(url).strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        raise OptionError(
            f"base_url has {text[:100]!r}; expected a URL such as http://127.0.0.1:8000/v1"
        )
    del port
    if parts.username or parts.password or parts.query or parts.fragment:
        raise OptionError(
            f"base_url for {host} holds a user name, a password or a query; they would stand in "
            "the results. Give keys by the environment: see api_key_env"
        )
    return text
