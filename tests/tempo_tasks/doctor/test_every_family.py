"""The doctor on a tiny checkpoint of every family that the harness takes: all of it is green."""

import json

import pytest

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import MissingExtraError
from tempo_tasks.doctor.examine import diagnose
from tempo_tasks.doctor.loading import Request
from tests.support.tiny_checkpoints import ARGUMENTS, CHECKPOINTS, save

NOT_RUN = {("gemma4", "engine_agrees")}
"""Its last layers run for the last row only: the laboratory takes full forwards, and says so."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHECKPOINTS))
def test_every_check_passes(name, tmp_path):
    folder = save(name, tmp_path / "tiny")
    AttnScaleConfig(strength=3.0, layers=[1]).save_pretrained(tmp_path / "edit")
    request = Request(
        model=str(folder),
        model_args=ARGUMENTS.get(name, {}),
        attn_scale=str(tmp_path / "edit"),
    )
    try:
        diagnosis = diagnose(request)
    except MissingExtraError as error:
        pytest.skip(str(error))
    wrong = [
        f"{finding.name}: {finding.reason}"
        for finding in diagnosis.findings
        if finding.status != "passed" and (name, finding.name) not in NOT_RUN
    ]
    assert wrong == []
    assert diagnosis.status == "passed"
    assert (diagnosis.facts.name, diagnosis.attn_scale) == ("tiny", "edit")
    assert str(tmp_path) not in json.dumps(diagnosis.to_dict())
