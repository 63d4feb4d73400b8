"""Where the files that are no Python code lie: one answer for a wheel and for a checkout.

A wheel has the task files in the package (`tempo_tasks/task_yamls`); a checkout, and so an editable
install, has them next to it (`task_yamls`). Imports nothing heavy: `lm_eval ls tasks` asks here.
"""

from pathlib import Path

__all__ = ["task_yamls_dir"]


def task_yamls_dir() -> Path:
    """Returns the folder of the task YAML files, as an absolute path.

    Raises:
        TaskFilesMissingError: (also a FileNotFoundError) Neither place has it: a broken install.
    """
    package = Path(__file__).absolute().parent
    places = (package / "task_yamls", package.parent / "task_yamls")
    for folder in places:
        if folder.is_dir():
            return folder
    # Imported late: the error root lives in a package that may import torch.
    from tempo_tasks.errors import TaskFilesMissingError

    raise TaskFilesMissingError(
        f"the task files of tempo-lalm are missing: looked for {places[0]} (installed) and "
        f"{places[1]} (checkout). Reinstall with `pip install --force-reinstall tempo-lalm`."
    )
