"""The explicit way to make `lm_eval` know the model `lalm` and the `tempo_*` tasks.

After a normal installation nothing has to be called: a small start-up module does it (see
`_tempo_lalm_autoload`). Call `register()` where that module does not run: with
`TEMPO_NO_AUTOLOAD=1`, under `python -S`, after `pip install --target`, or from a checkout that is
only on `PYTHONPATH`. `python -m tempo_tasks` calls it.

Example:
    >>> from tempo_tasks.harness.autoload import register
    >>> register()
    >>> import lm_eval
    >>> lm_eval.simple_evaluate(model="lalm", tasks=["tempo_synth_eo_aqa"])  # doctest: +SKIP
"""

from pathlib import Path

import _tempo_lalm_autoload as shim
from tempo_tasks.paths import task_yamls_dir

__all__ = ["register"]


def register() -> Path:
    """Adds the model and the tasks to `lm_eval` in this process. Safe to call again.

    The start-up module turns faults into warnings; here, where you asked for it, they are raised.

    Returns:
        The folder of the task files that are now indexed.

    Raises:
        ImportError: lm_eval is not installed, or older than 0.4.13.
        RuntimeError: lm_eval's `TaskManager` is not one that this release knows.
        DataUnavailableError: (also a FileNotFoundError) The task files are missing.
    """
    import lm_eval.models
    import lm_eval.tasks.manager

    folder = task_yamls_dir()
    shim.add_model(lm_eval.models)
    shim.add_tasks(lm_eval.tasks.manager)
    return folder
