"""The model argument `transcripts`: read, checked, recorded, and no proof of hearing."""

from types import SimpleNamespace

import pytest

from tempo_attn.errors import OptionError
from tempo_attn.families.desta.transcripts import clip_hash
from tempo_tasks.audio import read_audio
from tempo_tasks.errors import BadTableError, DataUnavailableError
from tempo_tasks.harness.arguments import check_arguments
from tempo_tasks.harness.lalm import LALM
from tempo_tasks.harness.response_cache import identity_of
from tempo_tasks.harness.transcripts import read_transcripts
from tests.support.tiny_checkpoints import save


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(save("desta25", tmp_path_factory.mktemp("desta")))


def table(tmp_path, *rows, header="sha256,transcript"):
    file = tmp_path / "transcripts.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def score(lm, clip):
    request = SimpleNamespace(doc={}, args=("<audio>Which?", " a", {"audio": [clip]}))
    ((answer, _),) = lm.loglikelihood([request], disable_tqdm=True)
    return answer


def test_transcripts_are_read_recorded_and_distinguished(checkpoint, clips, tmp_path):
    wave = read_audio(clips[1], 16000)
    file = table(tmp_path, f"{clip_hash(wave)},hello there", "*,")
    without = LALM(pretrained=checkpoint, dtype="float32")
    given = LALM(pretrained=checkpoint, dtype="float32", transcripts=str(file))
    assert score(without, clips[1]) != score(given, clips[1])
    assert score(without, clips[2]) == score(given, clips[2])
    records = [lm.get_model_info()["tempo"]["transcripts"] for lm in (without, given)]
    digest = given.processor.transcripts.sha256
    assert records == [{"source": "none"}, {"source": "file", "clips": 2, "sha256": digest}]
    assert str(tmp_path) not in str(records)
    assert identity_of(without)["processor"] != identity_of(given)["processor"]


def test_a_transcript_proves_no_hearing(checkpoint, clips, tmp_path):
    """Silence has no transcript: with it, the proof would be of the transcript."""
    file = table(tmp_path, "*,hello there")
    without = LALM(pretrained=checkpoint, dtype="float32")
    given = LALM(pretrained=checkpoint, dtype="float32", transcripts=str(file))
    for lm in (without, given):
        score(lm, clips[1])
    assert given.hearing.clip_change == without.hearing.clip_change > 0
    assert given.processor.transcripts.texts is not None


def test_rows_are_checked(tmp_path):
    assert read_transcripts(table(tmp_path, 'AB,"a, b"')).texts == {"ab": "a, b"}
    with pytest.raises(BadTableError, match="more than once:\n  row 2: ab"):
        read_transcripts(table(tmp_path, "ab,one", "AB,two"))
    with pytest.raises(BadTableError, match="expected sha256 and transcript"):
        read_transcripts(table(tmp_path, "ab,one", header="path,transcript"))


def test_wrong_files_and_models_are_told_before_a_model_is_loaded(checkpoint, tmp_path):
    with pytest.raises(DataUnavailableError, match="CSV file of transcripts"):
        check_arguments(checkpoint, {"transcripts": str(tmp_path / "none.csv")})
    with pytest.raises(OptionError, match="reads no transcripts"):
        check_arguments(None, {"transcripts": str(table(tmp_path, "*,"))})
    check_arguments(checkpoint, {"transcripts": str(table(tmp_path, "*,"))})


def test_special_tokens_in_transcripts_are_refused(checkpoint, tmp_path):
    file = table(tmp_path, "ab,hello <eos> there")
    with pytest.raises(OptionError, match="ab: '<eos>' in 'hello <eos> there'"):
        LALM(pretrained=checkpoint, transcripts=str(file))
