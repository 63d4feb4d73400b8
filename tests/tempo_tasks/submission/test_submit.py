"""From a run to a bundle: what is in it, what never is, and that it is the same each time."""

import json
import re
import uuid

import pytest
import yaml
from typer.testing import CliRunner

from tempo_attn.errors import ConfigError, OptionError
from tempo_tasks import cli
from tempo_tasks.errors import SamplesNotFoundError, SubmissionError
from tests.support.bundles import LOUD, TASKS, change_json, change_lines, sums_of, write_synth_run
from tests.support.local_hub import local_hub
from tests.support.sample_files import DATE

UUID = "<uuid>"

LL = "tempo_synth_eo_aqa_ll"


def tempo(*arguments):
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def submit(run, out, *more):
    done = tempo("submit", run, "-o", out, "--no-audit", *more)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return out, done


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_synth_run(tmp_path_factory.mktemp("run") / "out", [*TASKS, LL], edit=LOUD)


def test_what_is_in_a_bundle(run, tmp_path):
    out, done = submit(run, tmp_path / "b", "--organization", "My Lab", "--label", "My entry")
    names = {re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", UUID, name) for name in sums_of(out)}
    assert names == {
        *("bundle.json", "results.json", "statistics.json", "leaderboard.json", "SHA256SUMS"),
        *(f"every_eval_ever/{UUID}{end}" for end in (".json", "_samples.jsonl")),
        *(f"samples/{task}.jsonl" for task in (*TASKS, LL)),
    }
    about = json.loads((out / "bundle.json").read_text())
    assert about["label"] == "My entry"
    assert about["links"]["organization"] == "My Lab"
    assert about["attention"]["fingerprint"] == LOUD.fingerprint()
    assert about["date"] == "2026-11-29T06:17:28Z"
    assert about["versions"]["environment"] == [
        "PyTorch version: 2.13.0+cpu",
        "Python version: 3.11",
    ]
    task = about["tasks"]["tempo_synth_eo_aqa"]
    assert (task["n"], task["data_name"]) == (8, "tempo-synth-1[:8]")
    assert task["settings"] == {"synth_scenes": 8}
    assert "Check it: tempo validate" in done.output
    row = json.loads((out / "leaderboard.json").read_text())
    assert [s["kind"] for s in row["scores"]] == ["eo", "lo", "ld", "macro", "eo"]
    results = json.loads((out / "results.json").read_text())
    assert results["tempo_synth_eo_aqa"]["acc"] == row["scores"][0]["accuracy"]


def test_nothing_of_the_machine_and_no_secret(run, tmp_path):
    out, _ = submit(run, tmp_path / "b")
    for path in filter(lambda path: path.is_file(), out.rglob("*")):
        text = path.read_text()
        assert not re.search(r"hf_secret|/home/me|/tmp|/root", text), path


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    first, _ = submit(run, tmp_path / "one")
    again, _ = submit(run, tmp_path / "one")  # in the place of the first
    other, _ = submit(run, tmp_path / "elsewhere" / "two")
    assert first == again
    assert sums_of(first) == sums_of(other)
    zips = [submit(run, tmp_path / name)[0].read_bytes() for name in ("a.zip", "b.zip")]
    assert zips[0] == zips[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.zip",
        "b.zip",
        "elsewhere",
        "one",
    ]


AGGREGATE = {
    *("schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info"),
    *("eval_library", "evaluation_results"),
}
INSTANCE = {
    *("schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id"),
    *("interaction_type", "input", "output", "answer_attribution", "evaluation"),
}


def test_every_eval_ever_has_what_its_schema_requires(run, tmp_path):
    out, _ = submit(run, tmp_path / "b")
    (path,) = out.glob("every_eval_ever/*.json")
    record = json.loads(path.read_text())
    optional = {"evaluation_timestamp", "detailed_evaluation_results"}
    assert AGGREGATE <= set(record) <= AGGREGATE | optional
    assert record["schema_version"] == "0.3.0"
    assert re.fullmatch(r"\d+", record["retrieved_timestamp"])
    source = record["source_metadata"]
    assert source["source_type"] in ("documentation", "evaluation_run")
    assert source["evaluator_relationship"] in (
        *("first_party", "third_party", "collaborative", "other"),
    )
    assert isinstance(source["source_organization_name"], str)
    assert {"name", "id"} <= set(record["model_info"])
    assert {"name", "version"} <= set(record["eval_library"])
    assert [found["evaluation_name"] for found in record["evaluation_results"]] == sorted(
        [*TASKS, LL]
    )
    for found in record["evaluation_results"]:
        assert {"evaluation_name", "source_data", "metric_config", "score_details"} <= set(found)
        assert {"dataset_name", "source_type"} <= set(found["source_data"])
        assert found["metric_config"]["lower_is_better"] is False
        # A continuous score has its ends.
        assert {"score_type", "min_score", "max_score"} <= set(found["metric_config"])
        assert 0 <= found["score_details"]["score"] <= 1
        uncertainty = found["score_details"]["uncertainty"]
        assert uncertainty["num_samples"] == 8
        assert {"lower", "upper"} <= set(uncertainty["confidence_interval"])
        details = found["generation_config"]["additional_details"]
        assert all(isinstance(value, str) for value in details.values())
        assert details["attention_edit_sha256"] == LOUD.fingerprint()
    detailed = record["detailed_evaluation_results"]
    name = f"{path.stem}_samples.jsonl"
    # The place that the collection's own validator (0.3.0) asks for.
    assert detailed["file_path"] == f"data/tempo-lalm/me/my-model/{name}"
    assert uuid.UUID(path.stem).version == 4
    assert record["model_info"]["developer"] == "me"
    lines = (out / "every_eval_ever" / name).read_text().splitlines()
    assert (detailed["format"], detailed["total_rows"]) == ("jsonl", len(lines))
    assert detailed["checksum"] == sums_of(out)[f"every_eval_ever/{name}"]
    for line in map(json.loads, lines):
        assert INSTANCE <= set(line) <= INSTANCE | {"sample_hash", "token_usage", "performance"}
        assert line["evaluation_id"] == record["evaluation_id"]
        assert line["interaction_type"] == "single_turn"
        assert {"raw", "reference"} <= set(line["input"])
        assert all(isinstance(raw, str) for raw in line["output"]["raw"])
        (answer,) = line["answer_attribution"]
        assert {"turn_idx", "source", "extracted_value", "extraction_method"} < set(answer)
        assert {"score", "is_correct"} == set(line["evaluation"])


def test_hub_results_name_a_data_set(run, tmp_path):
    out, _ = submit(
        run, tmp_path / "b", "--hub-dataset", "me/scenes", "--results-url", "https://x.org/?a=1&b=2"
    )
    (path,) = (out / ".eval_results").iterdir()
    assert path.name == f"tempo-lalm-attention-{LOUD.fingerprint()[:12]}.yaml"
    entries = yaml.safe_load(path.read_text())
    assert len(entries) == 4
    assert entries[0]["dataset"] == {"id": "me/scenes", "task_id": "tempo_synth_eo_aqa"}
    results = json.loads((out / "results.json").read_text())
    assert entries[0]["value"] == round(100 * results["tempo_synth_eo_aqa"]["acc"], 2)
    assert entries[0]["source"]["url"] == "https://x.org/?a=1&b=2"
    assert tempo("validate", out).exit_code == 0


# ------------------------------------------------------------------------------ runs refused


@pytest.fixture
def own(tmp_path):
    """A run to be damaged."""
    return write_synth_run(tmp_path / "own", TASKS[:1])


def refused(run, out, *more):
    done = tempo("submit", run, "-o", out, "--no-audit", *more)
    assert done.exit_code != 0
    assert not out.exists()
    return done.exception


def samples(run):
    return run / f"samples_{TASKS[0]}_{DATE}.jsonl"


def test_an_edited_credit_is_refused(own, tmp_path):
    change_lines(samples(own), lambda lines: [{**line, "acc": 1.0} for line in lines])
    error = refused(own, tmp_path / "b")
    assert isinstance(error, SubmissionError)
    assert "acc is 1.0, and the answer earns 0.0" in str(error)


def test_results_of_other_samples_are_refused(own, tmp_path):
    def add(results):
        results["results"] = {TASKS[0]: {"acc,none": 0.99}}

    change_json(own / f"results_{DATE}.json", add)
    error = refused(own, tmp_path / "b")
    assert re.search(r"results of .* are not those of its samples: acc is 0\.99", str(error))


def test_a_limited_run_is_refused(own, tmp_path):
    def cut(results):
        results["n-samples"] = {TASKS[0]: {"original": 400, "effective": 8}}

    change_json(own / f"results_{DATE}.json", cut)
    assert "8 of 400 items" in str(refused(own, tmp_path / "b"))


def test_a_run_without_results_is_refused(own, tmp_path):
    (own / f"results_{DATE}.json").unlink()
    assert "without results_" in str(refused(own, tmp_path / "b"))


def test_a_run_without_samples_says_how_to_have_them(own, tmp_path):
    samples(own).unlink()
    error = refused(own, tmp_path / "b")
    assert isinstance(error, SamplesNotFoundError)
    assert "--log_samples" in str(error)


def test_wrong_options(own, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    done = tempo("submit", own, "-o", other, "--no-audit")
    assert isinstance(done.exception, OptionError)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    out = tmp_path / "b"
    assert isinstance(refused(own, out, "--yes"), OptionError)
    assert isinstance(refused(own, out, "--model-url", "javascript:alert(1)"), OptionError)
    assert isinstance(refused(own, out, "--label", "a\x1b[31mb"), OptionError)
    assert isinstance(refused(own, out, "--push", "no/such/name"), ConfigError)
    assert isinstance(refused(own, out, "--audit", tmp_path / "none.json"), OptionError)


# ------------------------------------------------------------------------------ the Hub


def test_push_shows_and_then_sends(run, tmp_path, monkeypatch):
    from huggingface_hub import constants, hf_api

    with local_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hf_api.constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        options = ("--hub-dataset", "me/scenes", "--push", "me/my-model")
        out, done = submit(run, tmp_path / "b", *options)
        assert "Nothing was sent" in done.output
        assert hub.requests == []
        _, done = submit(run, out, *options, "--yes")
        assert "Sent: " in done.output
        sent = hub.repositories["me/my-model"].branches["main"]
    edit = LOUD.fingerprint()[:12]
    where = f"tempo_submission/2026-11-29-{edit}"
    assert f".eval_results/tempo-lalm-attention-{edit}.yaml" in sent
    inside = {name.removeprefix(f"{where}/"): data for name, data in sent.items() if where in name}
    assert set(inside) == set(sums_of(out))
    back = tmp_path / "back"
    for name, data in inside.items():
        (back / name).parent.mkdir(parents=True, exist_ok=True)
        (back / name).write_bytes(data)
    assert tempo("validate", back).exit_code == 0
