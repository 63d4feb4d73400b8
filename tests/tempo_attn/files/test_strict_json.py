"""Configurations from strangers: whatever the bytes, a dict or a ConfigError with the file."""

import json
import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tempo_attn.config import AttnScaleConfig
from tempo_attn.errors import AdapterError, ConfigError
from tempo_attn.files.strict_json import MAX_BYTES, MAX_DEPTH, parse_json_object, read_json_object
from tempo_attn.hub.adapter_folder import CONFIG_NAME, check_adapter_name
from tempo_attn.hub.find_config import find_config

MIB = 2**20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 10 * MIB, "10,485,760 bytes; expected at most 1,048,576"),
        (b"[" * 500_000, f"nested deeper than {MAX_DEPTH} levels"),
        (b'{"a":' * 150_000, "nested deeper"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "nested deeper"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        (b'{"p": [{"a": 1, "a": 1}]}', "the key 'a' occurs twice"),
        (b'{"strength": NaN}', "NaN is not JSON"),
        (b'{"strength": -Infinity}', "-Infinity is not JSON"),
        (b'{"strength": 1e999}', "the number 1e999 is too large"),
        (b'{"n": ' + b"9" * 100_000 + b"}", "has 100,000 characters; expected at most 19 digits"),
        (b'{"n": -' + b"9" * 20 + b"}", "at most 19 digits"),
        (b"[1]", "holds a JSON array; expected an object"),
        (b"null", "holds a JSON null; expected an object"),
        (b'"text"', "holds a JSON string"),
        (b"2.0", "holds a JSON number"),
        (b"true", "holds a JSON boolean"),
        (b"", "not valid JSON at line 1, column 1"),
        (b'{\n  "mode": "scale",\n  "stre', "not valid JSON at line 3, column 3"),
        (b'{"a": 1} {"b": 2}', "not valid JSON at line 1, column 10: Extra data"),
        (b"{'a': 1}", "not valid JSON at line 1, column 2"),
        (b'{"a": "\x01"}', "not valid JSON at line 1"),
        (b'{"a": "\xff"}', "not UTF-8 .byte 7"),
        ('{"a": "é"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "not valid JSON at line 1, column 1"),
        (b"\x80\x04\x95cposix\nsystem\n", "not UTF-8"),  # a pickle
    ],
    ids=range(27),
)
def test_every_refusal_names_the_file_and_the_reason(data, message, tmp_path):
    path = tmp_path / CONFIG_NAME
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message) as caught:
        AttnScaleConfig.from_pretrained(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": "' + b'\\"' * 500_000,  # an unfinished string of escaped quotes
        b'{"a": "' + b"\\" * 1_000_000 + b'"}',
        b"{" + b",".join(b'"%x": 0' % i for i in range(80_000)) + b', "0": 0}',
        b'{"strength": 1, "layers": [' + b",".join(b"%d" % i for i in range(150_000)) + b",0]}",
        b'{"strength": 1, "keywords": ['
        + b",".join(b'"%x"' % i for i in range(90_000))
        + b',"0"]}',
        b'{"strength": 1, "layers": [%s], "heads": {%s}}'
        % (
            b",".join(b"%d" % i for i in range(60_000)),
            b",".join(b'"%d":[0]' % (i + 1) for i in range(50_000, -1, -1)) + b',"99999":[0]',
        ),
        b'{"n": ' + b"[]," * 300_000 + b"}",
    ],
    ids=["escapes", "backslashes", "keys", "layers", "keywords", "heads", "lists"],
)
def test_the_largest_files_are_refused_in_linear_time(data):
    assert len(data) <= MAX_BYTES
    start = time.process_time()
    with pytest.raises(ConfigError):
        AttnScaleConfig.from_json(data)
    assert time.process_time() - start < 10  # quadratic: minutes


def test_digits_are_bounded_even_where_python_does_not(monkeypatch):
    if hasattr(sys, "set_int_max_str_digits"):
        limit = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(ConfigError, match="at most 19 digits"):
            parse_json_object(b'{"n": ' + b"9" * 1_000_000 + b"}", "here")
    finally:
        if hasattr(sys, "set_int_max_str_digits"):
            sys.set_int_max_str_digits(limit)


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "sparse.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a terabyte without a byte on disk
    monkeypatch.setattr(type(path), "open", lambda *a, **k: pytest.fail("opened"))
    with pytest.raises(ConfigError, match="1,099,511,627,776 bytes"):
        read_json_object(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / CONFIG_NAME)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_json_object(tmp_path / CONFIG_NAME)


def test_missing_and_folder(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json_object(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_json_object(tmp_path)


def test_what_can_be_saved_can_be_read():
    deepest = "x"
    for _ in range(MAX_DEPTH - 2):  # the file's object and provenance itself are two levels
        deepest = [deepest]
    config = AttnScaleConfig(strength=2, provenance={"deepest": deepest})
    assert AttnScaleConfig.from_json(config.to_json()) == config
    with pytest.raises(ConfigError, match="nested deeper"):
        AttnScaleConfig(strength=2, provenance={"deeper": [deepest]})


def test_a_byte_order_mark_and_brackets_in_strings_are_fine():
    text = json.dumps({"provenance": {"note": '[[[["\\' * 100}, "strength": 2})
    config = AttnScaleConfig.from_json(b"\xef\xbb\xbf" + text.encode())
    assert config.provenance["note"] == '[[[["\\' * 100
    deep = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert parse_json_object(deep, "here")["a"]


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_a_dict_or_a_config_error(data):
    try:
        found = parse_json_object(data, "here")
    except ConfigError as error:
        found = str(error)
    assert isinstance(found, dict) or found.startswith("here: ")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(AttnScaleConfig.__dataclass_fields__)), values))
def test_any_values_make_a_configuration_or_a_config_error(fields):
    try:
        found = AttnScaleConfig.from_dict(fields, where="here")
    except ConfigError as error:
        found = str(error)
    if isinstance(found, str):
        assert found.startswith("here: ")
    else:
        assert AttnScaleConfig.from_json(found.to_json()) == found


def test_paths_in_a_file_are_only_text():
    text = '{"strength": 2, "base_model_name_or_path": "../../etc/passwd"}'
    assert AttnScaleConfig.from_json(text).base_model_name_or_path == "../../etc/passwd"
    with pytest.raises(ConfigError, match=r"control characters \(U\+0000\)"):
        AttnScaleConfig.from_json('{"strength": 2, "base_model_name_or_path": "a\\u0000b"}')
    with pytest.raises(ConfigError, match="at most 512 characters"):
        AttnScaleConfig.from_json(json.dumps({"strength": 2, "keywords": ["a" * 513]}))


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a..b", ".hidden", "-x", "a/b", "a\\b", "../up", "a\n", "é", "a" * 65),
        *("a\0", "README.md", "readme.md", CONFIG_NAME, None, 3),
    ],
)
def test_adapter_names_that_are_refused(name):
    with pytest.raises(AdapterError, match="adapter name"):
        check_adapter_name(name)


def test_adapter_names_that_are_fine():
    for name in ("default", "a", "layer-20_alpha.2.0", "A" * 64):
        assert check_adapter_name(name) == name


@pytest.mark.parametrize("subfolder", ["..", "../x", "/etc", "a/../b", "", "a//b", "C:\\x", "."])
def test_subfolders_stay_inside(subfolder, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / CONFIG_NAME).write_text('{"strength": 2}')
    with pytest.raises(ConfigError, match="not a folder inside"):
        find_config(tmp_path / "adapter", subfolder=subfolder)
