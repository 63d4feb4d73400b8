"""Labels that sound alike to people: never two of them among the options of one question.

Otherwise a right answer would depend on whether a listener tells rain from frying, not on time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tempo_tasks.questions.spelling import plain_label
from tempo_tasks.sources.clip_tables import Faults, read_rows

# Of the labels of ESC-50, UrbanSound8K and their like. Ours: drawn up from what the labels mean and
# from the confusions that the data sets' papers report; `--alike FILE` replaces it.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("rain", "sea waves", "wind", "pouring water", "toilet flush", "crackling fire", "waves"),
    ("water drops", "pouring water", "drinking sipping"),
    ("thunderstorm", "thunder", "fireworks", "gun shot", "gunshot", "explosion"),
    (
        *("airplane", "helicopter", "engine", "engine idling", "train", "washing machine"),
        *(
            "vacuum cleaner",
            "air conditioner",
            "jet",
            "jet plane",
            "propeller",
            "propeller plane",
            "bus",
        ),
        *("truck", "car", "motorcycle", "tractor", "steam train"),
    ),
    (
        "chainsaw",
        "hand saw",
        "circular saw",
        "sawmill",
        "engine",
        "motorcycle",
        "drilling",
        "jackhammer",
    ),
    ("brushing teeth", "hand saw", "scratching"),
    ("insects", "crickets", "cricket"),
    ("chirping birds", "bird", "birds", "crow", "hen", "rooster", "seagull", "duck"),
    ("hen", "rooster", "duck", "goose", "turkey"),
    ("cow", "sheep", "goat", "pig", "horse"),
    ("mouse click", "keyboard typing", "clock tick", "water drops"),
    ("door wood knock", "footsteps", "hammering", "knock"),
    ("sneezing", "coughing", "cough", "sneeze"),
    ("breathing", "snoring"),
    ("laughing", "crying baby", "children playing"),
    ("clapping", "applause", "rain"),
    ("siren", "car alarm", "clock alarm", "factory whistle", "ship horn"),
    ("car horn", "ship horn", "ferry horn", "train horn", "factory whistle"),
    ("church bells", "level crossing", "level crossing bell", "cash register", "cash till"),
    ("glass breaking", "can opening"),
    ("crash", "falling tree", "explosion", "thunderstorm"),
    ("steam", "wind", "rain", "applause", "electric sparks"),
)


def built_in(labels: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, for each label, those that sound like it: by `GROUPS`, or by their words.

    A label whose words are all among another's ("bell" and "church bell") is taken to be alike.
    """
    known = sorted(set(labels))
    members = [frozenset(group) for group in GROUPS]
    words = {label: frozenset(plain_label(label).split()) for label in known}

    def alike(one: str, other: str) -> bool:
        first, second = words[one], words[other]
        if first <= second or second <= first:
            return True
        pair = {plain_label(one), plain_label(other)}
        return any(pair <= group for group in members)

    return {
        label: frozenset(other for other in known if other != label and alike(label, other))
        for label in known
    }


def read_groups(file: Path, labels: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, for each label, those that a CSV `label,group` puts into a group with it.

    A label may be in several groups, one row each; spelling counts without case and underscores.

    Raises:
        DataUnavailableError, DataVersionError: No such file, or other columns.
        BadTableError: A label that is none of the recordings', or an empty cell; all are listed.
    """
    spelled = {plain_label(label): label for label in labels}
    groups: dict[str, set[str]] = {}
    faults = Faults(file.name)
    for number, row in read_rows(file, ("label", "group")):
        label = spelled.get(plain_label(row["label"]))
        if label is None:
            faults.fault(number, repr(row["label"]), "no label of the recordings")
        elif not row["group"]:
            faults.fault(number, repr(row["label"]), "its group is empty")
        else:
            groups.setdefault(row["group"], set()).add(label)
    faults.refuse()
    return together(groups.values(), spelled.values())


def together(groups: Iterable[set[str]], labels: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, for each label, the others of its groups."""
    found: dict[str, set[str]] = {label: set() for label in labels}
    for group in groups:
        for label in group:
            found[label] |= group - {label}
    return {label: frozenset(others) for label, others in found.items()}


def none_alike(ordered: Iterable[str], alike: Mapping[str, frozenset[str]]) -> list[str]:
    """Return labels in order, without those that sound like an earlier one."""
    chosen: list[str] = []
    for label in ordered:
        if not alike.get(label, frozenset()).intersection(chosen):
            chosen.append(label)
    return chosen
