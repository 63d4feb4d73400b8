"""Tables as CSV and JSON: their bytes, and that a failure leaves what was there."""

import json
import math

import pytest

from tempo_attn.files.csv_and_json import write_csv, write_json, write_table

ROWS = [{"layer": 0, "mass": 0.5, "kind": "eo"}, {"layer": 1, "mass": None, "kind": "é, lo"}]


def test_a_table_is_written_twice(tmp_path):
    files = write_table(tmp_path / "mass", ROWS)
    assert [path.name for path in files] == ["mass.csv", "mass.json"]
    assert files[0].read_text("utf-8") == 'layer,mass,kind\n0,0.5,eo\n1,,"é, lo"\n'
    assert json.loads(files[1].read_text()) == ROWS
    assert files[1].read_bytes().isascii()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mass.csv", "mass.json"]


def test_json_makes_its_folder(tmp_path):
    path = write_json(tmp_path / "a" / "b.json", {"name": "é"}, ensure_ascii=False)
    assert path.read_text("utf-8") == '{\n  "name": "é"\n}\n'


def test_a_failure_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, math.nan)
    table = write_csv(tmp_path / "a.csv", ROWS)
    before = table.read_bytes()
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_csv(table, [*ROWS, {"another": 1}])
    assert (path.read_text(), table.read_bytes()) == ("1\n", before)
    assert len(list(tmp_path.iterdir())) == 2
