"""`tempo view`: the page on this machine only, and nothing but it."""

import http.client
import threading

import pytest

from tempo_tasks.report.serve import Served, address, make_server

PAGE, SOUND = b"<html>page</html>", bytes(range(256)) * 4


@pytest.fixture
def server():
    served = Served({"": PAGE, "audio/00000.ogg": SOUND})
    made = make_server(served)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made, served
    made.shutdown()
    made.server_close()


def get(server, path, *, method="GET", **headers):
    connection = http.client.HTTPConnection(*server[0].server_address[:2], timeout=5)
    connection.putrequest(
        method, path.replace("TOKEN", server[1].token), skip_host="Host" in headers
    )
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_and_its_sound(server):
    assert address(*server) == f"http://127.0.0.1:{server[0].server_address[1]}/{server[1].token}/"
    assert get(server, "/TOKEN/")[:2] == (200, PAGE)
    status, content, headers = get(server, "/TOKEN/audio/00000.ogg")
    assert (status, content, headers["Content-Type"]) == (200, SOUND, "audio/ogg")
    assert get(server, "/TOKEN/", method="HEAD")[:2] == (200, b"")


@pytest.mark.parametrize(
    ("asked", "span"),
    [("0-9", (0, 10)), ("1000-", (1000, 1024)), ("-24", (1000, 1024)), ("5-99999", (5, 1024))],
)
def test_ranges_of_bytes(server, asked, span):
    status, content, headers = get(server, "/TOKEN/audio/00000.ogg", Range=f"bytes={asked}")
    assert (status, content) == (206, SOUND[slice(*span)])
    assert headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/1024"


@pytest.mark.parametrize("asked", ["1024-", "9-3", "-0"])
def test_ranges_that_cannot_be(server, asked):
    assert get(server, "/TOKEN/audio/00000.ogg", Range=f"bytes={asked}")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/audio/00000.ogg", "/wrong/", "/TOKEN", "//", "/TOKEN//", "/TOKEN/audio/"),
        *("/TOKEN/../TOKEN/", "/TOKEN/../../etc/passwd", "/TOKEN/%2e%2e/%2e%2e/etc/passwd"),
        *("/TOKEN//etc/passwd", "/TOKEN/audio/../../etc/passwd", "/%ff/", "/TOKEN/%00"),
    ],
)
def test_nothing_else_is_reachable(server, path):
    assert get(server, path)[0] == 404


def test_another_host_name_gets_nothing(server):
    """A page elsewhere whose name was made to mean this machine (DNS rebinding)."""
    assert get(server, "/TOKEN/", Host="evil.example:80")[0] == 404


def test_tokens_differ_and_are_long():
    first, second = Served({}), Served({})
    assert first.token != second.token
    assert len(first.token) >= 32
