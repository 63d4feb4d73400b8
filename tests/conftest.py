"""What every test gets: a cache folder of its own, no network, one thread for torch."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Read when huggingface_hub is imported, so before any other conftest is.
if "network" not in " ".join(sys.argv).replace("not network", ""):
    os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import pytest

from tests.support import chromium
from tests.support.released_layout import released_rows, write_layout

# Time says how busy the machine is, not whether a test passes.
hypothesis.settings.register_profile(
    "tempo", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tempo")


def pytest_collection_finish() -> None:
    """Keep the collector off what stays: torch, transformers and thousands of tests.

    A full collection takes most of a second with them, and some libraries ask for one in each call.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def isolated_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache folder for the session; the user's data settings do not count.

    One for all processes of the session: the scenes are rendered once.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tempo-cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPO_CACHE", str(folder))
        patch.delenv("TEMPO_DATA", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def single_thread() -> None:
    """Small models are slower on many threads; nothing imports torch for this."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def layout_rows() -> list[dict[str, Any]]:
    """Twelve rows of the released layout (four scenes, each with EO, LO and LD); copy to change."""
    return released_rows()


@pytest.fixture(scope="session")
def released_folder(
    tmp_path_factory: pytest.TempPathFactory, layout_rows: list[dict[str, Any]]
) -> Callable[[str], Path]:
    """A function from a layout's name to a folder written that way, once per session."""
    written: dict[str, Path] = {}

    def folder(layout: str = "parquet") -> Path:
        if layout not in written:
            target = tmp_path_factory.mktemp("released") / f"released-{layout}"
            written[layout] = write_layout(target, layout, layout_rows)
        return written[layout]

    return folder


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; where there is none, tests are skipped, or fail with TEMPO_REQUIRE_BROWSER."""
    started = chromium.start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()
