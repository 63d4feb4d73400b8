"""Whether letters can be told apart, and whether keywords and options are found in real prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tempo_attn.prompts.decoded_text import PromptText
from tempo_attn.prompts.positions import Prompt
from tempo_tasks.doctor.diagnosis import Outcome, Segment, failed, passed
from tempo_tasks.doctor.examination import Examination
from tempo_tasks.questions.questions import LETTERS, Kind


def letters_told_apart(exam: Examination) -> Outcome:
    """Check that the four letters begin with four different tokens behind a prompt."""
    shown = []
    for number in range(len(exam.documents)):
        prompt, _ = exam.row(number)
        tokens = {letter: exam.lm.continuation(prompt, letter) for letter in LETTERS}
        first = {letter: ids[0] for letter, ids in tokens.items() if ids}
        shown = [f"{letter} = {token}" for letter, token in first.items()]
        if len(set(first.values())) < len(LETTERS):
            return failed(
                f"the letters begin with the tokens {', '.join(shown)}: the first token does not "
                "tell them apart"
            )
    n_tokens = max(len(ids) for ids in tokens.values())
    return passed(f"first tokens {', '.join(shown)}", tokens_in_a_letter=n_tokens)


def rows_found(exam: Examination) -> Outcome:
    """Check that keyword and option rows are found in an EO, an LO and an LD prompt.

    They are looked for as an edit in the harness does (in the prompt alone), and as the laboratory
    does (given the question's and the options' exact words), which must agree.
    """
    numbers: dict[str, int] = {}
    batch = exam.subject.read(exam.items)
    for number, document in enumerate(exam.documents):
        kind = Kind(document["kind"])
        prompt = exam.positions(exam.inputs([exam.row(number)]))
        text = read_text(exam, prompt)
        wanted = {"keyword": [kind.keyword], "option": list(document["options"])}
        for name, words in wanted.items():
            rows = exam.found_rows(prompt, name)[0]
            said = _runs(text, rows.nonzero()[:, 0].tolist())
            missing = [word for word in words if not any(word in run for run in said)]
            if missing:
                return failed(
                    f"{name} rows of the {kind.name} prompt say {said}; expected {words}", **numbers
                )
            in_batch = batch.rows((name,))[number][batch.real[number]]
            if not torch.equal(rows[prompt.real[0]], in_batch):
                return failed(
                    f"the {name} rows of the {kind.name} prompt are others where its question and "
                    "options are stated than where they are looked for",
                    **numbers,
                )
            numbers[f"{kind.value}_{name}_rows"] = int(rows.sum())
    each = ", ".join(
        f"{kind.name} {numbers[f'{kind.value}_keyword_rows']} + "
        f"{numbers[f'{kind.value}_option_rows']}"
        for kind in Kind
    )
    return passed(f"keyword + option rows: {each}", **numbers)


def marked_prompt(exam: Examination, number: int = 0) -> list[Segment]:
    """Return a real prompt in stretches: audio, keyword, options, the last row, other text.

    Args:
        exam: The examination.
        number: 0 for EO, 1 for LO, 2 for LD.

    Raises:
        PositionError: Keyword or options are not found.
    """
    prompt = exam.positions(exam.inputs([exam.row(number)]))
    text = read_text(exam, prompt)
    roles = ["text"] * len(text.starts)
    for name in ("keyword", "option", "last"):
        for row in exam.found_rows(prompt, name)[0].nonzero()[:, 0].tolist():
            roles[row] = name
    special = torch.stack(list(prompt.spans.values())).any(0)[0]
    for row in special.nonzero()[:, 0].tolist():
        roles[row] = "audio"
    segments: list[Segment] = []
    for row in prompt.real[0].nonzero()[:, 0].tolist():
        said = "" if roles[row] == "audio" else text.text[text.starts[row] : text.ends[row]]
        shared = row > 0 and text.starts[row] == text.starts[row - 1]
        said = "" if shared else said  # tokens that share a character share its span
        if segments and segments[-1].role == roles[row]:
            before = segments.pop()
            said, n_positions = before.text + said, before.n_positions + 1
        else:
            n_positions = 1
        segments.append(Segment(said, roles[row], n_positions))
    return segments


def read_text(exam: Examination, prompt: Prompt) -> PromptText:
    """Return the text of a single prompt, with its audio and padding left out."""
    assert prompt.ids is not None, "prompts of these models have no ids"
    skip = ~prompt.real | torch.stack(list(prompt.spans.values())).any(0)
    return exam.reader.read(prompt.ids[0].tolist(), skip[0].tolist())


def _runs(text: PromptText, rows: Sequence[int]) -> list[str]:
    """Return what neighbouring rows say together."""
    runs: list[tuple[int, int]] = []
    before = -2
    for row in rows:
        if row == before + 1:
            runs[-1] = (runs[-1][0], text.ends[row])
        else:
            runs.append((text.starts[row], text.ends[row]))
        before = row
    return [text.text[start:end].strip() for start, end in runs]
