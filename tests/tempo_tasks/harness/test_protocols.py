"""Rotations, phrasings, option texts, strata and hard sets, through the harness."""

import functools
import hashlib
import itertools
import json
import re
import subprocess
import sys

import lm_eval
import pytest
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

from tempo_attn.errors import OptionError
from tempo_attn.lab.items import Item
from tempo_attn.prompts.decoded_text import TextReader
from tempo_attn.prompts.keyword_and_option_rows import keyword_rows, option_spans
from tempo_attn.prompts.option_lists import option_blocks
from tempo_tasks.errors import PromptError
from tempo_tasks.harness import task as task_module
from tempo_tasks.harness.documents import rotate, to_documents
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.lab import tasks_to_items as lab
from tempo_tasks.paths import task_yamls_dir
from tempo_tasks.prompts import CAPTION_PLACES, VARIANTS, PromptStyle
from tempo_tasks.questions.conditions import SUITE, Condition
from tempo_tasks.questions.question_set import QuestionSet
from tempo_tasks.questions.questions import LETTERS, Kind, Question
from tempo_tasks.questions.strata import strata_of
from tempo_tasks.scoring import parse_answer
from tests.support.released_layout import released_rows, write_layout

SCENES, QUARTETS = 6, 3
DATA = {"synth_scenes": SCENES, "synth_quartets": QUARTETS}
# Gold: what the harness keys its caches by. Answers of an earlier release must be found again.
GOLDEN_REQUESTS = {
    "tempo_synth_eo_aqa": "5e0d5b6ff3d3ab24",
    "tempo_synth_eo_aqa_ll": "104da86027824231",
    "tempo_synth_eo_acqa": "ed9e4de9e9a4364a",
    "tempo_synth_eo_acqa_ll": "2b99681176d6b244",
}
GOLDEN_FINGERPRINT = "17e3713b4853ab46"


@pytest.fixture(autouse=True)
def no_environment_report(monkeypatch):
    """The harness asks pip for all packages in each run: most of the time that these would take."""
    monkeypatch.setattr("lm_eval.evaluator.add_env_info", lambda results: None)


@functools.cache
def _manager(metadata):
    return TaskManager(
        include_defaults=False, include_path=task_yamls_dir(), metadata=json.loads(metadata)
    )


def manager(**metadata):
    return _manager(json.dumps({**DATA, **metadata}))


def load(name, **metadata):
    return manager(**metadata).load([name])["tasks"][name]


def evaluate(model, tasks, limit=None, **metadata):
    return lm_eval.simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=manager(**metadata),
        limit=limit,
        bootstrap_iters=1,
    )


class Answering(LM):
    """A model that is a function from a document to a letter or an option's text."""

    MULTIMODAL = True

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def generate_until(self, requests):
        return [self.answer(request.doc) for request in requests]

    def loglikelihood(self, requests):
        hits = [request.args[1] == self.answer(request.doc) for request in requests]
        return [(-1.0 if hit else -9.0, hit) for hit in hits]

    def loglikelihood_rolling(self, requests):
        raise NotImplementedError


KNOWS = Answering(lambda doc: doc["answer"])
KNOWS_TEXT = Answering(lambda doc: doc["answer_text"])
FIXED = Answering(lambda doc: "C")
PRESENT = Answering(lambda doc: sorted(doc["options"])[0])  # goes by the text alone


# What was is still there


def test_requests_and_fingerprints_of_the_first_tasks_are_what_they_were():
    for name, golden in GOLDEN_REQUESTS.items():
        task = load(name)
        task.build_all_requests(limit=None, rank=0, world_size=1)
        asked = []
        for request in task.instances:
            context, how, media = request.args
            handles = [{k: v for k, v in h.items() if k != "path"} for h in media["audio"]]
            asked.append([context, how, {"audio": handles}])
        assert hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16] == golden, name
        assert task.config.metadata["data_fingerprint"].startswith(GOLDEN_FINGERPRINT)


@pytest.mark.parametrize("way", ["", "_ll"])
def test_the_first_prompt_task_asks_what_the_plain_one_asks(way):
    plain, first = (load(f"tempo_synth_lo_acqa{tail}{way}") for tail in ("", "_prompt1"))
    assert list(plain.test_docs()) == list(first.test_docs())
    assert plain.config.metadata["prompt_version"] == first.config.metadata["prompt_version"]


# Documents


def test_documents_know_their_strata_and_clusters():
    questions = task_module.load_questions("synth", Kind.LD, DATA)
    assert set(questions.clips) >= {question.clip_id for question in questions.questions}
    for question, doc in zip(
        questions.questions, to_documents(questions, Condition.AQA), strict=True
    ):
        known = strata_of(question, questions.clips[question.clip_id])
        assert known.margin is not None
        for name in ("n_present", "margin", "overlap", "n_intervals"):
            assert doc[name] == getattr(known, name)
        assert (doc["cluster"], doc["clip"], doc["group"]) == (doc["clip"], question.clip_id, "")
        assert (doc["rotation"], doc["prompt_variant"], doc["pair"]) == (0, 1, "")


def test_what_is_not_known_is_null():
    question = Question("c/eo", "c", Kind.EO, ("Rain", "Siren", "Wind", "Piano"), "B")
    bare = QuestionSet("bare", (question,), {"c": {"sha256": "0", "silence": False}}, {})
    (doc,) = to_documents(bare, Condition.AQA)
    assert {doc[name] for name in ("n_present", "margin", "overlap", "n_intervals")} == {None}
    results = evaluate(KNOWS, ["tempo_synth_eo_aqa"])["results"]["tempo_synth_eo_aqa"]
    assert results["acc_temporal,none"] == 1.0


def test_rotation_moves_the_first_options_after_the_others():
    question = Question("c/eo", "c", Kind.EO, ("Rain", "Siren", "Wind", "Piano"), "B", 2, "g")
    assert rotate(question, 0) == question
    moved = rotate(question, 1)
    assert (moved.options, moved.answer) == (("Siren", "Wind", "Piano", "Rain"), "A")
    assert rotate(question, 3).options == ("Piano", "Rain", "Siren", "Wind")
    assert {rotate(question, by).answer for by in range(4)} == set(LETTERS)
    for by in range(4):
        turned = rotate(question, by)
        assert turned.answer_text == "Siren"
        assert (turned.id, turned.n_present, turned.group) == ("c/eo", 2, "g")


def test_rotated_documents_are_neighbours_and_differ_in_order_alone():
    task, plain = load("tempo_synth_eo_acqa_rot"), load("tempo_synth_eo_acqa")
    documents, originals = list(task.test_docs()), list(plain.test_docs())
    assert len(documents) == 4 * len(originals)
    for number, original in enumerate(originals):
        four = documents[4 * number : 4 * number + 4]
        assert four[0] == original
        assert [doc["rotation"] for doc in four] == [0, 1, 2, 3]
        assert {doc["answer"] for doc in four} == set(LETTERS)
        assert len({doc["prompt"] for doc in four}) == 4
        for doc in four:
            assert doc["options"][LETTERS.index(doc["answer"])] == original["answer_text"]
            for same in ("id", "cluster", "audio", "margin", "answer_text"):
                assert doc[same] == original[same]
    fingerprints = {t.config.metadata["data_fingerprint"] for t in (task, plain)}
    assert len(fingerprints) == 1


# Scores of models that are known


@pytest.mark.parametrize("way", ["", "_ll"])
@pytest.mark.parametrize(
    ("model", "acc", "consistency", "every", "bias"),
    [(KNOWS, 1.0, 1.0, 1.0, 0.0), (FIXED, 0.25, 0.0, 0.0, (3 / 16) ** 0.5)],
    ids=["knows", "fixed"],
)
def test_rotations_tell_knowledge_from_a_letter(way, model, acc, consistency, every, bias):
    name = f"tempo_synth_eo_aqa_rot{way}"
    score = evaluate(model, [name])["results"][name]
    assert score["acc,none"] == acc
    assert score["consistency,none"] == consistency
    assert score["acc_all,none"] == every
    assert score["letter_bias,none"] == pytest.approx(bias)
    # Four rotations of a question are one cluster: here none differs from another.
    assert score["acc_stderr,none"] == score["consistency_stderr,none"] == 0.0
    assert score["acc_chance_corrected,none"] == pytest.approx((acc - 0.25) / 0.75)


def test_an_answer_by_the_options_text_is_consistent_and_not_right():
    name = "tempo_synth_eo_aqa_rot"
    score = evaluate(PRESENT, [name])["results"][name]
    assert score["consistency,none"] == 1.0
    assert score["acc,none"] == score["acc_all,none"] < 1.0


@pytest.mark.parametrize(("limit", "whole"), [(3, False), (4, True), (7, True)])
def test_a_question_that_the_limit_cuts_does_not_count(limit, whole):
    name = "tempo_synth_eo_aqa_rot"
    group = "tempo_synth_aqa_rot"
    results = evaluate(KNOWS, [group], limit=limit)["results"]
    json.dumps(results, allow_nan=False)
    for found in (results[name], results[group]):
        assert found["acc,none"] == 1.0
        assert found["consistency,none"] == found["acc_all,none"] == (1.0 if whole else "N/A")
        assert found["consistency_stderr,none"] == "N/A"  # one question


def test_option_texts_are_asked_as_they_are():
    name = "tempo_synth_lo_aqa_text"
    results = evaluate(KNOWS_TEXT, [name])
    score = results["results"][name]
    assert score["acc,none"] == score["acc_norm,none"] == 1.0
    assert score["acc_norm_stderr,none"] == 0.0
    plain = list(load("tempo_synth_lo_aqa").test_docs())
    for doc, sample in zip(plain, results["samples"][name], strict=True):
        assert sample["doc"] == doc
        assert [arguments[1] for arguments in sample["arguments"]] == doc["options"]
        assert sample["target"] == doc["answer_text"]


def test_a_real_model_scores_option_texts_token_by_token(lalm):
    """`acc` and `acc_norm` of the harness equal those of one forward for each option."""
    import torch

    name = "tempo_synth_ld_acqa_text"
    results = evaluate(lalm, [name], limit=3)
    for sample in results["samples"][name]:
        options, scores = sample["doc"]["options"], []
        for arguments, response in zip(sample["arguments"], sample["filtered_resps"], strict=True):
            prompt = lalm.render(arguments[0], arguments[2]["audio"])
            tokens = lalm.continuation(prompt, arguments[1])
            assert len(tokens) > 1
            inputs = lalm.inputs([prompt + arguments[1]], [lalm.waves(arguments[2]["audio"])])
            assert tuple(inputs["input_ids"][0, -len(tokens) :].tolist()) == tokens
            with torch.inference_mode():
                logits = lalm.model(**inputs).logits[0, -len(tokens) - 1 : -1].log_softmax(-1)
            total = float(logits.gather(-1, torch.tensor(tokens)[:, None]).sum())
            assert response[0] == pytest.approx(total, abs=1e-3)
            scores.append(total)
        best = max(range(4), key=lambda i: scores[i])
        normed = max(range(4), key=lambda i: scores[i] / len(options[i]))
        right = LETTERS.index(sample["doc"]["answer"])
        assert (sample["acc"], sample["acc_norm"]) == (float(best == right), float(normed == right))


# Phrasings


@pytest.fixture(scope="module")
def embedded():
    return LALM(batch_size=4)


CAPTION = 'A bell, then rain: the latest is the longest. By A. Smith and B. Jones ("earliest").'
ASKING = "Which is the longest, and which the earliest? A bell, then rain."
NAMES = ("Rain", "Dog Barking", "Stream_River", "Piano")


@pytest.mark.parametrize(
    ("variant", "place", "caption"),
    [
        *itertools.product(VARIANTS, CAPTION_PLACES, [CAPTION]),
        # A question about time after the options could be the question: refused, not guessed.
        *itertools.product(VARIANTS, ["before"], [ASKING]),
    ],
)
def test_keyword_and_options_are_found_in_every_phrasing(embedded, variant, place, caption):
    reader = TextReader(embedded.tokenizer)
    for kind, condition in itertools.product(Kind, SUITE):
        question = Question("c/q", "c", kind, NAMES, "B")
        audio = {"c": {"sha256": "0", "silence": False}}
        asked = QuestionSet("bare", (question,), audio, {"c": caption})
        style = PromptStyle(variant, place)
        (doc,) = to_documents(asked, condition, style=style)
        assert doc["prompt_variant"] == variant
        handles = [{}] * condition.has_audio
        ids = embedded.tokenizer(embedded.render(doc["prompt"], handles))["input_ids"]
        prompt = reader.read(ids, [False] * len(ids))
        rows = keyword_rows(prompt, [k.keyword for k in Kind])
        word = prompt.text[prompt.starts[rows[0]] : prompt.ends[rows[-1]]]
        assert word.strip() == kind.keyword
        assert rows == keyword_rows(prompt, [kind.keyword], question=kind.text)
        for spans in (option_spans(prompt), option_spans(prompt, question=kind.text)):
            assert tuple(prompt.text[slice(*span)] for span in spans) == NAMES


def test_a_model_runs_on_every_phrasing_and_the_group_is_their_mean(embedded):
    group = "tempo_synth_eo_aqa_prompts_ll"
    results = evaluate(embedded, [group], limit=4)
    names = [f"tempo_synth_eo_aqa_prompt{number}_ll" for number in VARIANTS]
    versions = [results["configs"][name]["metadata"]["prompt_version"] for name in names]
    first = "tempo-prompt-1"
    assert versions == [first, f"{first}/variant-2", f"{first}/variant-3"]
    mean = sum(results["results"][name]["acc,none"] for name in names) / 3
    assert results["results"][group]["acc,none"] == pytest.approx(mean)
    prompts = [results["samples"][name][0]["arguments"][0][0] for name in names]
    assert len(set(prompts)) == 3


def test_where_and_how_a_caption_is_given_is_recorded():
    default = load("tempo_synth_eo_cqa").config.metadata
    assert (default["caption_place"], default["caption_wording"]) == ("before", "Audio caption: {}")
    task = load("tempo_synth_eo_cqa_prompt2", caption_place="after", caption_wording="You hear: {}")
    found = task.config.metadata
    assert (found["caption_place"], found["caption_wording"]) == ("after", "You hear: {}")
    doc = next(iter(task.test_docs()))
    assert re.search(r"\n\(D\) .*\nYou hear: .*\nAnswer:\Z", doc["prompt"])
    assert "caption_place" not in load("tempo_synth_eo_aqa").config.metadata


def test_options_in_quotation_marks_are_answered_by_their_text():
    """And an edit finds them; tasks that score letters refuse to ask so."""
    quoted = {"options_form": "quoted", "synth_scenes": 3}
    for name in ("tempo_synth_eo_aqa", "tempo_synth_eo_aqa_text", "tempo_synth_eo_aqa_rot"):
        task = load(name, **quoted)
        assert task.config.metadata["prompt_version"] == "tempo-prompt-1/quoted"
        document = next(iter(task.test_docs()))
        listed = ", ".join(f'"{option}"' for option in document["options"])
        assert f"\n{listed}\nChoose one of the options" in document["prompt"]
        (block,) = option_blocks(document["prompt"])
        names = [document["prompt"][start:end] for start, end in block.names]
        assert names == document["options"]
        assert parse_answer(f'"{names[2]}"', names) == "C"
    for name in ("tempo_synth_eo_aqa_ll", "tempo_synth_eo_aqa_rot_ll"):
        with pytest.raises(PromptError, match="scores letters"):
            load(name, **quoted)
    with pytest.raises(PromptError, match="phrasing 2"):
        load("tempo_synth_eo_aqa_prompt2", **quoted)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"caption_place": "middle"}, PromptError, "caption_place is 'middle'"),
        ({"caption_wording": "no place"}, PromptError, "caption_wording is 'no place'"),
        ({"options_form": "numbered"}, PromptError, "options_form is 'numbered'"),
        ({"synth_scenes": 0}, OptionError, "synth_scenes is 0"),
        ({"synth_scenes": True}, OptionError, "synth_scenes is True"),
    ],
)
def test_metadata_that_cannot_be_is_refused(metadata, error, message):
    with pytest.raises(error, match=message):
        load("tempo_synth_eo_cqa", **metadata)


# Strata


def test_strata_are_in_the_results_and_not_in_the_table(tmp_path):
    names = ["tempo_synth_eo_aqa", "tempo_synth_ld_aqa_rot"]
    right = Answering(lambda doc: doc["answer"] if doc["margin"] < 2 else "?")
    results = evaluate(right, names)
    written = json.loads(json.dumps(results["results"], allow_nan=False))
    strata = written[names[0]]["strata_with_stderr,none"]
    assert set(strata) == {"n_present", "margin", "overlap", "n_intervals"}
    for bins in strata.values():
        assert sum(row["n"] for row in bins.values()) == SCENES
    margin = strata["margin"]
    assert margin["1 to 2 s"]["acc"] == 1.0
    assert all(row["acc"] == 0.0 for name, row in margin.items() if name != "1 to 2 s")
    # A rotated question counts as four items of one cluster.
    for bins in written[names[1]]["strata_with_stderr,none"].values():
        assert sum(row["n"] for row in bins.values()) == 4 * SCENES
        assert sum(row["n_clusters"] for row in bins.values()) == SCENES
    table = make_table(results)
    assert "acc_temporal" in table
    assert "strata" not in table
    assert max(map(len, table.splitlines())) < 120


@pytest.mark.slow
def test_the_command_line_prints_a_table_and_writes_the_strata(checkpoint, tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "--model", "lalm",
            "--model_args", f"pretrained={checkpoint}",
            "--tasks", "tempo_synth_eo_aqa_rot_ll,tempo_synth_hard_eo_aqa_ll",
            "--metadata", json.dumps(DATA), "--limit", "8",
            "--output_path", str(tmp_path), "--log_samples",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    printed = {row.split("|")[5].strip() for row in rows}
    assert {"consistency", "acc_all", "letter_bias", "acc_quartet", "acc_temporal"} <= printed
    assert max(map(len, rows)) < 120
    (file,) = tmp_path.rglob("results_*.json")
    scores = json.loads(file.read_text())["results"]
    for score in scores.values():
        assert isinstance(score["strata_with_stderr,none"]["margin"], dict)
    (samples,) = tmp_path.rglob("samples_tempo_synth_eo_aqa_rot_ll_*.jsonl")
    docs = [json.loads(line)["doc"] for line in samples.read_text().splitlines()]
    assert [doc["rotation"] for doc in docs] == [0, 1, 2, 3] * 2


# Hard sets


@pytest.mark.parametrize("way", ["", "_ll"])
def test_a_quartet_is_one_cluster_and_all_four_must_be_right(way):
    name = f"tempo_synth_hard_lo_aqa{way}"
    documents = list(load(name).test_docs())
    assert len(documents) == 4 * QUARTETS
    assert {doc["n_present"] for doc in documents} == {4}
    groups = [doc["group"] for doc in documents]
    assert groups == [doc["cluster"] for doc in documents]
    assert len(set(groups)) == QUARTETS
    missed = documents[0]["clip"]
    model = Answering(
        lambda doc: (
            doc["answer"] if doc["clip"] != missed else "ABCDA"["ABCD".index(doc["answer"]) + 1]
        )
    )
    score = evaluate(model, [name])["results"][name]
    assert score["acc,none"] == pytest.approx(1 - 1 / (4 * QUARTETS))
    assert score["acc_quartet,none"] == pytest.approx(1 - 1 / QUARTETS)
    # Errors over three quartets, of which one has a residual of its own.
    shares = [0.75, 1.0, 1.0]
    mean = sum(shares) / 3
    error = (sum((share - mean) ** 2 for share in shares) / (3 * 2)) ** 0.5
    assert score["acc_stderr,none"] == pytest.approx(error)


def test_a_model_that_is_deaf_is_at_chance_on_the_hard_scenes():
    names = [f"tempo_synth_hard_{kind.value}_silence" for kind in Kind]
    results = evaluate(PRESENT, ["tempo_synth_hard_silence"])["results"]
    for name in [*names, "tempo_synth_hard_silence"]:
        assert results[name]["acc,none"] == results[name]["acc_temporal,none"] == 0.25
        assert results[name]["acc_chance_corrected,none"] == 0.0
        assert results[name]["acc_quartet,none"] == 0.0


# Data of one's own: intervals and captions joined


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Four scenes in the released layout, their times and captions in tables elsewhere."""
    from tempo_tasks.sources.synth import draw_scene
    from tempo_tasks.sources.synth.scene import scene_name

    folder = tmp_path_factory.mktemp("joined")
    write_layout(folder / "data", "csv", released_rows(4, captions=False))
    lines, captions = ["filename,label,onset,offset"], ["filename,text"]
    for number in range(4):
        clip = draw_scene(scene_name("layout", number)).clip
        captions.append(f"{number:05d}.wav,Something sounds.")
        for event in clip.events:
            lines += [f"{number:05d}.wav,{event.label},{a},{b}" for a, b in event.intervals]
    (folder / "times.csv").write_text("\n".join(lines) + "\n")
    (folder / "words.csv").write_text("\n".join(captions) + "\n")
    return {
        "data": str(folder / "data"),
        "data_intervals": str(folder / "times.csv"),
        "data_captions": str(folder / "words.csv"),
    }


def test_times_and_captions_are_joined_from_tables(joined):
    task = load("tempo_ld_acqa", **joined)
    for doc in task.test_docs():
        assert doc["margin"] >= 1.0
        assert "Audio caption: Something sounds.\n" in doc["prompt"]
    assert task.config.metadata["data_intervals"] == joined["data_intervals"]
    bare = load("tempo_ld_aqa", data=joined["data"])
    assert {doc["margin"] for doc in bare.test_docs()} == {None}
    several = load("tempo_ld_aqa", **{**joined, "data_intervals": [joined["data_intervals"]]})
    assert [doc["margin"] for doc in several.test_docs()] == [
        doc["margin"] for doc in task.test_docs()
    ]


def test_without_times_the_temporal_accuracy_is_not_available(joined):
    """The released questions do not say which options occur in the clip."""
    results = evaluate(KNOWS, ["tempo_aqa"], data=joined["data"])["results"]
    json.dumps(results, allow_nan=False)
    for name in ("tempo_eo_aqa", "tempo_aqa"):
        assert results[name]["acc,none"] == 1.0
        assert results[name]["acc_temporal,none"] == "N/A"
        assert results[name]["acc_temporal_stderr,none"] == "N/A"
    assert results["tempo_eo_aqa"]["strata_with_stderr,none"] == {}
    make_table({"results": results, "versions": {}})


def test_hard_questions_about_released_clips_go_through_the_loader(monkeypatch):
    """What the loader is given; the questions are the business of `tempo_tasks.sources.hard`."""
    from tempo_tasks.sources import hard

    seen = {}
    question = Question("c/eo", "c", Kind.EO, NAMES, "B", 4)
    answer = QuestionSet("x, hard", (question,), {"c": {"sha256": "0", "silence": False}}, {})

    def load_hard(kind, load):
        seen.update(load.keywords, kind=kind)
        return answer

    monkeypatch.setattr(hard, "load_hard", load_hard)
    monkeypatch.setenv("TEMPO_DATA", "some-folder")
    metadata = {"data_intervals": ["a.csv", "b.csv"], "data_split": "test"}
    assert task_module.load_questions("hard", Kind.EO, metadata) is answer
    task_module._load_released.cache_clear()
    assert [path.name for path in seen.pop("intervals")] == ["a.csv", "b.csv"]
    assert seen == {
        "kind": Kind.EO,
        "data": "some-folder",
        "revision": None,
        "split": "test",
        "captions": None,
    }


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"data_intervals": 3}, "data_intervals is 3"),
        ({"data_intervals": ["a.csv", 3]}, "expected the path of a table"),
        ({"data_captions": ["a.csv", "b.csv"]}, "data_captions names 2 files"),
    ],
)
def test_tables_that_are_none_are_refused(metadata, message):
    with pytest.raises(OptionError, match=message):
        task_module.load_questions("released", Kind.EO, metadata)


# The laboratory


def items_of(lm, name) -> list[Item]:
    return lab.make_items(lm, lab.load_tasks([name], DATA))


def test_the_laboratory_goes_by_the_cluster(embedded):
    items = items_of(embedded, "tempo_synth_hard_eo_aqa")
    assert len(items) == 4 * QUARTETS
    assert len({item.cluster for item in items}) == QUARTETS
    plain = items_of(embedded, "tempo_synth_eo_aqa")
    assert len({item.cluster for item in plain}) == SCENES


def test_rotated_items_have_names_and_keys_of_their_own(embedded):
    items = items_of(embedded, "tempo_synth_eo_aqa_rot")
    assert len({item.id for item in items}) == len({item.key for item in items}) == 4 * SCENES
    plain = items_of(embedded, "tempo_synth_eo_aqa")
    assert [(item.id, item.key) for item in items[::4]] == [(item.id, item.key) for item in plain]
