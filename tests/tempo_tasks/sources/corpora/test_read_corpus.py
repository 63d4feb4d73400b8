"""Corpora of every format: the same events of all, and every fault with its file and row."""

import json
import re

import pytest

from tempo_attn.errors import OptionError
from tempo_tasks.errors import (
    BadIntervalsError,
    BadTableError,
    DataUnavailableError,
    DataVersionError,
)
from tempo_tasks.sources.corpora.formats import format_of
from tempo_tasks.sources.corpora.label_maps import in_words, read_label_map
from tempo_tasks.sources.corpora.read_corpus import read_corpus, with_audio_names
from tempo_tasks.sources.intervals import read_intervals

DCASE = (
    "filename\tonset\toffset\tevent_label\n"
    "a.wav\t0.5\t2.0\tDog_bark\n"
    "a.wav\t3.0\t4.25\tSpeech\n"
    "b.wav\t0.0\t10.0\tAlarm_bell_ringing\n"
)
AUDIOSET = (
    "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    "a\t0.5\t2.0\t/m/05tny_\n"
    "a\t3.0\t4.25\t/m/09x0r\n"
    "b\t0.0\t10.0\t/m/07pp_mv\n"
)
MIDS = "/m/05tny_\tDog bark\n/m/09x0r\tSpeech\n/m/07pp_mv\tAlarm, bell ringing\n"
EVENTS = {
    "a": {"dog bark": ((0.5, 2.0),), "speech": ((3.0, 4.25),)},
    "b": {"alarm bell ringing": ((0.0, 10.0),)},
}


def jams(clip, events, length=10.0, namespace="scaper"):
    """What scaper writes of a clip, as far as it matters."""
    rows = [
        {
            "time": start,
            "duration": stop - start,
            "confidence": 1.0,
            "value": {"label": label, "role": role} if namespace == "scaper" else label,
        }
        for start, stop, label, role in events
    ]
    return json.dumps(
        {
            "annotations": [{"namespace": namespace, "data": rows, "sandbox": {}}],
            "file_metadata": {"duration": length, "title": clip},
            "sandbox": {},
        }
    )


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def events_of(table):
    return {
        name.removesuffix(".wav"): {event.label: event.intervals for event in clip.events}
        for name, clip in table.clips.items()
    }


def test_dcase(tmp_path):
    corpus = read_corpus([write(tmp_path, "weak.tsv", DCASE)])
    assert corpus.formats == ("dcase",)
    assert events_of(corpus.table) == EVENTS
    assert corpus.notes == (
        "labels changed: Alarm_bell_ringing -> alarm bell ringing; Dog_bark -> dog bark; "
        "Speech -> speech",
    )


def test_audioset_with_its_map_and_one_of_ones_own(tmp_path):
    own = write(tmp_path, "mine.csv", 'label,to\n"Alarm, bell ringing",Alarm bell ringing\n')
    table = write(tmp_path, "strong.tsv", AUDIOSET)
    maps = [write(tmp_path, "mid_to_display_name.tsv", MIDS), own]
    corpus = read_corpus([table], labels=maps)
    assert corpus.formats == ("audioset",)
    assert events_of(corpus.table) == EVENTS
    with pytest.raises(DataVersionError, match=r"/m/05tny_.*mid_to_display_name"):
        read_corpus([table])
    indices = "index,mid,display_name\n0,/m/05tny_,Dog bark\n1,/m/09x0r,Speech\n"
    assert read_label_map(write(tmp_path, "class_labels_indices.csv", indices)) == {
        "/m/05tny_": "Dog bark",
        "/m/09x0r": "Speech",
    }


@pytest.mark.parametrize("namespace", ["scaper", "segment_open"])
def test_jams_in_a_folder(tmp_path, namespace):
    heard = [(0.5, 2.0, "Dog_bark", "foreground"), (3.0, 4.25, "Speech", "foreground")]
    if namespace == "scaper":
        heard.append((0.0, 10.0, "park", "background"))
    write(tmp_path / "jams", "a.jams", jams("a", heard, namespace=namespace))
    bell = [(0.0, 10.0, "Alarm_bell_ringing", "foreground")]
    write(tmp_path / "jams", "b.jams", jams("b", bell, namespace=namespace))
    corpus = read_corpus([tmp_path / "jams"])
    assert corpus.formats == ("jams",)
    assert events_of(corpus.table) == EVENTS
    left_out = [str(repair) for repair in corpus.table.repairs]
    assert left_out == (
        ["a.jams, row 3, a: 'park' is the background; left out"] if namespace == "scaper" else []
    )


def test_jams_data_as_columns(tmp_path):
    data = {"time": [0.1, 2], "duration": [0.2, 1], "value": ["a", "b"], "confidence": [1, 1]}
    content = {"annotations": [{"namespace": "tag_open", "data": data}], "file_metadata": {}}
    table = read_corpus([write(tmp_path, "x.jams", json.dumps(content))]).table
    assert events_of(table) == {"x": {"a": ((0.1, 0.3),), "b": ((2.0, 3.0),)}}


def test_audacity(tmp_path):
    write(tmp_path / "labels", "a.txt", "0.5\t2.0\tDog_bark\n\\\t100\t900\n3.0\t4.25\tSpeech\n")
    write(tmp_path / "labels", "b.txt", "0.000000\t10.000000\tAlarm_bell_ringing\n")
    corpus = read_corpus([tmp_path / "labels"])
    assert corpus.formats == ("audacity",)
    assert events_of(corpus.table) == EVENTS


def test_interval_csvs_stay_as_they_are(tmp_path):
    file = write(tmp_path, "plain.csv", "filename,label,onset,offset\na.wav,Dog_bark,1,2\n")
    corpus = read_corpus([file])
    assert corpus.table == read_intervals(file)
    assert (corpus.formats, corpus.notes) == (("csv",), ())
    in_words_too = read_corpus([file], words=True)
    assert in_words_too.notes == ("labels changed: Dog_bark -> dog bark",)
    kept = read_corpus([write(tmp_path, "d.tsv", DCASE)], words=False)
    assert "Dog_bark" in kept.table.labels


def test_labels_are_merged_renamed_and_dropped(tmp_path):
    given = "label,to\nSpeech,voice\nDog_bark,voice\nAlarm_bell_ringing,\n"
    corpus = read_corpus(
        [write(tmp_path, "d.tsv", DCASE)], labels=[write(tmp_path, "map.csv", given)]
    )
    assert events_of(corpus.table) == {"a": {"voice": ((0.5, 2.0), (3.0, 4.25))}}
    assert corpus.notes == (
        "labels changed: Dog_bark -> voice; Speech -> voice",
        "labels dropped: Alarm_bell_ringing (1 rows)",
    )


def test_words():
    assert in_words("Dog_bark") == "dog bark"
    assert in_words("Blender") == "blender"
    assert in_words("TV_noise  loud") == "TV noise loud"


def test_clips_without_events_are_left_out_and_listed(tmp_path):
    text = DCASE + "empty.wav\t\t\t\nnone.wav\tnan\tnan\tnan\n"
    table = read_corpus([write(tmp_path, "d.tsv", text)]).table
    assert [str(repair) for repair in table.repairs] == [
        "d.tsv, row 4, empty.wav: no event; the clip is left out",
        "d.tsv, row 5, none.wav: no event; the clip is left out",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.wav\t5.0\t4.0\tSpeech", "row 4: a.wav: interval 5-4 ends before it starts"),
        ("a.wav\tnan\t4.0\tSpeech", "row 4: a.wav: interval nan-4"),
        ("a.wav\t1.0\t\tSpeech", "row 4: onset '1.0', offset ''"),
        ("a.wav\t-1.0\t2\tSpeech", "row 4: a.wav: interval -1-2"),
        ("a.wav\t1.0\t2\t", "row 4: filename 'a.wav', label ''"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path, row, message):
    file = write(tmp_path, "d.tsv", DCASE + row + "\n")
    with pytest.raises(BadIntervalsError, match=re.escape(message)):
        read_corpus([file])


def test_overlaps_are_joined_and_listed_reversed_ones_repaired(tmp_path):
    text = DCASE + "a.wav\t1.5\t2.5\tDog_bark\na.wav\t9.0\t8.0\tSpeech\n"
    table = read_corpus([write(tmp_path, "d.tsv", text)], repair=True).table
    assert events_of(table)["a"]["dog bark"] == ((0.5, 2.5),)
    told = " | ".join(map(str, table.repairs))
    assert "overlaps another; joined" in told
    assert "ends before it starts; turned round" in told


def test_an_event_past_the_clip_that_jams_tells(tmp_path):
    late = [(8.0, 12.0, "Speech", "foreground")]
    file = write(tmp_path, "a.jams", jams("a", late, length=10))
    with pytest.raises(BadIntervalsError, match=r"a\.jams, row 1: a: interval 8-12 is beyond.*10"):
        read_corpus([file])
    table = read_corpus([file], repair=True).table
    assert events_of(table) == {"a": {"speech": ((8.0, 10.0),)}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.tsv", "file\tstart\tstop\tname\n", r"x\.tsv: tab-separated.*dcase.*audioset.*audacity"),
        ("x.jams", "{", "not JSON"),
        ("x.jams", "[]", "no `annotations`"),
        (
            "x.jams",
            '{"annotations": [{"namespace": "beat", "data": []}]}',
            r"namespaces \['beat'\]",
        ),
        ("x.txt", "0.5\t2.0\tDog\n1.0 2.0 Cat\n", r"line 2: '1.0 2.0 Cat'; expected start, end"),
        ("x.csv", "name,when\n", "expected `filename`"),
    ],
)
def test_other_columns_are_told(tmp_path, name, text, message):
    with pytest.raises(DataVersionError, match=f"(?s){message}"):
        read_corpus([write(tmp_path, name, text)])


def test_files_that_are_not_there_and_formats_that_do_not_exist(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"none\.tsv; expected annotations"):
        format_of(tmp_path / "none.tsv")
    with pytest.raises(DataUnavailableError, match="folder without label tracks"):
        read_corpus([tmp_path])
    with pytest.raises(OptionError, match=r"--format dcsae.*Did you mean 'dcase'"):
        read_corpus([write(tmp_path, "d.tsv", DCASE)], form="dcsae")
    with pytest.raises(DataVersionError, match="are missing"):
        read_corpus([write(tmp_path, "d.tsv", DCASE)], form="audioset")


def test_a_map_that_contradicts_itself(tmp_path):
    given = write(tmp_path, "map.csv", "label,to\nDog,a\nDog,b\n")
    with pytest.raises(BadTableError, match=r"map\.csv, row 2: 'Dog' becomes 'b', and 'a'"):
        read_label_map(given)
    with pytest.raises(DataVersionError, match="expected one of"):
        read_label_map(write(tmp_path, "other.csv", "x,y\n1,2\n"))


def test_clips_get_the_names_of_their_files(tmp_path):
    table = read_corpus([write(tmp_path, "d.tsv", DCASE.replace(".wav", ""))]).table
    renamed, count = with_audio_names(table, ["a.flac", "b.wav", "c.wav"])
    assert (sorted(renamed.clips), count) == (["a.flac", "b.wav"], 2)
    assert all(clip.id == name for name, clip in renamed.clips.items())
    with pytest.raises(BadIntervalsError, match=r"a: a\.flac or a\.wav"):
        with_audio_names(table, ["a.flac", "a.wav"])
