"""Submissions that must not be accepted, each changed as a cheat would: with all sums put right."""

import json
import os
import re
import shutil
import zipfile

import pytest
from typer.testing import CliRunner

from tempo_tasks import cli
from tempo_tasks.errors import BundleError
from tempo_tasks.submission import open_bundle
from tempo_tasks.submission.asked_documents import AskedData
from tempo_tasks.submission.validate import validate
from tempo_tasks.submission.write_bundle import zip_folder
from tests.support.bundles import (
    LOUD,
    TASKS,
    change_json,
    change_lines,
    put_sums_right,
    write_synth_bundle,
    write_synth_run,
)

ASKED = [
    *TASKS,
    "tempo_synth_eo_aqa_ll",
    "tempo_synth_eo_acqa",
    "tempo_synth_lo_mirror",
    "tempo_synth_ld_aqa_rot",
]
FIRST, LIKELIHOODS = ASKED[0], ASKED[3]
DATA = AskedData()


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    run = write_synth_run(folder / "run", ASKED, edit=LOUD)
    return write_synth_bundle(folder / "bundle", run)


@pytest.fixture
def bundle(honest, tmp_path):
    return shutil.copytree(honest, tmp_path / "bundle")


def samples(bundle, task=FIRST):
    return bundle / "samples" / f"{task}.jsonl"


def faults(bundle):
    put_sums_right(bundle)
    verdict = validate(bundle, DATA)
    assert not verdict.accepted
    return "\n".join(verdict.faults)


def test_an_honest_bundle_is_accepted_as_folder_and_as_zip(honest, tmp_path):
    zip_folder(honest, tmp_path / "b.zip")
    for path in (honest, tmp_path / "b.zip"):
        verdict = validate(path, DATA)
        assert (verdict.faults, verdict.unchecked) == ([], [])
        assert verdict.row["label"] == "me/my-model (attention edited)"


# ------------------------------------------------------------------------------ a cheat's changes


@pytest.mark.parametrize(
    "file",
    ["results.json", "statistics.json", "leaderboard.json", "every_eval_ever/*.json"],
)
def test_a_changed_score(bundle, file):
    (path,) = bundle.glob(file)
    file = path.relative_to(bundle).as_posix()
    text = path.read_text()
    score = json.loads((bundle / "results.json").read_text())[FIRST]["acc"]
    path.write_text(text.replace(f"{score}", "0.9875"))
    assert re.search(rf"{file}: .* is 0.9875, expected {score} by the samples", faults(bundle))


def test_a_file_changed_without_its_sum(bundle):
    (bundle / "results.json").write_text((bundle / "results.json").read_text() + " ")
    assert "results.json: its SHA-256 sum is not that in SHA256SUMS" in str(
        validate(bundle, DATA).faults
    )


def test_a_changed_credit(bundle):
    change_lines(samples(bundle), lambda lines: [{**line, "acc": 1.0} for line in lines])
    assert "acc is 1.0, and the answer earns 0.0" in faults(bundle)


def test_samples_dropped(bundle):
    change_lines(samples(bundle), lambda lines: [x for x in lines if x["acc"] == 1])
    found = faults(bundle)
    assert "an item of the data is missing: 'tempo-synth-1/test/0000" in found
    assert re.search(r"\d samples that can be read; bundle.json says 8", found)


def test_samples_doubled(bundle):
    change_lines(samples(bundle), lambda lines: [*lines, *[x for x in lines if x["acc"] == 1]])
    assert "an item stands twice: 'tempo-synth-1/test/0000" in faults(bundle)


def test_right_answers_edited_to_what_the_model_said(bundle):
    def all_right(lines):
        for line in lines:
            line["doc"]["answer"] = line["filtered_resps"][0]
            line["acc"] = 1.0
        return lines

    change_lines(samples(bundle), all_right)
    assert re.search(r"doc.answer is '[A-D]', expected '[A-D]'", faults(bundle))


def test_model_answers_edited_but_for_the_raw_text(bundle):
    def all_right(lines):
        return [{**x, "filtered_resps": [x["doc"]["answer"]], "acc": 1.0} for x in lines]

    change_lines(samples(bundle), all_right)
    assert "filtered_resps is not what resps holds first" in faults(bundle)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("options", ["a", "b", "c", "d"]),
        ("prompt", "Say A."),
        ("cluster", "each-its-own"),
        ("margin", 9.0),
        ("condition", "acqa"),
        ("audio", []),
        ("more", 1),
    ],
)
def test_another_document(bundle, field, value):
    def change(lines):
        lines[0]["doc"][field] = value
        return lines

    change_lines(samples(bundle), change)
    assert re.search(rf"doc.{field}\S* (is|has|does not belong)", faults(bundle))


def test_other_data(bundle):
    change_json(
        bundle / "bundle.json",
        lambda about: about["tasks"][FIRST].update(
            settings={"synth_scenes": 7}, data_name="tempo-synth-1[:7]"
        ),
    )
    found = faults(bundle)
    assert "data_fingerprint is" in found
    assert "an item is not in the data: 'tempo-synth-1/test/00007/eo'" in found


@pytest.mark.parametrize("what", ["prompt_version", "data_fingerprint", "data_name"])
def test_another_version_of_prompt_or_data(bundle, what):
    change_json(bundle / "bundle.json", lambda about: about["tasks"][FIRST].update({what: "x@2"}))
    assert f"{FIRST}: {what} is 'x@2'; that of the data is" in faults(bundle)


def test_another_edit_of_attention_than_it_is_called(bundle):
    change_json(
        bundle / "bundle.json", lambda about: about["attention"]["config"].update(strength=1.0)
    )
    assert "attention.fingerprint is" in faults(bundle)
    change_json(
        bundle / "bundle.json", lambda about: about["attention"]["config"].update(strength="much")
    )
    assert "strength" in faults(bundle)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"-0.5"', '"NaN"', "log-likelihood is nan"),
        ('"-0.5"', '"0.5"', "a log-likelihood is 0.5; none lies above 0"),
        ('"-0.5"', "[]", "no log-likelihood"),
        ('"-0.5"', '"1' + "0" * 400 + '"', "a log-likelihood is inf"),
        ('"acc": 0.0', '"acc": NaN', "not JSON of finite numbers"),
        ('"acc": 0.0', '"acc": 1e999', "not JSON of finite numbers"),
        ('"acc": 0.0', '"acc": 0.5', "acc is 0.5, and the answer earns 0.0"),
        ('"acc": 0.0', '"acc": true', "acc is 'True'; expected a share"),
        ('"acc": 0.0', '"acc": ' + "9" * 5000, "not JSON"),
        ('"acc": 0.0', '"acc": ' + "[" * 50_000, "nested too deeply|more than|not JSON"),
        ('"acc": 0.0', '"acc": 0.0, "acc": 1.0', "stands twice"),
        ('"acc": 0.0', '"acc": 0.0, "letter_probabilities": [2, 0, 0, 0]', "expected shares"),
        ('"acc": 0.0', '"acc": 0.0, "letter_probabilities": [1, 1, 0, 0]', "at most 1"),
        ('"acc": 0.0', '"acc": 0.0, "letter_probabilities": {}', "no four numbers"),
    ],
)
def test_values_that_cannot_be(bundle, old, new, message):
    path = samples(bundle, LIKELIHOODS)
    change_lines(path, lambda lines: lines)  # the spelling of this test
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert re.search(message, faults(bundle))


@pytest.mark.parametrize("file", ["results.json", "audit.json", "leaderboard.json"])
@pytest.mark.parametrize("deep", [100, 900, 100_000])
def test_nested_files(bundle, file, deep):
    (bundle / file).write_text('{"a": ' + "[" * deep + "]" * deep + "}")
    assert re.search(rf"{file}: .*nested", faults(bundle))


def test_every_fault_is_listed(bundle):
    change_lines(samples(bundle), lambda lines: lines[:-1])
    change_lines(samples(bundle, ASKED[1]), lambda lines: [*lines, lines[0]])
    (bundle / "leaderboard.json").unlink()
    found = faults(bundle)
    for part in ("is missing", "stands twice", "leaderboard.json: missing"):
        assert part in found


def test_data_that_cannot_be_had_are_not_accepted(honest, tmp_path, monkeypatch):
    from tempo_tasks.errors import DataUnavailableError

    data = AskedData()

    def unavailable(*_):
        raise DataUnavailableError("no network here")

    monkeypatch.setattr(data, "_load", unavailable)
    verdict = validate(honest, data)
    assert verdict.faults == []
    assert not verdict.accepted
    assert len(verdict.unchecked) == len(ASKED)
    assert "the data cannot be had: no network here" in verdict.unchecked[0]
    assert "Not accepted: 7 parts not checked" in verdict.sentences()[-1]


# ------------------------------------------------------------------------------ hostile bundles


def unusable(path):
    with pytest.raises(BundleError) as error:
        validate(path, DATA)
    return str(error.value)


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_another_version(bundle, version):
    change_json(bundle / "bundle.json", lambda about: about.update(schema_version=version))
    assert "this release reads 'tempo-lalm-submission', version 1" in unusable(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(tasks={}), "0 tasks"),
        (lambda a: a["tasks"].update({"../../x": a["tasks"][FIRST]}), "is no task of tempo's"),
        (lambda a: a["tasks"].update(tempo_xx_yy=a["tasks"][FIRST]), "there is no task"),
        (lambda a: a["tasks"][FIRST].update(n="8"), "n is '8', expected int"),
        (lambda a: a["tasks"][FIRST].update(settings={"synth_scenes": 10**9}), "1 to 400"),
        (lambda a: a["tasks"][FIRST].update(settings={"data": "/etc"}), "'data' is '/etc'"),
        (lambda a: a.update(more=1), "'more'"),
        (lambda a: a.pop("model"), "'model'"),
    ],
)
def test_another_form(bundle, change, message):
    change_json(bundle / "bundle.json", change)
    assert message in unusable(bundle)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", '{"a": ' + "9" * 50 + "}", "\xff"])
def test_a_bundle_json_that_is_none(bundle, text):
    (bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    assert "bundle.json" in unusable(bundle)


@pytest.mark.parametrize("where", ["samples/tempo_x.jsonl", "audit.json", "samples/up"])
def test_links(bundle, where):
    os.symlink("/etc/passwd" if "up" not in where else "/etc", bundle / where)
    assert "is no regular file" in unusable(bundle)


def test_a_linked_folder(bundle):
    shutil.move(bundle / "samples", bundle.parent / "samples")
    os.symlink(bundle.parent / "samples", bundle / "samples")
    assert "'samples' is no regular file" in unusable(bundle)


def test_a_pipe(bundle):
    os.mkfifo(bundle / "audit.json")
    assert "is no regular file" in unusable(bundle)


def test_files_that_no_bundle_has(bundle):
    (bundle / "samples" / "run.py").write_text("import os")
    assert "'samples/run.py' is no file of a bundle" in unusable(bundle)


def test_a_sparse_file(bundle):
    with samples(bundle).open("r+b") as file:
        file.truncate(10 << 30)
    assert "expected at most" in unusable(bundle)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "samples/../../x", "a\\..\\x", "C:x", "samples", "bundle.json/x"]
)
def test_paths_out_of_a_zip(bundle, tmp_path, name):
    path = tmp_path / "b.zip"
    zip_folder(bundle, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    before = sorted(tmp_path.parent.rglob("x"))
    assert "is no file of a bundle" in unusable(path)
    assert sorted(tmp_path.parent.rglob("x")) == before


def test_a_link_in_a_zip(bundle, tmp_path):
    path = tmp_path / "b.zip"
    (bundle / "audit.json").unlink(missing_ok=True)
    zip_folder(bundle, path)
    member = zipfile.ZipInfo("audit.json")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, "/etc/passwd")
    assert "is a link" in unusable(path)


def test_a_file_twice_in_a_zip(bundle, tmp_path):
    path = tmp_path / "b.zip"
    zip_folder(bundle, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("bundle.json", "{}")
    assert "twice" in unusable(path)


def bomb(path, n_bytes):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("samples/tempo_synth_eo_aqa.jsonl", "w", force_zip64=True) as file,
    ):
        for _ in range(n_bytes >> 20):
            file.write(b" " * (1 << 20))
    return path


def test_a_zip_bomb_by_its_declared_size(tmp_path, monkeypatch):
    path = bomb(tmp_path / "b.zip", 100 << 20)
    assert path.stat().st_size < 1 << 20
    opened = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *a, **k: opened.append(a))
    assert "expected at most" in unusable(path)
    assert opened == []


def test_a_zip_bomb_of_ten_gigabytes(tmp_path, monkeypatch):
    path = bomb(tmp_path / "b.zip", 1 << 20)
    real = zipfile.ZipFile.infolist

    def declared(archive):
        members = real(archive)
        members[0].file_size = 10**10
        return members

    monkeypatch.setattr(zipfile.ZipFile, "infolist", declared)
    assert "10,000,000,000 bytes; expected at most" in unusable(path)


def test_a_zip_bomb_that_declares_less(tmp_path, monkeypatch):
    """The declared size is a lie: reading stops at the limit all the same."""
    monkeypatch.setattr(open_bundle, "MAX_FILE", 1 << 20)
    path = bomb(tmp_path / "b.zip", 8 << 20)
    data = bytearray(path.read_bytes())
    central = data.rfind(b"PK\1\2")
    data[central + 24 : central + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    message = unusable(path)
    assert "expected at most" in message or "no whole zip" in message


def test_many_bombs_together(tmp_path, monkeypatch):
    monkeypatch.setattr(open_bundle, "MAX_TOTAL", 1 << 20)
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            archive.writestr(f"samples/tempo_synth_eo_aqa_{number}.jsonl", b" " * (1 << 18))
    assert "bytes in all; expected at most" in unusable(path)


def test_a_zip_with_too_large_a_table_of_contents(tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"samples/tempo_{number:060}.jsonl", b"")
    assert "table of contents is larger" in unusable(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"PK\5\6" + b"\0" * 18])
def test_what_is_no_zip(tmp_path, content):
    path = tmp_path / "b.zip"
    path.write_bytes(content)
    assert str(path) in unusable(path)


def test_a_cut_zip(honest, tmp_path):
    path = tmp_path / "b.zip"
    zip_folder(honest, path)
    data = path.read_bytes()
    for n in (len(data) // 2, len(data) - 30):
        path.write_bytes(data[:n])
        assert str(path) in unusable(path)
    flipped = bytearray(data)
    flipped[200] ^= 0xFF
    path.write_bytes(flipped)
    assert str(path) in unusable(path)


# ------------------------------------------------------------------------------ the command


def tempo(*arguments):
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def test_exit_codes(bundle):
    assert tempo("validate", bundle).exit_code == 0
    change_lines(samples(bundle), lambda lines: lines[1:])
    done = tempo("validate", bundle, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert not found["accepted"]
    assert len(found["faults"]) > 2
    (bundle / "bundle.json").unlink()
    assert isinstance(tempo("validate", bundle).exception, BundleError)  # main(): exit code 2


def test_a_terminal_is_not_steered(bundle):
    def change(lines):
        lines[0]["doc"]["id"] = "\x1b]0;owned\x07[bold]"
        return lines

    change_lines(samples(bundle), change)
    put_sums_right(bundle)
    done = tempo("validate", bundle)
    assert "\x1b" not in done.output
    assert "[bold]" in done.output
