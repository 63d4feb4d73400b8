"""The embedded model as the doctor's patient, loaded once; each test examines it anew."""

import pytest

from tempo_tasks.doctor.examination import Examination, examination
from tempo_tasks.harness.lalm import LALM


@pytest.fixture(scope="session")
def patient():
    return LALM("embedded")


@pytest.fixture(scope="session")
def clips(patient):
    with examination(patient) as exam:
        yield exam


@pytest.fixture
def exam(patient, clips):
    """Nothing is remembered from one test to the next but the model and the clips."""
    return Examination(patient, clips.handles, clips.clip)
