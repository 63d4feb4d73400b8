"""One reader of CSV rows: what it takes, and that nothing is lost without a word anywhere."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_tasks.audit.training import read_training
from tempo_tasks.cli import main
from tempo_tasks.errors import BadTableError, DataUnavailableError, DataVersionError
from tempo_tasks.questions.questions import Kind
from tempo_tasks.sources.captions_and_intervals import read_captions
from tempo_tasks.sources.csv_reader import csv_rows
from tempo_tasks.sources.hub import load_released
from tempo_tasks.sources.intervals import read_intervals
from tempo_tasks.sources.table_files import find_tables
from tempo_tasks.sources.tacos import read_captions as read_weak
from tempo_tasks.sources.tacos import read_mapping, read_metadata, read_split, read_strong
from tempo_tasks.sources.without_audio import load_plain
from tests.support.released_layout import write_layout


@pytest.fixture
def written(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path):
    return list(csv_rows(path))


# What is taken


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_rows_of_every_system(written, end, mark):
    path = written(mark + end.join(["filename,text", "", '1.wav,"A, b ""c"""', "2.wav, ♪ ", ""]))
    assert read(path) == [
        (1, {"filename": "1.wav", "text": 'A, b "c"'}),
        (2, {"filename": "2.wav", "text": " ♪ "}),
    ]


def test_a_quoted_cell_may_hold_line_breaks(written):
    path = written('filename,text\n1.wav,"A\r\nb"\n2.wav,c\n')
    assert [row["text"] for _, row in read(path)] == ["A\r\nb", "c"]


def test_cells_that_a_short_row_lacks_are_empty(written):
    path = written("filename,text,note\n1.wav,A\n2.wav,B,C\n")
    assert read(path)[0] == (1, {"filename": "1.wav", "text": "A", "note": ""})


def test_empty_columns_of_a_spreadsheet_do_not_count(written):
    path = written(",filename,text,,\n0,1.wav,A,,\n1,2.wav,B\n")
    assert [row["text"] for _, row in read(path)] == ["A", "B"]


# Not "\r": before Python 3.13 the csv module's own writer leaves it without quotes.
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=5), st.sampled_from(["\n", "\r\n"])
)
def test_what_is_written_reads_back(tmp_path_factory, cells, end):
    path = tmp_path_factory.mktemp("round") / "table.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator=end).writerows([["a", "b", "c"], *cells])
    assert [list(row.values()) for _, row in read(path)] == cells


# What is refused


def test_a_row_with_more_cells_than_the_header_is_named_with_what_to_quote(written):
    path = written(
        "filename,onset,offset,label\na.wav,0.0,1.0,Dog\n\na.wav,0.0,1.0,Domestic animals, pets\n"
    )
    with pytest.raises(BadTableError) as refused:
        read(path)
    message = str(refused.value)
    assert "table.csv: 1 rows have more cells than the header, which has 4 (filename, " in message
    assert "row 2 (line 4): 5 cells ['a.wav', '0.0', '1.0', 'Domestic animals', ' pets']" in message
    assert 'needs quotes, such as "Domestic animals, pets"' in message


@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ("1.wav,A dog barks,then rain", '"A dog barks,then rain"'),
        ('1.wav,A "dog", a cat', '"A ""dog"", a cat"'),
        ("1.wav,A dog,", "delete the commas at its end"),
        ("1.wav,A dog,,", "delete the commas at its end"),
    ],
)
def test_what_to_correct(written, row, advice):
    with pytest.raises(BadTableError, match=r"row 1 \(line 2\)") as refused:
        read(written(f"filename,text\n{row}\n"))
    assert advice in str(refused.value)


def test_a_blank_before_a_quote_is_no_part_of_a_name(written):
    path = written('filename,label\na.wav, "Dog"\nb.wav," ""Cat"""\n')
    with pytest.raises(
        BadTableError, match=r"1 rows have a blank between a comma and a quote"
    ) as e:
        read(path)
    assert "row 1 (line 2)" in str(e.value)
    assert read(written('filename,label\nb.wav," ""Cat"""\n'))[0][1]["label"] == ' "Cat"'
    with pytest.raises(BadTableError, match="delete the blank between a comma and a quote"):
        read(written('filename,text\na.wav, "A dog, a cat"\n'))


def test_a_cell_in_a_column_without_a_name_is_one_too_many(written):
    with pytest.raises(BadTableError, match=r'"Domestic animals, pets"'):
        read(written("filename,label,\n1.wav,Domestic animals, pets\n"))


def test_the_first_rows_are_listed_and_all_are_counted(written):
    with pytest.raises(BadTableError, match=r"(?s)30 rows.*row 20 .*and 10 more"):
        read(written("filename,text\n" + "1.wav,a, b\n" * 30))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("filename,text,text\n1.wav,A,B\n", r"the columns \['text'\] twice"),
        ('filename,text\n1.wav,"A dog\n2.wav,A cat\n', r"unexpected end.*begins in line 2"),
        ('filename,text\n1.wav,"A dog\n2.wav,"A cat"\n', r"expected after.*begins in line 2"),
        ("filename,text\n1.wav,A\0dog\n", "zero byte"),
        ("filename,text\n1.wav,A dog\n".encode("utf-16"), "not a readable CSV.*save it in UTF-8"),
        ("filename,text\n1.wav,A dog\n".encode("utf-16-le"), "zero byte"),
        ("filename,text\n1.wav,Señal\n".encode("latin-1"), "not a readable CSV.*save it in UTF-8"),
        (f"filename,text\n1.wav,A\n2.wav,{'x' * 200_000}\n", r"field limit.*begins in line 3"),
    ],
)
def test_no_csv_that_can_be_read_one_way_only(written, content, message):
    with pytest.raises(DataVersionError, match=rf"table\.csv: .*{message}"):
        read(written(content))


def test_no_file(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"nowhere\.csv; expected a CSV file"):
        read(tmp_path / "nowhere.csv")


# The same in every reader of rows

QUESTION = (
    f"filename,question,A,B,C,D,correct_label\n1.wav,{Kind.EO.text},Dog, barking,Rain,Bell,Cat,A\n"
)
READERS = {
    "intervals": (read_intervals, "filename,onset,offset,label\n1.wav,0,1,Animals, pets\n"),
    "intervals of one row an event": (
        read_intervals,
        "filename,subclass,intervals\n1.wav,Dog,[1-2, 3-4]\n",
    ),
    "captions": (read_captions, "filename,text\n1.wav,A dog barks, then rain falls\n"),
    "captions of a build": (read_weak, "filename,text\n1.wav,A dog barks, then rain falls\n"),
    "plain questions": (load_plain, QUESTION),
    "released questions": (
        lambda path: load_released(Kind.EO, data=str(path)),
        "filename,question,option_a,option_b,option_c,option_d,correct_answer,correct_text\n"
        f"1.wav,{Kind.EO.text},Dog,Rain,Bell,Cat,A,Dog, barking\n",
    ),
    "training": (read_training, "n,audio_id\n1,birds, in a wood.wav\n"),
    "metadata": (
        read_metadata,
        "filename,manufacturer,license,sound_link\n1.wav,me, myself,CC0,x\n",
    ),
    "split": (read_split, "filename\nbirds, in a wood.wav\n"),
    "mapping": (read_mapping, "text,label\na dog barks, twice,Dog\n"),
    "free texts": (read_strong, "filename,onset,offset,text\n1.wav,0,1,a dog barks, twice\n"),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_of_rows_drops_surplus_cells(written, reader):
    read_it, content = READERS[reader]
    path = written(content)
    with pytest.raises(BadTableError, match=r"(?s)table\.csv: 1 rows.*row 1 \(line 2\).*quotes"):
        read_it(path)


def test_no_table_of_this_package_is_read_by_another_reader():
    """A reader of its own would bring the fault back."""
    from pathlib import Path

    import tempo_tasks

    package = Path(tempo_tasks.__file__).parent
    using = [
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "csv.reader" in (text := path.read_text(encoding="utf-8")) or "DictReader" in text
    ]
    assert using == ["sources/csv_reader.py"]


def test_a_build_from_labels_with_unquoted_commas_is_refused(tmp_path, capsys, monkeypatch):
    table = tmp_path / "intervals.csv"
    table.write_text(
        "filename,onset,offset,label\n"
        "a.wav,0.0,1.0,Domestic animals, pets\n"
        "a.wav,2.0,3.0,Domestic animals, pigs\n"
        "a.wav,5.0,6.0,Rain\na.wav,7.0,7.5,Bell\na.wav,8.0,9.0,Wind\n"
    )
    out = tmp_path / "out"
    command = ["tempo", "data", "build", "--out", str(out), "--intervals", str(table), "-q"]
    monkeypatch.setattr("sys.argv", [*command, "--margin", "1", "--kinds", "eo"])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code
    assert "row 1 (line 2)" in printed
    assert '"Domestic animals, pets"' in printed
    assert '"Domestic animals, pigs"' in printed
    assert not out.exists()
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["filename", "onset", "offset", "label"],
                ["a.wav", 0, 1, "Domestic animals, pets"],
                ["a.wav", 2, 3, "Domestic animals, pigs"],
                ["a.wav", 5, 6, "Rain"],
                ["a.wav", 7, 7.5, "Bell"],
            ]
        )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    (question,) = load_plain(out).questions
    assert question.answer_text == "Domestic animals, pets"
    assert "Domestic animals, pigs" in question.options


def test_a_table_of_the_layout_reads_back(layout_rows, tmp_path):
    rows = [{**row, "caption": 'A "dog", then, rain'} for row in layout_rows]
    (table,) = find_tables(write_layout(tmp_path, "csv", rows))
    assert {row["caption"] for row in table.rows()} == {'A "dog", then, rain'}
