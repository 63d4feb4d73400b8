"""The audit of other benchmarks: it finds TREA's leaks, and none where there is none."""

import json
import random

import pytest
from typer.testing import CliRunner

from tempo_attn.errors import OptionError
from tempo_tasks.audit.benchmarks.assemble import audit_benchmark, beats_chance
from tempo_tasks.audit.benchmarks.choice_arrays import ChoiceArrays
from tempo_tasks.audit.benchmarks.guesses import TRAITS, alone, guesses
from tempo_tasks.audit.benchmarks.leaks import leaks
from tempo_tasks.audit.benchmarks.times import guessed_times
from tempo_tasks.cli import app
from tempo_tasks.questions.choice_items import ChoiceItem
from tempo_tasks.sources.benchmarks.description import describe
from tempo_tasks.sources.benchmarks.load import load_items
from tests.support import other_benchmarks


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    return {
        name: getattr(other_benchmarks, name)(folder / name)
        for name in ("trea", "mmau", "starbench", "abstime")
    }


def audited(name, copy, parts=None):
    description = describe(name)
    found = [
        load_items(description, part, data=str(copy), seconds=seconds)[0]
        for part in parts or description.parts
        for seconds in (False, True)
        if not seconds or description.part(part).seconds
    ]
    return {part["part"]: part for part in audit_benchmark(found)["parts"]}


def row_of(part, name):
    return next(row for row in part["shortcuts"] if row["strategy"] == name)


def leak_of(part, name):
    return next(leak for leak in part["leaks"] if leak["name"] == name)


def test_the_three_leaks_of_trea_are_found(copies):
    found = audited("trea", copies["trea"])
    # The right answer is the only lower-case option of every item.
    case = leak_of(found["order"], "alone begins in lower case")
    assert (case["n"], case["of"], case["wrong"]) == (8, 8, 0)
    spelt = row_of(found["order"], "alone begins in lower case")
    assert spelt["accuracy"] == 1
    assert beats_chance(spelt, found["order"]["chance"])
    # Item 1 offers the answer twice.
    assert leak_of(found["order"], "answer_twice")["items"] == ["1"]
    # Of the even items of duration, only the right option occurs in the clip.
    only = leak_of(found["duration"], "only_right_occurs")
    assert only["items"] == ["0", "2", "4", "6"]
    assert "alone begins in lower case, has 100.0 %" in found["order"]["verdict"]
    assert "only_right_occurs 4 of 8" in found["duration"]["verdict"]


def test_a_guesser_of_times_is_told(copies):
    found = audited("abstime", copies["abstime"])
    assert row_of(found["start"], "smallest number")["accuracy"] == 1
    assert row_of(found["start"], "largest number")["accuracy"] == 0
    rows = {row["strategy"]: row for row in found["start_seconds"]["times"]}
    assert (
        rows["always 0 s"]["within"]["5 s"]["share"] >= rows["always 0 s"]["within"]["1 s"]["share"]
    )
    assert "s off on average" in found["start_seconds"]["verdict"]


def item(number, options, answer, **more):
    given = {"clips": (f"{number}.wav",), "part": "all", "question": "Which sound is first?"}
    return ChoiceItem(id=str(number), options=tuple(options), answer=answer, **{**given, **more})


def fair_items(count, seed=0):
    """Items whose answers are drawn at random: nothing can be had but by hearing."""
    draw = random.Random(seed)
    labels = [f"sound {number}" for number in range(12)]
    items = []
    for number in range(count):
        options = draw.sample(labels, draw.choice([2, 3, 4, 6]))
        items.append(item(number, options, "ABCDEF"[draw.randrange(len(options))], sounds=None))
    return items


def test_where_nothing_leaks_nothing_is_above_chance():
    arrays = ChoiceArrays(fair_items(400), {})
    assert arrays.chance == pytest.approx(sum(1 / n for n in arrays.n_options) / 400)
    for row in guesses(arrays):
        assert abs(row.credit.mean() - arrays.chance) < 0.1, row.strategy.name
    assert {leak["n"] for leak in leaks(arrays)} == {0}


def test_letters_of_items_with_more_options_tell_nothing_of_those_with_fewer():
    items = [item(n, ["a x", "b x", "c x", "d x"], "D") for n in range(6)]
    items += [item(n + 10, ["a x", "b x"], "A") for n in range(6)]
    arrays = ChoiceArrays(items, {})
    rows = {row.strategy.name: row.credit for row in guesses(arrays)}
    assert rows["letter prior, leave cluster out"].tolist() == [1] * 12


def test_priors_hold_a_cluster_out():
    # Both items of a clip have the same answer, which nothing else has.
    items = [item(n, ["p x", "q x"], "A", clips=("one.wav",)) for n in range(2)]
    items += [item(n + 5, ["r x", "s x"], "AB"[n % 2]) for n in range(4)]
    rows = {row.strategy.name: row.credit for row in guesses(ChoiceArrays(items, {}))}
    assert rows["label prior, leave cluster out"][:2].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["dog", "Cat", "Cow", "Hen"], 0),
        (["Dog", "cat", "cow", "hen"], 0),
        (["dog", "cat", "Cow", "Hen"], None),
        (["Dog", "cat"], 1),
        (["Dog", "Cat"], None),
        (["1", "2", "3"], None),
    ],
)
def test_alone_in_case(options, place):
    assert alone(options, TRAITS["begins in lower case"]) == place


def test_numbers_are_guessed_by_what_was_right_elsewhere():
    draw = random.Random(1)
    items = []
    for number in range(60):
        right = round(draw.uniform(0, 1), 2)
        options = [str(right), *(str(round(draw.uniform(5, 30), 2)) for _ in range(3))]
        draw.shuffle(options)
        items.append(item(number, options, "ABCD"[options.index(str(right))]))
    rows = {row.strategy.name: row.credit.mean() for row in guesses(ChoiceArrays(items, {}))}
    assert rows["smallest number"] == 1
    assert rows["plausible number"] > 0.9


def test_guessed_times_leave_the_cluster_out():
    items = [
        ChoiceItem(id=str(n), part="all", clips=(f"{n}.wav",), question="When?", seconds=seconds)
        for n, seconds in enumerate([1.0, 1.0, 9.0])
    ]
    rows = {row["strategy"]: row for row in guessed_times(items)}
    # Medians of the others: 5, 5 and 1.
    assert rows["median time"]["seconds_error"] == pytest.approx((4 + 4 + 8) / 3)
    assert rows["always 0 s"]["within"]["1 s"]["share"] == pytest.approx(2 / 3)


def test_doubles_are_told_and_runs_are_none():
    twice = [item(n, ["a x", "b x"], "A", clips=("same.wav",)) for n in range(2)]
    found = {leak["name"]: leak for leak in leaks(ChoiceArrays(twice, {}))}
    assert found["same_item"]["items"] == ["0", "1"]
    runs = [item(f"q@{n}", ["a x", "b x"], "A", group="q", run=n) for n in range(3)]
    found = {leak["name"]: leak for leak in leaks(ChoiceArrays(runs, {}))}
    assert found["same_item"]["n"] == found["same_clip"]["n"] == 0


def run(*arguments):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_the_command(copies, tmp_path):
    out = tmp_path / "out"
    shown = run(copies["trea"], "--benchmark", "trea", "--out", out)
    assert shown.exit_code == 0, shown.output
    assert "alone begins in lower case" in shown.output
    assert "answer_twice: 1 of 8" in " ".join(shown.output.split())
    told = json.loads((out / "audit.json").read_text())
    assert [part["part"] for part in told["parts"]] == ["order", "count", "duration"]
    assert (out / "audit.csv").read_text().startswith("benchmark,part,family,strategy")
    first = {file.name: file.read_bytes() for file in out.iterdir()}
    run(copies["trea"], "--benchmark", "trea", "--out", out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == first
    as_json = run(copies["trea"], "--benchmark", "trea", "--part", "order", "--json")
    assert [part["part"] for part in json.loads(as_json.output)["parts"]] == ["order"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--benchmark", "tera"], "no benchmark 'tera'.*Did you mean 'trea'"),
        (["--benchmark", "trea", "--part", "odrer"], "no part 'odrer'.*Did you mean 'order'"),
        (["--benchmark", "trea", "--repair"], "--repair: not with --benchmark"),
        (["--part", "order"], "--part is of --benchmark"),
    ],
)
def test_wrong_options(copies, more, message):
    result = run(copies["trea"], *more)
    with pytest.raises(OptionError, match=message):
        raise result.exception


def test_hostile_names_are_shown_as_they_are(copies, tmp_path):
    folder = other_benchmarks.mmau(tmp_path / "mmau")
    file = folder / "mmau-test-mini.json"
    rows = json.loads(file.read_text())
    rows[0]["id"], rows[0]["choices"] = "[red]id[/]", ["Bell", "bell"]
    rows[0]["answer"] = "Bell"
    file.write_text(json.dumps(rows))
    shown = run(folder, "--benchmark", "mmau", "--part", "sound").output
    assert "[red]id[/]" in shown
