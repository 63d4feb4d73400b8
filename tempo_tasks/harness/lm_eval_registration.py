"""Makes `lm_eval` know the models `lalm` and `lalm-api`, and the `tempo_*` tasks.

After a normal installation nothing has to be called: a small start-up module
(`_tempo_lalm_autoload`) calls `add_model` and `add_tasks` when lm_eval is imported, unless
`TEMPO_NO_AUTOLOAD=1`. Call `register()` where that module does not run: with that variable set,
under `python -S`, after `pip install --target`, or from a checkout that is only on `PYTHONPATH`.
`python -m tempo_tasks` calls it.

Both functions stand aside where the harness reads our entry points itself; 0.4.13 does not.

Example:
    >>> from tempo_tasks.harness.lm_eval_registration import register
    >>> folder = register()
    >>> import lm_eval
    >>> lm_eval.simple_evaluate(model="lalm", tasks=["tempo_synth_eo_aqa"])  # doctest: +SKIP
"""

import functools
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from _tempo_lalm_autoload import warn
from tempo_tasks.paths import task_yamls_dir

__all__ = ["add_model", "add_tasks", "register"]

MODELS = {
    "lalm": "tempo_tasks.harness.lalm:LALM",
    "lalm-api": "tempo_tasks.serving.lalm_api:LALMApi",
}
TASKS_ENTRY_POINT = "tempo"


def register() -> Path:
    """Adds the model and the tasks to `lm_eval` in this process. Safe to call again.

    The start-up module turns faults into warnings; here, where you asked for it, they are raised.

    Returns:
        The folder of the task files that are now indexed.

    Raises:
        ImportError: lm_eval is not installed, or older than 0.4.13.
        RuntimeError: lm_eval's `TaskManager` is not one that this release knows.
        TaskFilesMissingError: (also a FileNotFoundError) The task files are missing.
    """
    import lm_eval.models
    import lm_eval.tasks.manager

    folder = task_yamls_dir()
    add_model(lm_eval.models)
    add_tasks(lm_eval.tasks.manager)
    return folder


def add_model(models: ModuleType) -> None:
    """Registers our models in the harness by name; a class is imported when it is asked for.

    A name that is taken is left alone. Not to be called before the built-in models are registered:
    the harness does that only while its registry is empty, so the first to come hides `hf`.

    Args:
        models: The executed module `lm_eval.models`.
    """
    modules = ("lm_eval.api.registry", "lm_eval.models")
    for name, target in MODELS.items():
        if _served_upstream("lm_eval.models", name, modules):
            continue
        from lm_eval.api.registry import model_registry

        if name not in model_registry:
            model_registry.register(name, target=target)


def add_tasks(manager: ModuleType) -> None:
    """Makes `TaskManager` index our task files between the built-in ones and `include_path`.

    With `include_defaults=False` ours are indexed too, as upstream plans it for plugins.

    Args:
        manager: The executed module `lm_eval.tasks.manager`.

    Raises:
        RuntimeError: `TaskManager` takes no `include_path`: an unknown version of the harness.
    """
    original = manager.TaskManager.__init__
    modules = ("lm_eval.tasks.manager", "lm_eval.tasks._index", "lm_eval.tasks")
    if getattr(original, "_tempo_lalm", False) or _served_upstream(
        "lm_eval.tasks", TASKS_ENTRY_POINT, (*modules, "lm_eval.api.registry")
    ):
        return
    signature = inspect.signature(original)
    if "include_path" not in signature.parameters:
        raise RuntimeError(f"lm_eval's TaskManager{signature} takes no include_path")

    @functools.wraps(original)
    def wrapper(self: object, *args: object, **kwargs: object) -> None:
        try:
            call = signature.bind(self, *args, **kwargs)
            theirs = call.arguments.get("include_path")
            call.arguments["include_path"] = _with_ours(theirs)
        except Exception as error:
            if not isinstance(error, TypeError):  # a wrong call: the harness says so itself, below
                warn(error)
            original(self, *args, **kwargs)
            return
        original(*call.args, **call.kwargs)
        self.include_path = theirs  # type: ignore[attr-defined]

    wrapper._tempo_lalm = True  # type: ignore[attr-defined]
    manager.TaskManager.__init__ = wrapper


def _with_ours(theirs: object) -> list[object]:
    """`include_path` with our folder first; unchanged in order where the caller has it already."""
    ours = str(task_yamls_dir())
    paths = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs] if theirs else []
    here = os.path.realpath(ours)
    return paths if any(os.path.realpath(str(p)) == here for p in paths) else [ours, *paths]


def _served_upstream(group: str, name: str, modules: Sequence[str]) -> bool:
    """Whether the harness reads the entry-point group `group` itself and will find `name` in it.

    It reads it if its own code (not its comments) has the group's name as a constant and calls
    `entry_points`. That is not enough for us to leave: the entry point must be installed, and that
    of the tasks, a folder, must lead somewhere (in an editable install it lies elsewhere).
    """
    constants: set[object] = set()
    names: set[str] = set()
    for module in modules:
        for code in _code_objects(module):
            constants.update(c for c in code.co_consts if isinstance(c, str))
            names.update(code.co_names)
    if group not in constants or "entry_points" not in names:
        return False
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    found = entry_points(group=group, name=name)
    return any(":" in entry.value or find_spec(entry.value) is not None for entry in found)


def _code_objects(module: str) -> Iterator[CodeType]:
    """All code objects of an importable module, read anew by its loader; none if it cannot."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    get_code = getattr(getattr(spec, "loader", None), "get_code", None)
    top = get_code(module) if get_code else None
    stack = [top] if top else []
    while stack:
        code = stack.pop()
        yield code
        stack.extend(c for c in code.co_consts if hasattr(c, "co_consts"))
