"""Sums of files, read once and a part at a time."""

import hashlib
import random

from tempo_tasks import file_hashes
from tempo_tasks.file_hashes import hash_file

CONTENT = random.Random(0).randbytes(300_000)


def test_digests_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(file_hashes, "_CHUNK", 10_000)
    (tmp_path / "file").write_bytes(CONTENT)
    assert hash_file(tmp_path / "file", "md5", "sha256") == [
        hashlib.md5(CONTENT).hexdigest(),
        hashlib.sha256(CONTENT).hexdigest(),
    ]
