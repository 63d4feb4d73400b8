"""Has `lm_eval` learn the model `lalm` and the `tempo_*` tasks. Runs at every interpreter start.

lm-evaluation-harness 0.4.13 looks for no plugins: neither `--model lalm` nor `--tasks tempo_eo_aqa`
would be found after a plain `pip install`. So `tempo_lalm.pth` (and `tempo_lalm.start`, for
Python 3.15 and later) calls `install()`, which puts one finder on `sys.meta_path`. It finds nothing
itself: after two modules of the harness have been executed, it calls the function that
`tempo_tasks.harness.lm_eval_registration` has for them. Nothing of ours is imported before that.

Rules of this file: small, stdlib only, and no import but `os` and `sys` (not even `typing` or
`__future__`: each costs more than all of this); it never raises, a fault is a warning;
`TEMPO_NO_AUTOLOAD=1` switches it off.
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take the name for typing.TYPE_CHECKING, at no cost
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

OPT_OUT = "TEMPO_NO_AUTOLOAD"
# After which module of the harness which function of ours is called (see above).
HOOKS = {"lm_eval.models": "add_model", "lm_eval.tasks.manager": "add_tasks"}
_said: "set[str]" = set()


def install() -> None:
    """Puts the finder on `sys.meta_path`, once. Never raises."""
    try:
        if not _opted_out() and not any(getattr(f, "_tempo_lalm", False) for f in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    except Exception as error:
        warn(error)


class _Finder:
    """Lets the other finders find a module of the harness and hangs a hook on its loader."""

    _tempo_lalm = True

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        hook = HOOKS.get(name)
        if hook is None:
            return None
        for finder in sys.meta_path:
            # Python 3.11 and earlier allow finders without find_spec.
            if hasattr(finder, "find_spec") and not getattr(finder, "_tempo_lalm", False):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    _run_after(spec, hook)
                    return spec
        return None


def _run_after(spec: "ModuleSpec", hook: str) -> None:
    """Has the function `hook` called once the module of `spec` is executed.

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
                    from tempo_tasks.harness import lm_eval_registration

                    getattr(lm_eval_registration, hook)(module)
            except Exception as error:
                warn(error)

        loader.exec_module = exec_module  # type: ignore[method-assign]
    except Exception as error:
        warn(error)


def _opted_out() -> bool:
    return os.environ.get(OPT_OUT, "") not in ("", "0")


def warn(error: Exception) -> None:
    """Says what went wrong, and how to go on, as a warning; the same only once."""
    text = (
        f"tempo-lalm could not add its model or tasks to lm_eval: {type(error).__name__}: {error}. "
        f"`python -m tempo_tasks run` works without this; {OPT_OUT}=1 switches it off."
    )
    if text in _said:
        return
    _said.add(text)
    try:
        import warnings

        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except Exception:  # warnings turned into errors: importing the harness must go on all the same
        sys.stderr.write(f"RuntimeWarning: {text}\n")
