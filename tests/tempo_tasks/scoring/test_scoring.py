"""Strict parsing: a letter or an option's exact text, never a guess."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.questions.questions import LETTERS
from tempo_tasks.scoring import (
    NotAvailable,
    acc_all,
    acc_all_stderr,
    acc_chance_corrected,
    acc_chance_corrected_stderr,
    acc_quartet,
    acc_quartet_stderr,
    acc_temporal,
    acc_temporal_stderr,
    clustered_stderr,
    consistency,
    consistency_stderr,
    generation_metrics,
    letter_bias,
    likelihood_metrics,
    mean_a,
    mean_b,
    parse_answer,
    quartet_generation_metrics,
    quartet_likelihood_metrics,
    rotation_generation_metrics,
    rotation_likelihood_metrics,
    strata_with_stderr,
    text_metrics,
)
from tempo_tasks.stats.clustered_estimates import clustered_standard_error

OPTIONS = ["Dog Barking", "Rain", "Stream_River", "Car Horn"]
DOC = {"options": OPTIONS, "answer": "B", "clip": "c1"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b ", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B: ", "B"),
        ("Rain", "B"),
        ("rain.", "B"),
        ("Stream_River", "C"),
        ("B. Rain", "B"),
        ("(D) Car Horn", "D"),
        ("**B. Rain**", "B"),
        ("**B**. Rain", "B"),
        ("**B.** Rain", "B"),
        ("**B**: **Rain**", "B"),
        ("(B): Rain", "B"),
        ("[B], rain", "B"),
        ("B Rain", "B"),
        ("b rain.", "B"),
        ("B - Rain", "B"),
        ("B\nRain", "B"),
        ('B. "Rain"', "B"),
        ("__B__", "B"),
        ("`B`", "B"),
        ("“B”", "B"),
        ("Ｂ", "B"),
        ("（Ｂ）", "B"),
        ("ｂ．", "B"),
        ("B。", "B"),
        ("B、Rain", "B"),
        ("Ｂ：Ｒａｉｎ", "B"),
        ("Rain。", "B"),
        ("a Dog Barking", "A"),  # the letter and the article say the same
    ],
)
def test_a_stated_answer_is_read(text, letter):
    assert parse_answer(text, OPTIONS) == letter


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("told", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("answer", ["{}", "B. {}", "B {}"])
def test_an_option_in_another_normal_form_is_the_option(form, told, answer):
    option = unicodedata.normalize(form, "Sirène de l’été, ﬁre")
    text = answer.format(unicodedata.normalize(told, "SIRÈNE de l’été, ﬁre"))
    assert parse_answer(text, ["x", option, "y", "z"]) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E",
        "AB",
        "A or B",
        "A, B",
        "A. Rain",  # letter and text disagree
        "A Rain",
        "**A**. Rain",
        "(C): Rain",
        "D\nRain",
        "Ａ。Rain",
        "B Rain C",
        "B Rain, C Stream_River",
        "B Rai",
        "BRain",
        "B/Rain",
        "B and D",
        "B B",
        "A dog barking, then rain",
        "a rain",
        "B is right",
        "Option B",
        "Answer: B",
        "B because it rains",
        "B?",
        "B!",
        "$B$",
        r"\boxed{B}",
        "<answer>B</answer>",
        "Ⓑ",
        "ª",
        "not B",
        "...",
        "The answer is B",  # plausible, but reading it is a rule of its own
        "Rain and Car Horn",
        "I hear rain first, then a dog.",
        "Barking",
        "Dog",
        "A dog barks",
    ],
)
def test_anything_else_is_a_parse_failure(text):
    assert parse_answer(text, OPTIONS) is None


@given(st.text(max_size=40))
def test_any_text_gives_a_letter_or_nothing(text):
    assert parse_answer(text, OPTIONS) in (*LETTERS, None)


def test_an_option_that_is_itself_a_letter_is_read_as_the_letter():
    assert parse_answer("A", ["B", "A", "x", "y"]) == "A"


def test_two_readings_are_no_answer():
    options = ["B. Rain", "Rain", "x", "y"]
    assert parse_answer("B. Rain", options) is None  # option A by its text, or option B
    assert parse_answer("A. B. Rain", options) == "A"
    assert parse_answer("Rain", options) == "B"


def test_an_option_of_marks_alone_is_not_the_empty_answer():
    assert parse_answer("", ["...", "a", "b", "c"]) is None
    assert parse_answer("A. ...", ["...", "a", "b", "c"]) == "A"


OPTION = st.text("ABab. 雨é", min_size=1, max_size=6)


@given(st.lists(OPTION, min_size=4, max_size=4, unique=True), st.sampled_from(LETTERS), st.data())
def test_a_letter_with_another_options_text_is_never_an_answer(options, letter, data):
    other = data.draw(st.sampled_from([name for name in LETTERS if name != letter]))
    sign = data.draw(st.sampled_from([". ", " ", ") ", ": ", "**. ", "、"]))
    text = options[LETTERS.index(other)]
    answer = f"{letter}{sign}{text}"
    found = parse_answer(answer, options)

    def spelled(text):
        return " ".join(text.casefold().split()).strip(" .*")

    if found == letter:  # the two options are spelled alike, or there is no text
        assert spelled(options[LETTERS.index(letter)]) == spelled(text) or not spelled(text)
    elif found:  # the whole answer is an option's text
        assert spelled(options[LETTERS.index(found)]) == spelled(answer)


def test_options_that_differ_only_in_case_are_not_told_apart_by_text():
    assert parse_answer("rain", ["Rain", "RAIN", "x", "y"]) is None


def test_generation_metrics():
    right, wrong, failed = (generation_metrics(DOC, [text]) for text in ("B", "Car Horn", "?"))
    assert (right["acc"], right["parse_failure"]) == (1.0, 0.0)
    assert (wrong["acc"], wrong["parse_failure"]) == (0.0, 0.0)
    assert (failed["acc"], failed["parse_failure"]) == (0.0, 1.0)


def test_likelihood_metrics_take_the_most_likely_letter():
    scores = [(-3.0, False), (-0.1, True), (-4.0, False), (-5.0, False)]
    assert likelihood_metrics(DOC, scores)["acc"] == 1.0
    assert likelihood_metrics(DOC, scores[::-1])["acc"] == 0.0


def test_tied_letters_share_the_credit():
    tied = [(-1.0, True), (-1.0, False), (-4.0, False), (-5.0, False)]
    assert likelihood_metrics(DOC, tied)["acc"] == 0.5
    assert likelihood_metrics(DOC | {"answer": "C"}, tied)["acc"] == 0.0


def test_accuracy_of_a_letter_counts_its_items_only():
    items = [("A", 1.0), ("A", 0.0), ("B", 1.0)]
    assert mean_a(items) == 0.5
    assert mean_b(items) == 1.0
    assert mean_b(items[:2]) == "N/A"


def test_clustered_stderr_takes_pairs():
    assert clustered_stderr([("c1", 1.0), ("c2", 0.0)]) == pytest.approx(0.5)
    assert clustered_stderr([("c1", 1.0)]) == "N/A"


# Clusters


def test_errors_are_clustered_by_the_cluster_and_by_the_clip_where_there_is_none():
    for doc, cluster in [(DOC, "c1"), (DOC | {"cluster": "q"}, "q"), (DOC | {"cluster": ""}, "c1")]:
        values = generation_metrics(doc, ["?"])
        assert values["acc_stderr"] == (cluster, 0.0)
        assert values["parse_failure_stderr"] == (cluster, 1.0)
        assert values["strata_with_stderr"][0] == cluster


def test_each_error_comes_after_its_metric_and_so_replaces_lm_evals():
    rotated = DOC | {"id": "q"}
    quartet = DOC | {"group": "g"}
    scores = [(-1.0, False)] * 4
    for values in (
        generation_metrics(DOC, ["B"]),
        likelihood_metrics(DOC, scores),
        text_metrics(DOC, scores),
        rotation_generation_metrics(rotated, ["B"]),
        rotation_likelihood_metrics(rotated, scores),
        quartet_generation_metrics(quartet, ["B"]),
        quartet_likelihood_metrics(quartet, scores),
    ):
        names = list(values)
        errors = [n for n in names if n.endswith("_stderr") and n != "strata_with_stderr"]
        assert {"acc_stderr", "acc_temporal_stderr"} <= set(errors)
        for name in errors:
            assert names.index(name) > names.index(name.removesuffix("_stderr"))


# Time, chance, strata


def values_of(metric, docs):
    """What lm-eval hands to a metric's aggregation, from documents and answers."""
    return [generation_metrics(DOC | doc, [answer])[metric] for doc, answer in docs]


def test_only_items_with_two_options_in_the_clip_test_time():
    docs = [
        ({"n_present": 1, "clip": "a"}, "B"),
        ({"n_present": 2, "clip": "b"}, "B"),
        ({"n_present": 3, "clip": "c"}, "A"),
        ({"n_present": 4, "clip": "c"}, "A"),
        ({"n_present": None, "clip": "d"}, "B"),
    ]
    assert acc_temporal(values_of("acc_temporal", docs)) == pytest.approx(1 / 3)
    expected = clustered_standard_error([1.0, 0.0, 0.0], ["b", "c", "c"])
    assert acc_temporal_stderr(values_of("acc_temporal_stderr", docs)) == pytest.approx(expected)


@pytest.mark.parametrize("doc", [{}, {"n_present": None}, {"n_present": 1}])
def test_without_such_items_there_is_no_such_accuracy(doc):
    items = values_of("acc_temporal", [(doc, "B"), (doc, "A")])
    score = acc_temporal(items)
    assert (score, acc_temporal_stderr(items)) == ("N/A", "N/A")
    # lm-eval averages over a group without looking.
    assert sum([score, 0.5, score]) / 3 == "N/A"
    assert sum([0.5, score]) / 2 == "N/A"
    assert isinstance(score, NotAvailable)


def test_chance_is_zero_and_right_throughout_is_one():
    assert acc_chance_corrected([1.0, 1.0]) == 1.0
    assert acc_chance_corrected([0.25] * 8) == 0.0
    assert acc_chance_corrected([1.0, 0.0]) == pytest.approx(1 / 3)
    assert acc_chance_corrected([0.0]) == pytest.approx(-1 / 3)
    pairs = [("a", 1.0), ("b", 0.0)]
    assert acc_chance_corrected_stderr(pairs) == pytest.approx(4 / 3 * clustered_stderr(pairs))
    assert acc_chance_corrected_stderr(pairs[:1]) == "N/A"


def test_strata_have_their_items_and_errors():
    docs = [
        ({"clip": "a", "n_present": 2, "margin": 9.0, "overlap": 0.7, "n_intervals": 1}, "B"),
        ({"clip": "b", "n_present": 2, "margin": 1.5, "overlap": 0.0, "n_intervals": 4}, "A"),
        ({"clip": "b", "n_present": 3, "margin": 1.9, "overlap": 0.1, "n_intervals": 3}, "B"),
        ({"clip": "c", "n_present": 3, "margin": None, "overlap": None, "n_intervals": None}, "B"),
    ]
    found = strata_with_stderr(values_of("strata_with_stderr", docs))
    error = clustered_standard_error([1.0, 1.0], ["b", "c"])
    assert found["n_present"] == {
        "2": {"acc": 0.5, "stderr": pytest.approx(0.5), "n": 2, "n_clusters": 2},
        "3": {"acc": 1.0, "stderr": error, "n": 2, "n_clusters": 2},
    }
    # In the order of the values, not of the names.
    assert list(found["margin"]) == ["1 to 2 s", "8 s or more"]
    assert found["margin"]["1 to 2 s"] == {
        "acc": 0.5,
        "stderr": "N/A",
        "n": 2,
        "n_clusters": 1,
    }
    assert list(found["overlap"]) == ["none", "under half", "half or more"]
    assert {name: row["n"] for name, row in found["n_intervals"].items()} == {
        "1": 1,
        "3 or more": 2,
    }


def test_without_intervals_there_are_no_strata():
    assert strata_with_stderr(values_of("strata_with_stderr", [({}, "B")])) == {}


# Option texts


def test_option_texts_are_compared_whole_and_by_character():
    doc = {"options": ["Rain", "Stream_River", "Dog", "Horn"], "answer": "B", "clip": "c"}
    scores = [(-2.0, False), (-3.0, False), (-6.0, False), (-8.0, False)]
    found = text_metrics(doc, scores)
    assert found["acc"] == 0.0  # -2 > -3
    assert found["acc_norm"] == 1.0  # -3 / 12 > -2 / 4
    assert found["acc_norm_stderr"] == ("c", 1.0)


def test_option_texts_that_tie_share_the_credit():
    doc = {"options": ["Rain", "Horn", "Bell", "Dog"], "answer": "B", "clip": "c"}
    found = text_metrics(doc, [(-4.0, False), (-4.0, False), (-9.0, False), (-3.0, False)])
    assert (found["acc"], found["acc_norm"]) == (0.0, pytest.approx(1 / 3))
    found = text_metrics(doc, [(-4.0, False), (-4.0, False), (-9.0, False), (-9.0, False)])
    assert (found["acc"], found["acc_norm"]) == (0.5, 0.5)


def test_acc_norm_is_lm_evals():
    """As `ConfigurableTask.process_results` computes it for multiple choice."""
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = -rng.uniform(1, 30, size=4)
        doc = {"options": OPTIONS, "answer": "C", "clip": "c"}
        lengths = np.array([float(len(option)) for option in OPTIONS])
        expected = float(np.argmax(scores / lengths) == 2)
        found = text_metrics(doc, [(score, False) for score in scores])
        assert found["acc_norm"] == expected


# Rotations


def rotated(answers, question="q", right="Rain", clip="c", score=rotation_generation_metrics):
    """The four documents of a question and what is answered to each, as values of all metrics."""
    values = []
    for by, answer in enumerate(answers):
        options = OPTIONS[by:] + OPTIONS[:by]
        doc = {
            "id": question,
            "clip": clip,
            "options": options,
            "answer": LETTERS[options.index(right)],
            "rotation": by,
        }
        values.append(score(doc, answer))
    return values


def gathered(values, metric):
    return [value[metric] for value in values]


def said(*letters):
    return [[letter] for letter in letters]


# "Rain" stands at B, A, D, C.
@pytest.mark.parametrize(
    ("answers", "same", "right", "accuracy"),
    [
        (said("B", "A", "D", "C"), 1.0, 1.0, 1.0),
        (said("A", "D", "C", "B"), 1.0, 0.0, 0.0),  # always "Dog Barking"
        (said("A", "A", "A", "A"), 0.0, 0.0, 0.25),  # a letter, whatever is asked
        (said("B", "A", "D", "?"), 0.0, 0.0, 0.75),
        (said("?", "?", "?", "?"), 0.0, 0.0, 0.0),  # no answer is no consistent answer
        (said("Rain", "Rain", "Rain", "Rain"), 1.0, 1.0, 1.0),
    ],
)
def test_a_question_in_four_rotations(answers, same, right, accuracy):
    values = rotated(answers)
    assert consistency(gathered(values, "consistency")) == same
    assert acc_all(gathered(values, "acc_all")) == right
    assert sum(gathered(values, "acc")) / 4 == accuracy


def test_errors_of_rotations_count_questions_and_cluster_by_clip():
    values = [
        *rotated(said("B", "A", "D", "C"), "q1", clip="c1"),
        *rotated(said("A", "A", "A", "A"), "q2", clip="c2"),
        *rotated(said("A", "D", "C", "B"), "q3", clip="c2"),
    ]
    assert consistency(gathered(values, "consistency")) == pytest.approx(2 / 3)
    assert acc_all(gathered(values, "acc_all")) == pytest.approx(1 / 3)
    clips = ["c1", "c2", "c2"]
    same = clustered_standard_error([1.0, 0.0, 1.0], clips)
    assert consistency_stderr(gathered(values, "consistency_stderr")) == pytest.approx(same)
    every = clustered_standard_error([1.0, 0.0, 0.0], clips)
    assert acc_all_stderr(gathered(values, "acc_all_stderr")) == pytest.approx(every)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_question_that_the_limit_cuts_counts_in_no_rotation_metric(kept):
    whole = rotated(said("A", "A", "A", "A"), "whole")
    cut = rotated(said("B", "A", "D", "C"), "cut")[:kept]
    assert consistency(gathered(whole + cut, "consistency")) == 0.0
    assert acc_all(gathered(cut, "acc_all")) == "N/A"
    assert consistency_stderr(gathered(cut, "consistency_stderr")) == "N/A"


def test_letters_that_tie_are_no_choice_in_rotations():
    tied = [(-1.0, True), (-1.0, True), (-9.0, False), (-9.0, False)]
    sure = {letter: [(-1.0 * (name != letter), False) for name in LETTERS] for letter in LETTERS}
    answers = [sure["B"], tied, sure["D"], sure["C"]]
    values = rotated(answers, score=rotation_likelihood_metrics)
    assert gathered(values, "acc") == [1.0, 0.5, 1.0, 1.0]
    assert acc_all(gathered(values, "acc_all")) == 0.0
    assert consistency(gathered(values, "consistency")) == 0.0


def test_letter_bias_is_the_deviation_of_the_letters_recalls():
    one_letter = gathered(rotated(said("A", "A", "A", "A")), "letter_bias")
    assert letter_bias(one_letter) == pytest.approx((3 / 16) ** 0.5)
    assert letter_bias(gathered(rotated(said("B", "A", "D", "C")), "letter_bias")) == 0.0
    recalls = [("A", 1.0), ("A", 0.0), ("B", 1.0), ("C", 0.0), ("D", 0.5)]
    assert letter_bias(recalls) == pytest.approx((2 * 0.25 / 4) ** 0.5)
    assert letter_bias(recalls[:-1]) == "N/A"


# Quartets


def quartet(answers, group="g", score=quartet_generation_metrics):
    docs = [{**DOC, "group": group, "cluster": group or "c1", "answer": name} for name in LETTERS]
    return [score(doc, answer) for doc, answer in zip(docs, answers, strict=True)]


def test_a_quartet_counts_if_all_four_are_right():
    right, wrong = quartet(said(*"ABCD"), "g1"), quartet(said(*"ABCC"), "g2")
    values = right + wrong
    assert acc_quartet(gathered(values, "acc_quartet")) == 0.5
    assert acc_quartet_stderr(gathered(values, "acc_quartet_stderr")) == pytest.approx(0.5)
    assert acc_quartet(gathered(right + wrong[:3], "acc_quartet")) == 1.0
    assert acc_quartet_stderr(gathered(right, "acc_quartet_stderr")) == "N/A"


@pytest.mark.parametrize("answer", ["A", "?"])
def test_an_answer_that_does_not_depend_on_the_audio_gets_no_quartet(answer):
    assert acc_quartet(gathered(quartet(said(*answer * 4)), "acc_quartet")) == 0.0


def test_letters_that_tie_are_not_right_in_a_quartet():
    tied = [[(-1.0, True)] * 4] * 4
    values = quartet(tied, score=quartet_likelihood_metrics)
    assert gathered(values, "acc") == [0.25] * 4
    assert acc_quartet(gathered(values, "acc_quartet")) == 0.0


def test_questions_on_their_own_are_no_quartet():
    values = quartet(said(*"ABCD"), group="")
    assert acc_quartet(gathered(values, "acc_quartet")) == "N/A"
    without = [quartet_generation_metrics(DOC, ["B"])] * 4
    assert acc_quartet(gathered(without, "acc_quartet")) == "N/A"
    assert acc_quartet_stderr(gathered(without, "acc_quartet_stderr")) == "N/A"


def test_a_letter_with_its_own_text_is_an_answer_where_two_options_look_alike():
    options = ["Rain", "rain", "Wind", "Siren"]
    assert parse_answer("A. Rain", options) == "A"
    assert parse_answer("B. Rain", options) == "B"
    assert parse_answer("C. Rain", options) is None
    assert parse_answer("rain", options) is None
