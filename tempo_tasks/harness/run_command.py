"""`tempo run`: lm_eval with its own arguments, whose mistakes end with one message.

lm_eval finds most of them itself before anything is loaded, and ends in a traceback.
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lm_eval._cli import HarnessCLI
from lm_eval.api.registry import model_registry
from lm_eval.config.evaluate_config import EvaluatorConfig
from lm_eval.tasks import TaskManager
from lm_eval.utils import setup_logging

from tempo_attn.did_you_mean import did_you_mean
from tempo_attn.errors import OptionError
from tempo_tasks.harness.lm_eval_registration import register
from tempo_tasks.harness.task_index import check_names, task_index


def run(arguments: Sequence[str]) -> None:
    """Run lm_eval.

    Args:
        arguments: As lm_eval takes them.

    Raises:
        OptionError: Arguments that contradict each other, an unknown model or task.
        TempoError: Whatever else is wrong with model arguments, tasks or data.
    """
    register()
    sys.argv = ["lm_eval", *arguments]
    setup_logging()
    parser = HarnessCLI()
    parsed = parser.parse_args()
    ours_alone = False
    if getattr(parsed, "command", None) == "run" and not getattr(parsed, "config", None):
        ours_alone = _check(parsed)
    try:
        with without_defaults() if ours_alone else nullcontext():
            parser.execute(parsed)
    except ValueError as error:
        if not str(error).startswith("Tasks not found: "):
            raise
        check_names(str(error).removeprefix("Tasks not found: ").split(", "), task_index())
        raise


@contextmanager
def without_defaults() -> Iterator[None]:
    """Let lm_eval's task managers leave out its own 14,000 files, which take seconds to index."""
    before = TaskManager.__init__

    @functools.wraps(before)
    def init(self: TaskManager, *args: Any, **kwargs: Any) -> None:
        before(self, *args, **{"include_defaults": False, **kwargs})

    TaskManager.__init__ = init
    try:
        yield
    finally:
        TaskManager.__init__ = before


def _check(parsed: argparse.Namespace) -> bool:
    """Check what lm_eval was told, as far as its answer would be a traceback.

    Returns:
        Whether all tasks are ours, so that no other has to be known.
    """
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.ERROR)  # it says all this again
    try:
        config = EvaluatorConfig.from_cli(argparse.Namespace(**vars(parsed)))
    except (ValueError, TypeError, OSError) as error:
        raise OptionError(" ".join(str(error).split())) from error
    finally:
        log.setLevel(level)
    if config.model not in model_registry:
        near = did_you_mean(config.model, model_registry)
        raise OptionError(f"unknown model {config.model!r}.{near} Expected such as lalm or hf")
    names = [name for name in config.tasks or [] if isinstance(name, str)]
    ours = [name for name in names if name.startswith("tempo") and not _is_other(name)]
    if ours and not config.include_path:  # which may hold tasks of this name
        check_names(ours, task_index())
    return bool(ours) and ours == (config.tasks or []) and not config.include_path


def _is_other(name: str) -> bool:
    """Return whether a task is given by a pattern or a path."""
    return any(mark in name for mark in "*?[/\\") or name.endswith(".yaml") or Path(name).exists()
