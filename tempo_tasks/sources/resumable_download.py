"""Downloads that go on where they stopped, and are checked.

A file arrives under `<name>.part` and gets its name once its size and MD5 sum are the published
ones, so whatever bears the name is whole.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm

from tempo_tasks.errors import ChecksumError, DownloadError
from tempo_tasks.file_hashes import hash_file

_CHUNK = 1 << 20  # bytes
_TIMEOUT = (15.0, 60.0)  # seconds: to connect, between two packets
_LONGEST_PAUSE = 60.0  # seconds
# What a server says when it is busy; anything else it refuses is refused again.
_BUSY = (408, 425, 429, 500, 502, 503, 504)


def download_file(
    url: str,
    target: Path,
    *,
    md5: str,
    size: int,
    progress: bool = True,
    attempts: int = 5,
    pause: float = 1.0,
) -> bool:
    """Fetch a file of known size and MD5 sum.

    Args:
        url: Address of the file.
        target: Path that the file gets; its folder is made.
        md5: The published MD5 sum, 32 hexadecimal digits.
        size: The published size, in bytes.
        progress: Show a bar.
        attempts: Failures in a row, none of which brought a byte, before giving up.
        pause: Seconds before the first new attempt; doubled for each further one.

    Returns:
        Whether anything was fetched: False where the right file was there already.

    Raises:
        DownloadError: The server cannot be reached, refuses, or there is no room. What has arrived
            stays in `<name>.part`.
        ChecksumError: The file, there or fetched, is another one. Nothing stays that was fetched.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"{target.parent} cannot be made ({error}); name another folder"
        ) from error
    lock = target.with_name(f".{target.name}.lock")
    with FileLock(lock):
        try:
            if target.exists():
                _refuse_other(target, md5, size)
                return False
            _Download(url, target, md5, size, progress, attempts, pause).run()
            return True
        finally:
            lock.unlink(missing_ok=True)


def _refuse_other(target: Path, md5: str, size: int) -> None:
    found = target.stat().st_size
    if found != size:
        raise ChecksumError(
            f"{target}: {found:,} bytes, the published file has {size:,}: half a download, or "
            "another file. Move it away and run the same command again"
        )
    (digest,) = hash_file(target, "md5")
    if digest != md5:
        raise ChecksumError(
            f"{target}: MD5 {digest}, the published file has {md5}: it is damaged or was changed. "
            "Move it away and run the same command again"
        )


class _Busy(Exception):
    """The server asks to come back later."""

    def __init__(self, what: str, wait: float) -> None:
        super().__init__(what)
        self.wait = wait


class _Download:
    """One file on its way."""

    def __init__(
        self,
        url: str,
        target: Path,
        md5: str,
        size: int,
        progress: bool,
        attempts: int,
        pause: float,
    ) -> None:
        self.url, self.target, self.md5, self.size = url, target, md5, size
        self.attempts, self.pause = attempts, pause
        self.part = target.with_name(f"{target.name}.part")
        self.bar = tqdm(
            total=size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            desc=target.name,
            disable=not progress,
        )

    @property
    def have(self) -> int:
        """Bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def run(self) -> None:
        with self.bar:
            went_on = self.have > 0
            self._complete()
            if not self._is_right() and went_on:
                # The first half may be of another file: worth one fresh start.
                self.part.unlink()
                self._complete()
            if not self._is_right():
                (digest,) = hash_file(self.part, "md5")
                found = self.have
                self.part.unlink()
                raise ChecksumError(
                    f"{self.url}: {found:,} bytes with MD5 {digest}; the published file has "
                    f"{self.size:,} with {self.md5}. Nothing was kept. Something on the way (a "
                    "proxy, a log-in page) may have changed it: try again on another network, or "
                    f"put the file into {self.target.parent} yourself"
                )
            self.part.replace(self.target)

    def _is_right(self) -> bool:
        return self.have == self.size and hash_file(self.part, "md5") == [self.md5]

    def _complete(self) -> None:
        """Fetch what is missing, in as many attempts as bring something."""
        if self.have > self.size:
            self.part.unlink()
        failures = 0
        while (before := self.have) < self.size:
            wait, reason = 0.0, "the connection ended early"
            try:
                self._fetch(before)
            except _Busy as error:
                wait, reason = error.wait, str(error)
            except DownloadError:
                raise
            except requests.RequestException as error:
                if isinstance(error, ValueError):
                    raise DownloadError(f"{self.url}: no usable address ({error})") from error
                reason = _first_line(error)
            except OSError as error:
                raise DownloadError(
                    f"{self.part} cannot be written ({error}); make room or name another folder"
                ) from error
            if self.have >= self.size:
                return
            failures = 0 if self.have > before else failures + 1
            if failures >= self.attempts:
                raise DownloadError(
                    f"{self.url} cannot be downloaded ({reason}): {failures} attempts in a row "
                    f"brought nothing; {self.have:,} of {self.size:,} bytes are here. Run the same "
                    "command again where there is a network, it goes on from there; or put the "
                    f"file into {self.target.parent} yourself"
                )
            time.sleep(min(max(wait, self.pause * 2 ** max(failures - 1, 0)), _LONGEST_PAUSE))

    def _fetch(self, have: int) -> None:
        """Append what one connection brings."""
        free = shutil.disk_usage(self.part.parent).free
        if free < self.size - have:
            raise DownloadError(
                f"{self.part.parent} has {free:,} bytes free, {self.target.name} needs "
                f"{self.size - have:,} more; make room or name another folder"
            )
        # A compressed answer would make a range count other bytes than those of the file.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            start = self._start(answer, have)
            self.bar.n = start
            self.bar.refresh()
            self.part.touch()
            with self.part.open("r+b") as file:
                file.truncate(start)
                file.seek(start)
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
                    self.bar.update(len(chunk))
                    if file.tell() > self.size:
                        return  # refused by its size

    def _start(self, answer: requests.Response, have: int) -> int:
        """Return the first byte that the answer brings."""
        start = self._first_byte(answer, have)
        offered = answer.headers.get("Content-Length", "")
        if offered.isdecimal() and start + int(offered) != self.size:
            raise ChecksumError(
                f"{self.url}: the server offers {start + int(offered):,} bytes, the published file "
                f"has {self.size:,}. Something on the way (a proxy, a log-in page) answers in its "
                f"place: try another network, or put the file into {self.target.parent} yourself"
            )
        return start

    def _first_byte(self, answer: requests.Response, have: int) -> int:
        status = answer.status_code
        if status in _BUSY:
            after = answer.headers.get("Retry-After", "")
            raise _Busy(f"HTTP {status}", float(after) if after.isdecimal() else 0.0)
        if status == 416:
            self.part.unlink(missing_ok=True)
            raise _Busy("HTTP 416: the server has no such part of the file", 0.0)
        if status == 206:
            found = answer.headers.get("Content-Range", "")
            if found.startswith(f"bytes {have}-"):
                return have
            self.part.unlink(missing_ok=True)
            raise _Busy(f"asked for bytes from {have}, was given {found or 'others'}", 0.0)
        if status != 200:
            raise DownloadError(
                f"{self.url}: the server answered HTTP {status} {answer.reason}; look at the "
                "address in a browser"
            )
        return 0  # the whole file: this server knows no ranges


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
