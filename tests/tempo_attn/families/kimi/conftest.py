import pytest
import torch
from transformers import AutoConfig

from tempo_attn.families import get_family
from tests.support.tiny_checkpoints import save


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return save("kimi_audio", tmp_path_factory.mktemp("kimi"))


@pytest.fixture(scope="package")
def config(folder):
    return AutoConfig.from_pretrained(folder, trust_remote_code=True)


@pytest.fixture(scope="package")
def family(config):
    return get_family(config)


@pytest.fixture(scope="package")
def processor(family, folder):
    return family.load_processor(str(folder))


@pytest.fixture(scope="package")
def load(family, config, folder):
    def load_model(**arguments):
        given = {"dtype": torch.float32, "trust_remote_code": True, **arguments}
        return family.model_class(config).from_pretrained(str(folder), **given)

    return load_model


@pytest.fixture(scope="package")
def model(load):
    return load()
