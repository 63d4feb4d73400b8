"""Interval CSVs: both layouts, a round trip, and every repair and refusal with its row."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.errors import BadIntervalsError, DataUnavailableError, DataVersionError
from tempo_tasks.questions.events import Clip, Event
from tempo_tasks.questions.spelling import plain_label
from tempo_tasks.sources.intervals import read_intervals

GROUPED = "filename,subclass,intervals\n"
FLAT = "filename,label,onset,offset\n"


@pytest.fixture
def written(tmp_path):
    def write(text, name="times.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    return write


def spans_of(table):
    return {
        name: {event.label: event.intervals for event in clip.events}
        for name, clip in table.clips.items()
    }


# Both layouts


def test_one_row_an_event(written):
    table = read_intervals(
        written(
            "idx,filename,subclass,intervals,question\n"
            '1,1.mp3,Dog,"[0.93-1.40, 2.28-2.75]",When?\n'
            "2,1.mp3,Cat,[0.02-23.89],When?\n"
            "3,2.mp3,Dog,[1-2],When?\n"
        )
    )
    assert spans_of(table) == {
        "1.mp3": {"Dog": ((0.93, 1.4), (2.28, 2.75)), "Cat": ((0.02, 23.89),)},
        "2.mp3": {"Dog": ((1.0, 2.0),)},
    }
    assert (table.name, table.rows, table.repairs) == ("times.csv", 3, ())
    assert table.labels == {"Dog": 2, "Cat": 1}


@pytest.mark.parametrize("column", ["label", "subclass", "text", "event_label"])
def test_one_row_an_interval(written, column):
    table = read_intervals(
        written(f"filename,{column},onset,offset\n1.mp3,Dog,2.28,2.75\n1.mp3,Dog,0.93,1.40\n")
    )
    assert spans_of(table) == {"1.mp3": {"Dog": ((0.93, 1.4), (2.28, 2.75))}}
    assert table.repairs == ()  # further rows of an event are how this layout is meant


@pytest.mark.parametrize(
    "cell",
    [
        "[1-2,3-4]",
        "[1.0-2.0, 3.0-4.0]",
        " [ 1 - 2 , 3 - 4 ] ",
        "[1-2, 3-4,]",
        "[.1e1-2., +3-4e0]",
        "[3-4, 1-2]",
    ],
)
def test_ways_to_write_intervals(written, cell):
    table = read_intervals(written(f'{GROUPED}1.mp3,Dog,"{cell}"\n'))
    assert spans_of(table) == {"1.mp3": {"Dog": ((1.0, 2.0), (3.0, 4.0))}}


def test_small_numbers_with_an_exponent(written):
    table = read_intervals(written(f"{GROUPED}1.mp3,Dog,[1e-3-2E-1]\n"))
    assert spans_of(table) == {"1.mp3": {"Dog": ((0.001, 0.2),)}}


def test_marks_blanks_and_line_ends_of_other_programs(written):
    text = "\ufefffilename,subclass,intervals\r\n1.mp3, Glockenspiel ♪ ,[1-2]\r\n"
    assert spans_of(read_intervals(written(text))) == {"1.mp3": {"Glockenspiel ♪": ((1.0, 2.0),)}}


LABELS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1
).filter(lambda text: text.strip() == text and plain_label(text))
TIMES = st.tuples(st.integers(0, 3000), st.integers(1, 900))


@st.composite
def clip_sets(draw):
    """Clips with events in centiseconds; labels differ in more than their spelling."""
    labels = draw(st.lists(LABELS, min_size=1, max_size=4, unique_by=plain_label))
    names = draw(st.sets(LABELS, min_size=1, max_size=3))
    clips = {}
    for name in names:
        chosen = draw(st.sets(st.sampled_from(labels), min_size=1))
        events = tuple(
            Event(
                label,
                tuple(
                    (s / 100, (s + n) / 100)
                    for s, n in draw(st.lists(TIMES, min_size=1, max_size=3))
                ),
            )
            for label in chosen
        )
        clips[name] = Clip(name, events)
    return clips


@given(clip_sets(), st.booleans(), st.randoms(use_true_random=False))
def test_what_is_written_is_read(tmp_path_factory, clips, flat, shuffle):
    rows = []
    for name, clip in clips.items():
        for event in clip.events:
            if flat:
                rows += [(name, event.label, start, end) for start, end in event.intervals]
            else:
                cell = ", ".join(f"{start:.2f}-{end:.2f}" for start, end in event.intervals)
                rows.append((name, event.label, f"[{cell}]"))
    shuffle.shuffle(rows)
    text = io.StringIO(FLAT if flat else GROUPED)
    text.seek(0, io.SEEK_END)
    csv.writer(text).writerows(rows)
    path = tmp_path_factory.mktemp("round") / "times.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    table = read_intervals(path)
    assert table.clips == clips
    assert (table.rows, table.repairs) == (len(rows), ())


# Several files


def test_several_files_are_one_table(written):
    one = written(f"{GROUPED}1.mp3,Dog,[1-2]\n", "one.csv")
    two = written(f"{FLAT}2.mp3,Dog,3,4\n1.mp3,Cat,5,6\n", "two.csv")
    table = read_intervals([one, two])
    assert spans_of(table) == {
        "1.mp3": {"Dog": ((1.0, 2.0),), "Cat": ((5.0, 6.0),)},
        "2.mp3": {"Dog": ((3.0, 4.0),)},
    }
    assert (table.name, table.rows) == ("one.csv, two.csv", 3)


def test_a_refusal_names_the_file_among_several(written):
    one = written(f"{GROUPED}1.mp3,Dog,[1-2]\n", "one.csv")
    two = written(f"{GROUPED}1.mp3,Cat,[1-2]\n2.mp3,Dog,[4-3]\n", "two.csv")
    with pytest.raises(BadIntervalsError, match=r"two\.csv, row 2: .*ends before it starts"):
        read_intervals([one, two])


def test_a_refused_spelling_names_the_file_among_several(written):
    one = written(f"{GROUPED}1.mp3,Dog,[1-2]\n2.mp3,Dog,[1-2]\n", "one.csv")
    two = written(f"{GROUPED}3.mp3,dog,[1-2]\n", "two.csv")
    with pytest.raises(BadIntervalsError, match=r"two\.csv, row 1: 3\.mp3: label 'dog'"):
        read_intervals([one, two])


def test_a_repair_names_the_file_among_several(written):
    one = written(f"{GROUPED}1.mp3,Dog,[1-2]\n", "one.csv")
    two = written(f"{GROUPED}2.mp3,Dog,[3-3]\n", "two.csv")
    (first, *_) = read_intervals([one, two]).repairs
    assert "two.csv" in str(first)


# What is always repaired, and recorded


def repaired(path, **options):
    table = read_intervals(path, **options)
    return spans_of(table), [(fix.row, fix.filename, fix.what) for fix in table.repairs]


def test_intervals_without_length_are_dropped(written):
    found, repairs = repaired(
        written(f'{GROUPED}1.mp3,Dog,"[1-2, 5-5]"\n1.mp3,Cat,[3.00-3.00]\n1.mp3,Rain,[]\n')
    )
    assert found == {"1.mp3": {"Dog": ((1.0, 2.0),)}}
    assert repairs == [
        (1, "1.mp3", "interval 5-5 has no length and is dropped"),
        (2, "1.mp3", "interval 3-3 has no length and is dropped"),
        (2, "1.mp3", "'Cat' has no interval and is left out"),
        (3, "1.mp3", "'Rain' has no interval and is left out"),
    ]


def test_a_flat_interval_without_length_is_dropped(written):
    found, repairs = repaired(written(f"{FLAT}1.mp3,Dog,1,1\n1.mp3,Cat,2,3\n2.mp3,Dog,4,4\n"))
    assert found == {"1.mp3": {"Cat": ((2.0, 3.0),)}}
    assert [row for row, _, _ in repairs] == [1, 3]


def test_two_rows_of_one_event_become_one(written):
    found, repairs = repaired(written(f"{GROUPED}1.mp3,Dog,[1-2]\n1.mp3,Dog,[4-5]\n"))
    assert found == {"1.mp3": {"Dog": ((1.0, 2.0), (4.0, 5.0))}}
    assert [(row, "second row of 'Dog'" in what) for row, _, what in repairs] == [(2, True)]


@pytest.mark.parametrize(
    "text",
    [f'{GROUPED}1.mp3,Dog,"[1-3, 2-4]"\n', f"{FLAT}1.mp3,Dog,1,3\n1.mp3,Dog,2,4\n"],
)
def test_overlapping_intervals_of_one_event_are_joined(written, text):
    assert spans_of(read_intervals(written(text))) == {"1.mp3": {"Dog": ((1.0, 4.0),)}}


def test_overlapping_intervals_are_recorded(written):
    _, repairs = repaired(written(f'{GROUPED}1.mp3,Dog,"[1-3, 2-4]"\n'))
    assert [row for row, _, _ in repairs] == [1]
    assert "overlap" in repairs[0][2]


# What is repaired on request


def test_reversed_intervals_are_turned_round(written):
    found, repairs = repaired(written(f"{GROUPED}1.mp3,Dog,[4-3]\n"), repair=True)
    assert found == {"1.mp3": {"Dog": ((3.0, 4.0),)}}
    assert repairs == [(1, "1.mp3", "interval 4-3 ends before it starts; turned round")]


@pytest.mark.parametrize(
    "text", [f"{GROUPED}1.mp3,Dog,[1--2]\n", f"{FLAT}1.mp3,Dog,1,-2\n"], ids=["grouped", "flat"]
)
def test_a_negative_offset_is_never_turned_round(written, text):
    for repair in (False, True):
        with pytest.raises(BadIntervalsError, match="row 1: "):
            read_intervals(written(text), repair=repair)


def test_intervals_beyond_the_clip_are_cut(written):
    path = written(f'{GROUPED}1.mp3,Dog,"[1-2, 9-12, 11-13]"\n2.mp3,Dog,[9-12]\n')
    found, repairs = repaired(path, repair=True, durations={"1.mp3": 10.0})
    assert found == {"1.mp3": {"Dog": ((1.0, 2.0), (9.0, 10.0))}, "2.mp3": {"Dog": ((9.0, 12.0),)}}
    assert repairs == [
        (1, "1.mp3", "interval 9-12 is beyond its 10 s; cut there"),
        (1, "1.mp3", "interval 11-13 is beyond its 10 s; cut there"),
        (1, "1.mp3", "interval 11-13 has no length and is dropped"),
    ]


@pytest.mark.parametrize(("end", "beyond"), [(10.0, False), (10.05, False), (10.06, True)])
def test_the_decoded_length_may_be_a_little_shorter(written, end, beyond):
    path = written(f"{GROUPED}1.mp3,Dog,[1-{end}]\n")
    if beyond:
        with pytest.raises(BadIntervalsError, match=r"row 1: 1\.mp3: interval 1-10\.06 is beyond"):
            read_intervals(path, durations={"1.mp3": 10.0})
    else:
        assert spans_of(read_intervals(path, durations={"1.mp3": 10.0}))["1.mp3"]["Dog"] == (
            (1.0, end),
        )


def test_spellings_become_the_most_frequent_one(written):
    text = (
        f"{GROUPED}1.mp3,dog_barking,[1-2]\n2.mp3,Dog Barking,[1-2]\n3.mp3,Dog Barking,[1-2]\n"
        "1.mp3,Dog Barking,[4-5]\n"
    )
    with pytest.raises(BadIntervalsError, match=r"row 1: 1\.mp3: label 'dog_barking' differs from"):
        read_intervals(written(text))
    found, repairs = repaired(written(text), repair=True)
    assert set(found["1.mp3"]) == {"Dog Barking"}
    assert found["1.mp3"]["Dog Barking"] == ((1.0, 2.0), (4.0, 5.0))
    assert repairs == [
        (
            1,
            "1.mp3",
            "label 'dog_barking' differs from 'Dog Barking' in spelling only; read as that",
        )
    ]


def test_of_spellings_as_frequent_the_choice_does_not_depend_on_the_order(written):
    rows = ["1.mp3,dog,[1-2]\n", "2.mp3,Dog,[1-2]\n", "3.mp3,DOG,[1-2]\n"]
    chosen = {
        next(
            iter(spans_of(read_intervals(written(GROUPED + "".join(order)), repair=True))["1.mp3"])
        )
        for order in (rows, rows[::-1])
    }
    assert len(chosen) == 1


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Dog Barking", "dog_barking", True),
        (" Dog  Barking", "DOG__BARKING ", True),
        ("STRASSE", "straße", True),
        ("Dog", "Dogs", False),
        ("Dog-Barking", "Dog Barking", False),
    ],
)
def test_which_labels_are_alike(one, other, alike):
    assert (plain_label(one) == plain_label(other)) is alike


# What is refused


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.mp3,Dog,[nan-2]", "1.mp3: interval nan-2"),
        ("1.mp3,Dog,[1-NaN]", "1.mp3: interval 1-nan"),
        ("1.mp3,Dog,[1-inf]", "1.mp3: interval 1-inf"),
        ("1.mp3,Dog,[-1-2]", "1.mp3: interval -1-2"),
        ("1.mp3,Dog,[-0.5--0.1]", "1.mp3: interval -0.5--0.1"),
        ("1.mp3,Dog,[4-3]", "1.mp3: interval 4-3 ends before it starts"),
        ("1.mp3,Dog,[1]", "interval '1': expected onset-offset"),
        ("1.mp3,Dog,[1-2-3]", "interval '1-2-3'"),
        ("1.mp3,Dog,[one-two]", "interval 'one-two'"),
        ("1.mp3,Dog,1-2", "intervals '1-2': expected ["),
        ('1.mp3,Dog,"[1-2], [3-4]"', "interval '1-2]'"),
        ("1.mp3,Dog,", "intervals '': expected ["),
        ("1.mp3,Dog", "intervals '': expected ["),
        ("1.mp3, ,[1-2]", "filename '1.mp3', label ''"),
        (",Dog,[1-2]", "filename '', label 'Dog'"),
    ],
)
def test_a_row_that_cannot_be(written, row, message):
    path = written(f"{GROUPED}2.mp3,Cat,[1-2]\n{row}\n")
    with pytest.raises(BadIntervalsError) as refused:
        read_intervals(path)
    assert "times.csv: 1 rows cannot be used" in str(refused.value)
    assert f"row 2: {message}" in str(refused.value)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("nan,2", "interval nan-2"),
        ("1,inf", "interval 1-inf"),
        ("-1,2", "interval -1-2"),
        ("4,3", "ends before it starts"),
        ("one,2", "onset 'one', offset '2': expected seconds"),
        (",2", "onset '', offset '2'"),
        ("1", "onset '1', offset ''"),
    ],
)
def test_a_flat_row_that_cannot_be(written, cells, message):
    with pytest.raises(BadIntervalsError) as refused:
        read_intervals(written(f"{FLAT}2.mp3,Cat,1,2\n1.mp3,Dog,{cells}\n"))
    assert "row 2: " in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize("bad", ["[nan-2]", "[-1-2]", "[1]", "1-2", "[1-inf]"])
def test_what_no_repair_can_mend(written, bad):
    with pytest.raises(BadIntervalsError, match="row 1: "):
        read_intervals(written(f"{GROUPED}1.mp3,Dog,{bad}\n"), repair=True)


def test_all_bad_rows_are_counted_and_the_first_listed(written):
    rows = "".join(f"{number}.mp3,Dog,[4-3]\n" for number in range(50))
    with pytest.raises(BadIntervalsError) as refused:
        read_intervals(written(GROUPED + rows))
    text = str(refused.value)
    assert "50 rows cannot be used" in text
    assert text.count("row ") == 20
    assert "and 30 more" in text


@pytest.mark.parametrize("text", [GROUPED, FLAT, f"{GROUPED}1.mp3,Dog,[]\n"])
def test_no_event_at_all(written, text):
    with pytest.raises(BadIntervalsError, match="no event in"):
        read_intervals(written(text))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "filename,subclass",
        "filename,intervals",
        "subclass,intervals",
        "filename,label,onset",
        "file,label,onset,offset",
    ],
)
def test_missing_columns(written, header):
    with pytest.raises(DataVersionError, match="expected `filename`"):
        read_intervals(written(f"{header}\n1,2,3,4\n" if header else ""))


def test_no_file_or_no_csv(written, tmp_path):
    with pytest.raises(DataUnavailableError, match=r"nowhere\.csv"):
        read_intervals(tmp_path / "nowhere.csv")
    with pytest.raises(DataUnavailableError):
        read_intervals(tmp_path)
    with pytest.raises(DataVersionError, match="not a readable CSV"):
        read_intervals(written(GROUPED.encode() + b"1.mp3,\xff\xfe,[1-2]\n"))


CELLS = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.tuples(
            st.floats(width=32) | st.integers(-5, 40), st.floats(width=32) | st.integers(-5, 40)
        ),
        max_size=3,
    ).map(lambda spans: "[" + ", ".join(f"{start}-{end}" for start, end in spans) + "]"),
)


@given(
    st.lists(st.tuples(st.sampled_from(["1.mp3", "2.mp3", ""]), CELLS), max_size=4), st.booleans()
)
def test_whatever_stands_in_the_cells_only_named_errors_come_out(tmp_path_factory, rows, repair):
    path = tmp_path_factory.mktemp("any") / "times.csv"
    with path.open("w", encoding="utf-8", newline="", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(("filename", "subclass", "intervals"))
        writer.writerows((name, "Dog", cell) for name, cell in rows)
    try:
        table = read_intervals(path, repair=repair)
    except (BadIntervalsError, DataVersionError):
        return
    for clip in table.clips.values():
        for event in clip.events:
            assert all(0 <= start < end < math.inf for start, end in event.intervals)
