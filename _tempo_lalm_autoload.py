"""Makes `lm_eval` know the model `lalm` and the `tempo_*` tasks. Runs at every interpreter start.

lm-evaluation-harness 0.4.13 looks for no plugins: neither `--model lalm` nor `--tasks tempo_eo_aqa`
would be found after a plain `pip install`. So `tempo_lalm.pth` (and `tempo_lalm.start`, for
Python 3.15 and later) calls `install()`, which puts one finder on `sys.meta_path`. The finder finds
nothing itself. It runs a hook after two modules of the harness have been executed:

* `lm_eval.models`: the model is registered, by name, as a lazy target. Not earlier: the harness
  registers its own models only while the registry is empty, so the first to come hides `hf`.
* `lm_eval.tasks.manager`: `TaskManager` indexes our YAML files after the built-in ones and before
  those of `--include_path`, which therefore still win.

Rules of this file: stdlib only and no import but `os` and `sys` at the top (not even `typing` or
`__future__`: each costs more than the rest of the file); it never raises, a fault is a warning; it
stands aside where the harness reads our entry points itself; `TEMPO_NO_AUTOLOAD=1` switches it off.
Without it, `tempo_tasks.harness.autoload.register` does the same (`python -m tempo_tasks` uses it).
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take the name for typing.TYPE_CHECKING, at no cost
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

MODEL = "lalm"
MODEL_TARGET = "tempo_tasks.harness.lalm:LALM"
TASKS_ENTRY_POINT = "tempo"
OPT_OUT = "TEMPO_NO_AUTOLOAD"


def install() -> None:
    """Puts the finder on `sys.meta_path`, once. Never raises."""
    try:
        if not _opted_out() and not any(getattr(f, "_tempo_lalm", False) for f in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    except Exception as error:
        _warn(error)


def add_model(models: "ModuleType") -> None:
    """Registers `lalm` in the harness; a name that is taken is left alone.

    Args:
        models: The executed module `lm_eval.models`.
    """
    if _served_upstream("lm_eval.models", MODEL, ("lm_eval.api.registry", "lm_eval.models")):
        return
    from lm_eval.api.registry import model_registry

    if MODEL not in model_registry:
        model_registry.register(MODEL, target=MODEL_TARGET)


def add_tasks(manager: "ModuleType") -> None:
    """Makes `TaskManager` index our task files between the built-in ones and `include_path`.

    With `include_defaults=False` ours are indexed too, as upstream plans it for plugins.

    Args:
        manager: The executed module `lm_eval.tasks.manager`.

    Raises:
        RuntimeError: `TaskManager` takes no `include_path`: an unknown version of the harness.
    """
    import functools
    import inspect

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
                _warn(error)
            original(self, *args, **kwargs)
            return
        original(*call.args, **call.kwargs)
        self.include_path = theirs  # type: ignore[attr-defined]

    wrapper._tempo_lalm = True  # type: ignore[attr-defined]
    manager.TaskManager.__init__ = wrapper


class _Finder:
    """Lets the other finders find a module of the harness and hangs a hook on its loader."""

    _tempo_lalm = True

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        hook = _HOOKS.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            if not getattr(finder, "_tempo_lalm", False):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _run_after(spec, hook)
                    return spec
        return None


_HOOKS: "dict[str, Callable[[ModuleType], None]]" = {
    "lm_eval.models": add_model,
    "lm_eval.tasks.manager": add_tasks,
}


def _run_after(spec: "ModuleSpec", hook: "Callable[[ModuleType], None]") -> None:
    """Has `hook` called once the module of `spec` is executed.

    The loader keeps its type (others look at it): only this instance's method is replaced, and put
    back when it is used.
    """
    try:
        loader = spec.loader
        if loader is None or isinstance(loader, type):
            raise TypeError(f"{spec.name} has the loader {loader!r}, which cannot be hooked")
        execute = loader.exec_module

        def exec_module(module: "ModuleType") -> None:
            loader.__dict__.pop("exec_module", None)
            execute(module)
            try:
                if not _opted_out():
                    hook(module)
            except Exception as error:
                _warn(error)

        loader.exec_module = exec_module  # type: ignore[method-assign]
    except Exception as error:
        _warn(error)


def _with_ours(theirs: object) -> "list[object]":
    """`include_path` with our folder first; unchanged in order where the caller has it already."""
    from tempo_tasks.paths import task_yamls_dir

    ours = str(task_yamls_dir())
    paths = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs] if theirs else []
    here = os.path.realpath(ours)
    return paths if any(os.path.realpath(str(p)) == here for p in paths) else [ours, *paths]


def _served_upstream(group: str, name: str, modules: "Sequence[str]") -> bool:
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


def _code_objects(module: str) -> "Iterator[CodeType]":
    """All code objects of an importable module, read anew by its loader; none if it cannot."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    get_code = getattr(getattr(spec, "loader", None), "get_code", None)
    top = get_code(module) if get_code else None
    stack = [top] if top else []
    while stack:
        code = stack.pop()
        yield code
        stack.extend(c for c in code.co_consts if hasattr(c, "co_consts"))


def _opted_out() -> bool:
    return os.environ.get(OPT_OUT, "") not in ("", "0")


def _warn(error: Exception) -> None:
    text = (
        f"tempo-lalm could not add its model or tasks to lm_eval: {type(error).__name__}: {error}. "
        f"`python -m tempo_tasks run` works without this; {OPT_OUT}=1 switches it off."
    )
    try:
        import warnings

        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except Exception:  # warnings turned into errors: importing the harness must go on all the same
        sys.stderr.write(f"RuntimeWarning: {text}\n")
