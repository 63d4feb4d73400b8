"""A page and its sound on this machine only: 127.0.0.1, under an address that cannot be guessed.

What can be had is a fixed set of contents in memory; no request names a file of the disk.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

HOST = "127.0.0.1"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_KINDS = {"html": "text/html; charset=utf-8", "ogg": "audio/ogg"}


@dataclass
class Served:
    """What a server gives out.

    Attributes:
        contents: Bytes by the path below the token; "" is the page. May be given later.
        token: Random part of the address, without which nothing is given out.
    """

    contents: Mapping[str, bytes] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


def make_server(served: Served, port: int = 0) -> ThreadingHTTPServer:
    """Return a server that is bound, but does not serve yet.

    Args:
        served: What it gives out.
        port: The port; 0 for any free one.

    Raises:
        OSError: The port is taken.
    """

    class Handler(_Handler):
        given = served

    server = ThreadingHTTPServer((HOST, port), Handler)
    server.daemon_threads = True
    return server


def address(server: ThreadingHTTPServer, served: Served) -> str:
    """Return the address of the page."""
    return f"http://{HOST}:{server.server_address[1]}/{served.token}/"


class _Handler(BaseHTTPRequestHandler):
    given: Served
    protocol_version = "HTTP/1.1"
    server_version = "tempo"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        content = self._content()
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, b"not here\n", {}, body=body)
            return
        name, whole = content
        kind = _KINDS["ogg" if name.endswith(".ogg") else "html"]
        headers = {"Content-Type": kind, "Accept-Ranges": "bytes"}
        asked = _RANGE.fullmatch(self.headers.get("Range", "").strip())
        if asked is None or asked.groups() == ("", ""):
            self._send(HTTPStatus.OK, whole, headers, body=body)
            return
        start, end = _span(asked[1], asked[2], len(whole))
        if start >= min(end, len(whole)):
            headers["Content-Range"] = f"bytes */{len(whole)}"
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", headers, body=body)
            return
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(whole)}"
        self._send(HTTPStatus.PARTIAL_CONTENT, whole[start:end], headers, body=body)

    def _content(self) -> tuple[str, bytes] | None:
        """Return name and bytes of what is asked for; None without the token, or for no such."""
        # Another site's page that names this machine differently gets nothing (DNS rebinding).
        host = self.headers.get("Host", "").rpartition(":")[0]
        _, _, path = unquote(urlsplit(self.path).path).partition("/")
        token, slash, name = path.partition("/")
        same = secrets.compare_digest(token.encode(), self.given.token.encode())
        if host != HOST or not same or not slash:
            return None
        found = self.given.contents.get(name)
        return None if found is None else (name, found)

    def _send(
        self, status: HTTPStatus, content: bytes, headers: Mapping[str, str], *, body: bool
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the token would stand in the log."""


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """Return start and end of a range of bytes, the end not included."""
    if not first:
        return max(size - int(last), 0), size if int(last) else 0
    return int(first), min(int(last) + 1, size) if last else size
