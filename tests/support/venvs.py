"""Throw-away virtual environments that have our dependencies but not our project.

The dependencies are those of the interpreter that runs the tests, linked one by one into a folder
of their own and without anything that belongs to `tempo-lalm`: an installation of it, editable or
not, in the environment of the tests cannot leak into the throw-away one. No network is used.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tests.support.paths import ROOT

# Console scripts of dependencies: pip makes them only for what it installs itself.
SCRIPTS = {
    "lm_eval": "lm_eval.__main__:cli_evaluate",
    "lm-eval": "lm_eval.__main__:cli_evaluate",
    "accelerate": "accelerate.commands.accelerate_cli:main",
}


@dataclass(frozen=True)
class Env:
    """A virtual environment: its root and its site-packages."""

    root: Path
    site: Path

    @property
    def python(self) -> str:
        return str(self.root / "bin" / "python")

    def run(
        self, *command: str, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of this environment in an empty folder; its output is in the error."""
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        program = self.root / "bin" / command[0]
        done = subprocess.run(
            [str(program), *command[1:]],
            cwd=work,
            env={**_environ(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{command} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the tests' pip on this environment (it has none itself: that saves seconds)."""
        command = [sys.executable, "-m", "pip", "--python", self.python, *arguments]
        done = subprocess.run(
            command, env=_environ(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def listing(self) -> set[str]:
        """Every file and link of the environment, but not what the dependency links lead to."""
        found: set[str] = set()
        for folder, folders, files in os.walk(self.root):
            inside = Path(folder).relative_to(self.root)
            folders[:] = [name for name in folders if (inside / name) != Path("work")]
            found.update(str(inside / name) for name in files)
        return found


def make_env(root: Path) -> Env:
    """Makes an environment in `root` with the dependencies and without the project."""
    venv.create(root / "env", with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    env = Env(root / "env", root / "env" / "lib" / version / "site-packages")
    # The name matters: dill takes code outside a "site-packages" for the user's and pickles it all.
    links = root / "dependencies" / "site-packages"
    links.mkdir(parents=True)
    ours = _our_entries()
    for entry in (e for site in _sites() for e in site.iterdir()):
        link = links / entry.name
        if entry.name not in ours and entry.suffix != ".pth" and not link.exists():
            link.symlink_to(entry)
    # A plain path line: start-up files in the folder it names are not run.
    (env.site / "dependencies.pth").write_text(f"{links}\n")
    for name, target in SCRIPTS.items():
        module, function = target.split(":")
        script = env.root / "bin" / name
        script.write_text(f"#!{env.python}\nimport sys\nfrom {module} import {function}\n")
        with script.open("a") as file:
            file.write(f"sys.exit({function}())\n")
        script.chmod(0o755)
    return env


def clean_checkout(folder: Path) -> Path:
    """The committed files only, in `folder`; all files where there is no git repository."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    else:
        skip = shutil.ignore_patterns(".venv", "__pycache__", ".*_cache", "dist", "build")
        shutil.copytree(ROOT, folder, ignore=skip)
    return folder


def build_wheel(checkout: Path, folder: Path) -> Path:
    """Builds the source distribution, then the wheel from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "-o", str(folder), str(checkout)]
    subprocess.run(command, check=True, capture_output=True, env=_environ())
    (wheel,) = folder.glob("*.whl")
    return wheel


def _environ() -> dict[str, str]:
    """The environment without what would let Python or pip look elsewhere."""
    skip = ("PYTHON", "VIRTUAL_ENV", "TEMPO_", "PIP_REQUIRE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(skip)}
    # The tests check that nothing is fetched; a limit keeps two cores responsive.
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PIP_NO_INDEX": "1"}


def _sites() -> list[Path]:
    """The site-packages folders of the running interpreter, first wins."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path]
    names = ("site-packages", "dist-packages")
    return list(dict.fromkeys(Path(p) for p in paths if Path(p).name in names and Path(p).is_dir()))


def _our_entries() -> set[str]:
    """Top-level names in site-packages that belong to an installed tempo-lalm."""
    names = {"tempo_tasks", "tempo_attn", "_tempo_lalm_autoload.py", "_tempo_lalm.pth"}
    for dist in metadata.distributions(name="tempo-lalm"):
        names.update(file.parts[0] for file in dist.files or () if file.parts[0] != "..")
    return names - {"__pycache__"}
