"""Tasks to items: what the laboratory asks the model is what the harness asks it."""

import copy

import lm_eval
import pytest
import torch

from tempo_attn.errors import OptionError
from tempo_attn.lab.engine.model_under_study import ModelUnderStudy
from tempo_tasks.errors import AudioNotFoundError, BadClipsError
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.task_index import asked_tasks
from tempo_tasks.lab import tasks_to_items as lab
from tempo_tasks.lab.settings import Settings
from tempo_tasks.lab.study import Study
from tempo_tasks.questions.questions import LETTERS
from tests.support.released_layout import released_rows, write_layout

SCENES = {"synth_scenes": 4}


@pytest.fixture(scope="module")
def lm():
    return LALM(batch_size=4)


@pytest.fixture(scope="module")
def load():
    """Tasks by name, each loaded once."""
    loaded = {}

    def tasks(*names):
        missing = [name for name in names if name not in loaded]
        if missing:
            loaded.update(lab.load_tasks(missing, SCENES))
        return {name: loaded[name] for name in names}

    return tasks


def in_the_harness(lm, tasks):
    """The samples that lm_eval writes, by task."""
    results = lm_eval.evaluate(lm=lm, task_dict=dict(tasks), bootstrap_iters=0)
    return {
        name: sorted(samples, key=lambda sample: sample["doc_id"])
        for name, samples in results["samples"].items()
    }


# ------------------------------------------------------------------------------ the same question


@pytest.mark.parametrize(
    "name", ["tempo_synth_eo_aqa", "tempo_synth_lo_acqa", "tempo_synth_ld_silence"]
)
def test_the_letters_logits_are_the_harness_log_probabilities(lm, load, name):
    """Logits differ from log-probabilities by one number for all letters of an item."""
    items = lab.make_items(lm, load(name))
    subject = ModelUnderStudy(
        lm.model, lambda batch: lab.prepare(lm, batch), tokenizer=lm.tokenizer
    )
    with subject.studied():
        batch = subject.read(items)
        logits = subject.candidate_logits(subject.call(batch), batch)
    twin = f"{name}_ll"
    samples = in_the_harness(lm, load(twin))[twin]
    assert [item.id for item in items] == [
        f"{sample['doc']['id']}/{sample['doc']['condition']}" for sample in samples
    ]
    scores = torch.tensor(
        [[score for ((score, _),) in sample["resps"]] for sample in samples], dtype=torch.float32
    )
    centred = [part - part.mean(1, keepdim=True) for part in (logits, scores)]
    torch.testing.assert_close(*centred, atol=1e-4, rtol=1e-4)
    assert [LETTERS[item.answer] for item in items] == [s["doc"]["answer"] for s in samples]


def test_inputs_are_those_of_the_harness(lm, load, monkeypatch):
    """Every tensor that the model is called with, not only what comes of it."""
    items = lab.make_items(lm, load("tempo_synth_eo_aqa"))
    seen = []
    forward = lm.model.forward

    def watch(**inputs):
        seen.append(inputs)
        return forward(**inputs)

    in_the_harness(
        lm, load("tempo_synth_eo_aqa_ll")
    )  # the first run also asks whether the model hears
    monkeypatch.setattr(lm.model, "forward", watch)
    in_the_harness(lm, load("tempo_synth_eo_aqa_ll"))
    (theirs,) = seen
    by_length = sorted(items, key=lambda item: -item.length)
    ours = lab.prepare(lm, by_length)
    assert set(ours) == set(theirs)
    rows = {tuple(ids.tolist()): row for row, ids in enumerate(theirs["input_ids"])}
    order = [rows[tuple(ids.tolist())] for ids in ours["input_ids"]]
    for name, value in ours.items():
        assert torch.equal(value, theirs[name][order]), name


def test_generation_is_that_of_the_harness(lm, load):
    name = "tempo_synth_ld_aqa"
    items = lab.make_items(lm, load(name))
    samples = in_the_harness(lm, load(name))[name]
    texts = [sample["filtered_resps"][0].strip() for sample in samples]
    assert [LETTERS[answer] for answer in lab.generate(lm, items)] == texts


def test_what_an_item_knows(lm, load):
    tasks = load("tempo_synth_lo_aqa")
    document = tasks["tempo_synth_lo_aqa"].dataset["test"][0]
    item = lab.make_items(lm, tasks)[0]
    assert item.index == 0
    assert item.cluster == document["clip"]
    assert (item.kind, item.condition) == ("lo", "aqa")
    assert item.question == "Which sound event ends latest in the given audio?"
    assert list(item.options) == document["options"]
    assert item.options[item.answer] == document["answer_text"]
    assert [lm.tok_decode([token]) for token in item.candidates] == list(LETTERS)
    assert item.content[0].count("<|AUDIO|>") == 1


def test_rows_are_the_words_of_the_prompt(lm, load):
    """The keyword and the options of every item, read back from the token ids."""
    tasks = load("tempo_synth_eo_aqa", "tempo_synth_lo_aqa", "tempo_synth_ld_aqa")
    items = lab.make_items(lm, tasks)
    subject = ModelUnderStudy(
        lm.model, lambda batch: lab.prepare(lm, batch), tokenizer=lm.tokenizer
    )
    batch = subject.read(items)
    ids = batch.inputs["input_ids"]
    keywords = {"eo": "earliest", "lo": "latest", "ld": "longest"}
    for row, item in enumerate(items):
        words = lm.tokenizer.decode(ids[row][batch.rows(("keyword",))[row]])
        assert words.strip() == keywords[item.kind]
        words = lm.tokenizer.decode(ids[row][batch.rows(("option",))[row]])
        # A token may hold what stands beside a word: compare the letters alone.
        assert letters(words) == letters("".join(item.options))
        assert int(batch.audio[row].sum()) == 125


def letters(text):
    return "".join(filter(str.isalpha, text))


# ------------------------------------------------------------------------------ keys


def test_keys_are_unique_and_do_not_depend_on_the_run(lm, load):
    names = [
        f"tempo_synth_{kind}_{condition}"
        for kind in ("eo", "lo", "ld")
        for condition in ("aqa", "acqa", "silence")
    ]
    tasks = load(*names)
    items = lab.make_items(lm, tasks)
    assert [item.index for item in items] == list(range(len(items)))
    assert len({item.key for item in items}) == len(items) == 9 * 4
    backwards = {name: tasks[name] for name in reversed(names)}
    again = lab.make_items(lm, backwards, limit=3)
    keys = {item.id: item.key for item in items}
    assert {item.id: item.key for item in again}.items() <= keys.items()


def test_limit_takes_the_first_items_of_each_task(lm, load):
    tasks = load("tempo_synth_eo_aqa", "tempo_synth_lo_aqa")
    every = [item.id for item in lab.make_items(lm, tasks)]
    limited = [item.id for item in lab.make_items(lm, tasks, limit=1)]
    assert limited == [every[0], every[4]]
    assert [item.id for item in lab.make_items(lm, tasks, limit=100)] == every


def released_items(lm, folder):
    tasks = lab.load_tasks(["tempo_eo_aqa"], {"data": str(folder)})
    return {item.cluster: item for item in lab.make_items(lm, tasks)}


def test_a_key_changes_with_what_is_heard_and_with_the_right_answer(lm, tmp_path):
    rows = released_rows(3)
    first = released_items(lm, write_layout(tmp_path / "first", "csv", rows))
    moved = released_items(lm, write_layout(tmp_path / "moved", "csv", rows))
    names = sorted(first)
    assert [first[name].key == moved[name].key for name in names] == [True, True, True]
    changed = copy.deepcopy(rows)
    for row in changed:
        if row["filename"] == "00000.wav":  # another sound under the same name
            row["audio"] = next(r["audio"] for r in rows if r["filename"] == "00001.wav")
        if row["filename"] == "00002.wav":  # another right answer to the same question
            right = "BCDA"["ABCD".index(row["correct_answer"])]
            row["correct_answer"], row["correct_text"] = right, row[f"option_{right.lower()}"]
    second = released_items(lm, write_layout(tmp_path / "second", "csv", changed))
    assert [first[name].key == second[name].key for name in names] == [False, True, False]


# ------------------------------------------------------------------------------ what is refused


def no_model(*args, **kwargs):
    raise AssertionError("a model was loaded before the tasks were checked")


@pytest.mark.parametrize("name", ["tempo_synth_eo_cqa", "tempo_synth_cqa", "tempo_synth"])
def test_tasks_without_audio_are_refused_before_a_model_is_loaded(name, monkeypatch):
    monkeypatch.setattr("tempo_tasks.lab.study.LALM", no_model)
    message = r"task tempo_synth_eo_cqa gives no audio \(condition cqa\).*choose \*_aqa, \*_acqa"
    with pytest.raises(OptionError, match=message):
        Study(Settings(tasks=["tempo_synth_lo_aqa", name], metadata=SCENES))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["tempo_synth_eo"], r"unknown task 'tempo_synth_eo'\. Did you mean 'tempo_synth"),
        (["tempo_synth_eo_aqa", "tempo_synth_eo_aq"], r"'tempo_synth_eo_aq'\. Did .*_eo_aqa'"),
        (["tempo_synth_lo_slience"], r"Did you mean 'tempo_synth_lo_silence', .* or "),
        (["TEMPO_EO_AQA"], r"Did you mean 'tempo_eo_aqa'"),
        (["arc_easy"], r"unknown task 'arc_easy'\. `lm_eval ls tasks` lists all of them"),
        ([], "no task is named; expected such as tempo_synth_eo_aqa"),
    ],
)
def test_unknown_tasks_are_refused_with_the_nearest_there_are(names, message, monkeypatch):
    monkeypatch.setattr("tempo_tasks.lab.study.LALM", no_model)
    for load in (
        lambda: Study(Settings(tasks=names, metadata=SCENES)),
        lambda: lab.load_tasks(names, SCENES),
    ):
        with pytest.raises(OptionError, match=message) as caught:
            load()
        assert len(str(caught.value)) < 250  # not all 470


def test_what_tasks_ask_is_known_without_loading_them():
    asked = asked_tasks(["tempo_hard_aqa", "tempo_eo_silence_ll", "tempo_lo_mirror"])
    assert {name: (what.kind.value, *sorted(what.conditions)) for name, what in asked.items()} == {
        "tempo_hard_eo_aqa": ("eo", "aqa"),
        "tempo_hard_lo_aqa": ("lo", "aqa"),
        "tempo_hard_ld_aqa": ("ld", "aqa"),
        "tempo_eo_silence_ll": ("eo", "silence"),
        "tempo_lo_mirror": ("lo", "aqa", "mirror"),
    }


def test_a_group_gives_its_tasks_once():
    names = ["tempo_synth_lo_aqa", "tempo_synth_aqa"]
    assert sorted(lab.load_tasks(names, SCENES)) == [
        "tempo_synth_eo_aqa",
        "tempo_synth_ld_aqa",
        "tempo_synth_lo_aqa",
    ]


def test_the_same_items_twice_are_refused(lm, load):
    """A task and its twin by likelihood pose the same questions."""
    tasks = load("tempo_synth_eo_aqa", "tempo_synth_eo_aqa_ll")
    message = "tasks tempo_synth_eo_aqa and tempo_synth_eo_aqa_ll hold the same items"
    with pytest.raises(OptionError, match=message):
        lab.make_items(lm, tasks)


def test_missing_clips_are_named_before_anything_is_computed(lm, tmp_path):
    folder = write_layout(tmp_path / "data", "csv", released_rows(3))
    tasks = lab.load_tasks(["tempo_eo_aqa"], {"data": str(folder)})
    (folder / "audio" / "00001.wav").unlink()
    with pytest.raises(AudioNotFoundError, match=r"00001\.wav"):
        lab.make_items(lm, tasks)
    assert len(lab.make_items(lm, tasks, limit=1)) == 1  # what is not asked for is not needed
    (folder / "audio" / "00002.wav").unlink()
    with pytest.raises(BadClipsError, match=r"(?s)00001\.wav.*00002\.wav"):
        lab.make_items(lm, tasks)


def test_letters_with_one_first_token_are_refused(lm, load, monkeypatch):
    """A tokenizer that writes " (" before every letter, say."""
    monkeypatch.setattr(lm, "continuation", lambda prompt, text: (7, ord(text)))
    with pytest.raises(OptionError, match=r"'B' begins with tokens \[7\], which another letter"):
        lab.make_items(lm, load("tempo_synth_eo_aqa"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, "limit must be 1 or more; found 0"),
        ({"batch_size": 0}, "batch_size must be 1 or more; found 0"),
        ({"memory": 0}, "memory must be 1 or more; found 0"),
        ({"model_args": {"attn_scale": "folder"}}, "puts its own edits on a plain model"),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(OptionError, match=message):
        Study(Settings(tasks=["tempo_synth_eo_aqa"], metadata=SCENES, **settings))
