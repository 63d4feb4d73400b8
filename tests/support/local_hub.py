"""A stand-in of the Hub on this machine: the requests that huggingface_hub makes to share models.

Written after the client's own code (create_repo, create_branch, model_info, create_commit,
hf_hub_download); what a test sends can be fetched again in another process, by the real client.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Repository:
    """A repository: is it private, and the files of each branch."""

    private: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[dict] = field(default_factory=list)

    def sha(self, branch: str) -> str:
        files = sorted((name, data.hex()) for name, data in self.branches[branch].items())
        return hashlib.sha1(json.dumps([branch, files]).encode()).hexdigest()


@dataclass
class LocalHub:
    """What the stand-in holds, and what it was asked for."""

    endpoint: str = ""
    token: str = "hf_test"
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    """Serve a stand-in on a free port of this machine, until the context ends."""
    hub = LocalHub()

    class Handler(_Handler):
        state = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield hub
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: LocalHub

    def log_message(self, *args: object) -> None:
        """Say nothing on the terminal."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, query = self._asked()
        if path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            return self._answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {self.state.token}":
            return self._answer({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(branch|preupload|commit)/(.+)", path)
        assert found, path
        name, what, revision = found[1], found[2], unquote(found[3])
        repository = self.state.repositories.get(name)
        if repository is None:
            return self._missing("RepoNotFound")
        if what == "branch":
            if revision in repository.branches:
                return self._answer({"error": "Reference already exists"}, 409)
            repository.branches[revision] = dict(repository.branches["main"])
            return self._answer({})
        if revision not in repository.branches:
            return self._missing("RevisionNotFound")
        if what == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        return self._commit(name, revision, body, query)

    def _create(self, asked: dict) -> None:
        name = f"{asked['organization'] or 'me'}/{asked['name']}"
        url = f"{self.state.endpoint}/{name}"
        if name in self.state.repositories:
            return self._answer({"error": "You already created this repo", "url": url}, 409)
        self.state.repositories[name] = Repository(
            private=asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        return self._answer({"url": url, "name": name})

    def _commit(self, name: str, branch: str, body: bytes, query: dict) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        (header,) = [line["value"] for line in lines if line["key"] == "header"]
        sent = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        repository = self.state.repositories[name]
        as_request = query.get("create_pr") == ["1"]
        target = f"refs/pr/{len(repository.branches)}" if as_request else branch
        repository.branches[target] = repository.branches[branch] | sent
        repository.commits.append({**header, "branch": target, "files": sorted(sent)})
        oid = repository.sha(target)
        answer = {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self.state.endpoint}/{name}/commit/{oid}",
            "hookOutput": "",
        }
        if as_request:
            answer["pullRequestUrl"] = f"{self.state.endpoint}/{name}/discussions/1"
        self._answer(answer)

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        path, _ = self._asked()
        of_model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
        of_file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = of_model or of_file
        assert found, path
        repository = self.state.repositories.get(found[1])
        trusted = self.headers.get("Authorization") == f"Bearer {self.state.token}"
        if repository is None or (repository.private and not trusted):
            return self._missing("RepoNotFound")
        asked = unquote(found[2] or "main")
        branch = next((b for b in repository.branches if asked in (b, repository.sha(b))), None)
        if branch is None:
            return self._missing("RevisionNotFound")
        files, sha = repository.branches[branch], repository.sha(branch)
        if of_model:
            names = [{"rfilename": name} for name in sorted(files)]
            about = {"id": found[1], "sha": sha, "private": repository.private, "siblings": names}
            return self._answer({**about, "tags": [], "downloads": 0, "likes": 0})
        data = files.get(unquote(found[3]))
        if data is None:
            return self._missing("EntryNotFound", **{"X-Repo-Commit": sha})
        etag = hashlib.sha1(data).hexdigest()
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Content-Type": "text/plain"}
        return self._send(data, 200, headers, body=body)

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        self.state.requests.append(f"{self.command} {unquote(parts.path)}")
        return parts.path, parse_qs(parts.query)

    def _missing(self, code: str, **headers: str) -> None:
        self._send(b"{}", 404, {"X-Error-Code": code, **headers}, body=self.command != "HEAD")

    def _answer(self, data: dict, status: int = 200) -> None:
        self._send(json.dumps(data).encode(), status, {"Content-Type": "application/json"})

    def _send(self, data: bytes, status: int, headers: dict[str, str], body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)
