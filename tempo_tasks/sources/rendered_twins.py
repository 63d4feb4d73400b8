"""Mirrored twins that lie beside the clips of a folder, named by its table `mirror.csv`.

Each row names a clip and its twin: the same events in reversed order, rendered anew, every sound
forward. `tempo data render` writes both. Where there is such a table, nothing is played backwards.
"""

from __future__ import annotations

from pathlib import Path

from tempo_tasks.audio import Handle
from tempo_tasks.errors import BadTableError, MissingIntervalsError
from tempo_tasks.questions.events import Clip
from tempo_tasks.questions.mirror import MirrorSet, mirror_set, opposite
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import Question, right_event
from tempo_tasks.sources.clip_audio import audio_of_row
from tempo_tasks.sources.clip_tables import filename_problem, rows_by_filename
from tempo_tasks.sources.synth.mirrored_scenes import FORM
from tempo_tasks.sources.synth.scene import MARGIN

MIRROR = "mirror.csv"
TWIN = "twin"


def find_twins(folder: Path) -> dict[str, str]:
    """Return the twin of each clip, by filename; none where the folder has no such table.

    Raises:
        DataVersionError: Other columns.
        BadTableError: Rows that cannot be; all are listed.
    """
    file = folder / MIRROR
    if not file.is_file():
        return {}
    rows, _ = rows_by_filename(file, (TWIN,))
    bad = [f"row {number}" for number, row in rows.values() if filename_problem(row[TWIN])]
    if bad:
        raise BadTableError(f"{file}: {', '.join(bad)}: the twin is no plain filename")
    return {name: row[TWIN] for name, (_, row) in rows.items()}


def beside_twins(
    asked: QuestionSet, twins: dict[str, str], folder: Path, clips: dict[str, Clip]
) -> MirrorSet:
    """Return questions beside those about their rendered twins.

    Args:
        asked: EO or LO questions.
        twins: Name of each clip's twin.
        folder: Where the audio lies.
        clips: Events of the twins, by name.

    Raises:
        NoMirrorError: LD, or no question has a twin.
        MissingIntervalsError: The events of a twin are not known.
        AudioNotFoundError: The audio of a twin is missing.
    """
    kind = asked.questions[0].kind
    opposite(kind)
    unknown = sorted({q.clip_id for q in asked.questions if twins.get(q.clip_id) not in clips})
    if unknown:
        raise MissingIntervalsError(
            f"{asked.name}: {MIRROR} or the intervals lack the twin of {len(unknown)} clips, such "
            f"as {unknown[0]}; render the folder again"
        )

    def twin_label(question: Question) -> str | None:
        right = right_event(clips[twins[question.clip_id]], kind, MARGIN)
        return None if right is None else right.label

    audio: dict[str, Handle] = {
        clip_id: audio_of_row({}, twins[clip_id], folder.absolute())
        for clip_id in sorted({question.clip_id for question in asked.questions})
    }
    return mirror_set(asked, twin_label, audio, FORM)
