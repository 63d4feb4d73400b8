"""Rows and keys of a request, found from its token ids and from vLLM's placeholders."""

from types import SimpleNamespace

import pytest
import torch

from tempo_attn import AttnScaleConfig
from tempo_attn.errors import PositionError
from tempo_attn.serving.request_edits import (
    RequestEdit,
    RequestPlanner,
    audio_positions,
    mask_of,
    runs_of,
)
from tempo_tasks.tiny.tokenizer_and_model import build_tokenizer

QUESTION = (
    "Which sound event has the latest offset?\nA. Dog bark\nB. Siren\n"
    "Answer with the option's letter.<|im_end|>\n<|im_start|>assistant\n"
)


def feature(offset, length, is_embed=None, modality="audio"):
    place = SimpleNamespace(offset=offset, length=length, is_embed=is_embed)
    return SimpleNamespace(modality=modality, mm_position=place)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def prompt(tokenizer):
    """Token ids with five audio positions, and their mask."""
    ids = tokenizer(f"<|im_start|>user\n{'<|AUDIO|>' * 5}\n{QUESTION}").input_ids
    audio = torch.tensor(ids) == tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    assert audio.sum() == 5
    return ids, audio


def rows_of(edit, ids, tokenizer):
    """The text of each edited row."""
    rows = mask_of(edit.rows, edit.length).nonzero().flatten().tolist()
    return [tokenizer.decode(ids[row]).strip() for row in rows]


def test_audio_is_where_the_encoders_output_goes():
    inside = torch.tensor([False, True, True, False])
    features = [feature(1, 2), feature(5, 4, inside), feature(3, 1, modality="image")]
    found = audio_positions(10, features)
    assert found.nonzero().flatten().tolist() == [1, 2, 6, 7]
    assert not audio_positions(4, []).any()


def test_runs_and_masks_are_each_others_inverse():
    mask = torch.tensor([True, True, False, True, False, False, True])
    assert runs_of(mask) == [(0, 2), (3, 4), (6, 7)]
    assert torch.equal(mask_of(runs_of(mask), 7), mask)
    assert runs_of(torch.zeros(3).bool()) == []
    assert runs_of(torch.ones(3).bool()) == [(0, 3)]


@pytest.mark.parametrize(
    ("queries", "expected"),
    [("last", 1), ("keyword", ["latest"]), ("option", "Dog bark Siren")],
)
def test_rows_are_those_of_the_configuration(tokenizer, prompt, queries, expected):
    ids, audio = prompt
    config = AttnScaleConfig(strength=2, queries=queries)
    edit = RequestPlanner(tokenizer).plan("id", "a", config, ids, audio)
    found = rows_of(edit, ids, tokenizer)
    if queries == "last":
        assert mask_of(edit.rows, len(ids)).nonzero().flatten().tolist() == [len(ids) - 1]
    else:
        assert "".join(found).replace(" ", "") == "".join(expected).replace(" ", "")
    assert torch.equal(mask_of(edit.keys, len(ids)), audio)
    assert edit.n_keys == 5
    assert edit.n_rows == len(found)


def test_all_text_is_all_but_the_audio(tokenizer, prompt):
    ids, audio = prompt
    config = AttnScaleConfig(strength=2, queries="all_text")
    edit = RequestPlanner(tokenizer).plan("id", "a", config, ids, audio)
    assert torch.equal(mask_of(edit.rows, len(ids)), ~audio)


def test_a_request_that_the_edit_does_not_fit_is_refused(tokenizer, prompt):
    ids, audio = prompt
    planner = RequestPlanner(tokenizer)
    last = AttnScaleConfig(strength=2)
    with pytest.raises(PositionError, match="this request has none"):
        planner.plan("id", "a", last, ids, torch.zeros(len(ids)).bool())
    keyword = AttnScaleConfig(strength=2, queries="keyword", keywords=["loudest"])
    with pytest.raises(PositionError, match="none of the keywords"):
        planner.plan("id", "a", keyword, ids, audio)
    backwards = torch.zeros(len(ids)).bool()
    backwards[-2:] = True
    option = AttnScaleConfig(strength=2, queries="option")
    with pytest.raises(PositionError, match="comes before the audio"):
        planner.plan("id", "a", option, ids, backwards)


def test_a_tokenizer_of_another_kind_is_refused(prompt):
    ids, audio = prompt
    planner = RequestPlanner(SimpleNamespace())
    assert planner.plan("id", "a", AttnScaleConfig(strength=2), ids, audio).n_rows == 1
    with pytest.raises(PositionError, match="this server has a SimpleNamespace"):
        planner.plan("id", "a", AttnScaleConfig(strength=2, queries="option"), ids, audio)


def test_an_edit_survives_its_journey():
    edit = RequestEdit("id", "a", 9, [(1, 3)], [(5, 6), (8, 9)])
    assert RequestEdit.from_plain(edit.to_plain()) == edit
    prompt = edit.prompt()
    assert prompt.keys(AttnScaleConfig(strength=2)).sum() == 2
    assert prompt.length == 9
