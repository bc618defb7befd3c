"""Tables of any make become raw rows of numbers and category codes, and what is of no use is named."""

import gzip
import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import DataError, MissingExtra
from archsmith.task import Reader, load, prepare
from archsmith.task.read_csv import read_csv

RNG = np.random.default_rng(0)


def rows(count: int = 120) -> list[dict[str, str]]:
    """Return rows of many kinds of columns; ``bought`` is what to predict."""
    return [
        {
            "id": str(1000 + i),
            "age": "" if i % 11 == 0 else str(20 + i % 50),
            "city": "?" if i % 13 == 0 else ["Rome", "Oslo", "Lima"][i % 3],
            "income": f"{1e3 + 17.5 * i:.2f}",
            "joined": f"2024-{1 + i % 12:02d}-03",
            "empty": "NA",
            "same": "x",
            "name": f"person {i}",
            "score": f"{math.sin(i):.4f}",
            "bought": ["no", "yes", "no"][i % 3],
        }
        for i in range(count)
    ]


def write(path: Path, table: list[dict[str, str]], separator: str = ",", header: bool = True) -> Path:
    lines = [separator.join(r.values()) for r in table]
    text = "\n".join(([separator.join(table[0])] if header else []) + lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t"), ("t.csv.gz", ";"), ("t.data", "|")])
def test_columns_are_typed_and_the_useless_left_out_with_notes(tmp_path: Path, name: str, separator: str) -> None:
    task = load(write(tmp_path / name, rows(), separator), target="bought")
    assert [(c.name, c.kind) for c in task.columns] == [
        ("age", "numeric"),
        ("city", "categorical"),
        ("income", "numeric"),
        ("score", "numeric"),
    ]
    assert task.columns[1].categories == ("Lima", "Oslo", "Rome")
    assert [c.missing for c in task.columns] == [True, True, False, False]
    assert (task.labels, task.target, task.name) == (("no", "yes"), "bought", "t")
    notes = "\n".join(task.notes)
    for column, reason in (
        ("id", "numbers the rows"),
        ("joined", "dates are not used"),
        ("empty", "no values"),
        ("same", "in every row"),
        ("name", "names or free text"),
    ):
        assert f"column '{column}' was left out: " in notes
        assert reason in notes


def test_raw_rows_hold_the_numbers_codes_and_gaps_of_the_file(tmp_path: Path) -> None:
    table = rows()
    task = load(write(tmp_path / "t.csv", table), target="bought")
    raw = torch.cat([task.train.x, task.valid.x, task.open_test().x])
    expected = prepare(task, table)
    assert raw.dtype == torch.float32
    for row in expected:
        assert ((raw == row) | (raw.isnan() & row.isnan())).all(1).any()
    assert expected[0, 0].isnan()
    assert expected[0, 1] == 0  # "?" has the code of the unknown
    assert expected[1].tolist() == pytest.approx([21, 2, 1017.5, math.sin(1)], abs=1e-3)


def test_files_without_a_header_get_numbered_names(tmp_path: Path) -> None:
    task = load(write(tmp_path / "t.csv", rows(), header=False), target=-1)
    assert task.target == "col9"
    assert task.columns[0].name == "col1"
    assert any("no header" in note for note in task.notes)
    named = load(write(tmp_path / "n.csv", rows()), target="bought")
    assert task.split_hash == named.split_hash
    assert load(tmp_path / "t.csv", target="col9").split_hash == task.split_hash
    with pytest.raises(DataError, match=r"no column 'bought'.*col0 to col9.*-1 is the last"):
        load(tmp_path / "t.csv", target="bought")


@pytest.mark.parametrize(
    ("first", "second", "header"),
    [
        ("a,b,c", "1,2,x", True),
        ("1,2,x", "3,4,y", False),
        ("0,1,2,label", "5,6,7,x", True),
        ("red,small,yes", "blue,large,no", True),
        (",age,sex", "0,22,m", True),
        ("a,a,b", "a,b,b", False),
        ("39,State-gov,Male", "50,Private,Male", False),
    ],
)
def test_headers_are_recognised(tmp_path: Path, first: str, second: str, header: bool) -> None:
    (tmp_path / "t.csv").write_text("\n".join([first, *[second] * 30]))
    names, found, notes = read_csv(tmp_path / "t.csv")
    assert len(found) == 30 + (not header)
    assert names[-1] == (first.split(",")[-1] if header else f"col{len(names) - 1}")
    assert any("no header" in note for note in notes) == (not header)


def test_header_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2,0\n" + "".join(f"{i * 7 % 5},{i % 3},{i % 2}\n" for i in range(40)))
    assert load(tmp_path / "t.csv", header=True, target="0").target == "0"
    assert load(tmp_path / "t.csv", header=False).target == "col2"


def test_without_a_target_the_usual_or_last_column_is_taken_and_said(tmp_path: Path) -> None:
    task = load(write(tmp_path / "t.csv", rows()))
    assert any("no target was named, so column 'bought'" in note for note in task.notes)
    table = [{"label": r.pop("bought"), **r} for r in rows()]
    assert load(write(tmp_path / "u.csv", table)).target == "label"


def test_the_goal_follows_the_target_and_can_be_forced(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"a": f"{math.sin(i):.3f}", "grade": str(i % 7), "x": r["income"]} for i, r in
                                      enumerate(rows())])  # fmt: skip
    assert load(path, target="x").spec.goal == "regression"
    assert load(path, target="a").spec.outputs == 1
    grades = load(path, target="grade")
    assert (grades.spec.goal, grades.labels) == ("classification", tuple("0123456"))
    assert any("7 distinct whole numbers" in note for note in grades.notes)
    assert load(path, target="grade", goal="regression").labels == ()


def test_rows_without_a_target_are_left_out_with_a_note(tmp_path: Path) -> None:
    table = rows()
    for r in table[:9]:
        r["bought"] = "?"
    task = load(write(tmp_path / "t.csv", table), target="bought")
    assert sum(task.sizes.values()) == len(table) - 9
    assert any("9 rows without a value" in note for note in task.notes)


def test_none_is_a_class_like_any_other(tmp_path: Path) -> None:
    table = [{**r, "bought": "None" if r["bought"] == "no" else "yes"} for r in rows()]
    assert load(write(tmp_path / "t.csv", table), target="bought").labels == ("None", "yes")


def test_seldom_categories_are_unknown(tmp_path: Path) -> None:
    table = [{**r, "city": "Atlantis" if i == 5 else r["city"]} for i, r in enumerate(rows())]
    task = load(write(tmp_path / "t.csv", table), target="bought")
    assert "Atlantis" not in task.columns[1].categories
    assert prepare(task, table)[5, 1] == 0


def test_a_few_odd_values_among_numbers_count_as_missing(tmp_path: Path) -> None:
    table = [{**r, "income": "12 kg" if i == 5 else r["income"]} for i, r in enumerate(rows())]
    task = load(write(tmp_path / "t.csv", table), target="bought")
    assert task.columns[2].kind == "numeric"
    assert any("'income': 1 values that are not numbers, such as '12 kg'" in note for note in task.notes)


def test_quotes_encodings_blank_lines_and_byte_order_marks(tmp_path: Path) -> None:
    lines = ['name,"a, b",y', "", *(f'"{"Zoë" if i % 2 else "Ana"}", {i % 17 / 4} ,{"da" if i % 3 else "nu"}' for i in
                                    range(60))]  # fmt: skip
    for encoding in ("utf-8-sig", "latin-1"):
        (tmp_path / "t.csv").write_bytes("\r\n".join(lines).encode(encoding))
        task = load(tmp_path / "t.csv")
        assert [c.name for c in task.columns] == ["name", "a, b"]
        assert task.columns[0].categories == ("Ana", "Zoë")
        assert task.labels == ("da", "nu")


def test_train_and_test_tables_in_one_folder(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", rows(90))
    write(tmp_path / "test.csv", rows(40))
    (tmp_path / "README.md").write_text("hello")
    assert load(tmp_path, target="bought").sizes["test"] == 40
    (tmp_path / "test.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"test\.csv: there is no column 'id' as in train\.csv"):
        load(tmp_path, target="bought")


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
    parquet = importlib.import_module("pyarrow.parquet")
    columns: dict[str, Any] = {k: [r[k] for r in rows()] for k in ("city", "bought")}
    columns["city"] = arrow.array([None if c == "?" else c for c in columns["city"]]).dictionary_encode()
    columns["age"] = [None if r["age"] == "" else int(r["age"]) for r in rows()]
    columns["when"] = arrow.array([i * 86_400_000 for i in range(120)], type=arrow.timestamp("ms"))
    columns["nested"] = [[1, 2]] * 120
    columns["flag"] = [i % 5 == 0 for i in range(120)]
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    task = load(tmp_path / "t.parquet", target="bought")
    same = load(write(tmp_path / "t.csv", rows()), target="bought")
    assert task.split_hash == same.split_hash
    assert [(c.name, c.kind) for c in task.columns] == [
        ("city", "categorical"),
        ("age", "numeric"),
        ("flag", "categorical"),
    ]
    assert torch.equal(task.train.x[:, 1].nan_to_num(-1), same.train.x[:, 0].nan_to_num(-1))
    assert torch.equal(task.train.x[:, 0], same.train.x[:, 1])
    assert any("'nested'" in note for note in task.notes)
    assert any("'when' was left out: dates" in note for note in task.notes)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match=r"bad\.parquet: cannot be read as Parquet"):
        load(tmp_path / "bad.parquet")


def test_parquet_without_its_extra_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra, match=r"pip install 'archsmith\[parquet\]'"):
        load(tmp_path / "t.parquet")


def test_new_rows_are_read_by_the_facts_in_json_alone(tmp_path: Path) -> None:
    table = rows()
    task = load(write(tmp_path / "t.csv", table), target="bought")
    reader = Reader.from_json(json.loads(json.dumps(task.to_json())))
    assert reader == task.reader
    expected = prepare(task, table)
    without = [{k: v for k, v in r.items() if k != "bought"} for r in table]
    shuffled = [dict(sorted(r.items())) for r in without]
    for path in (
        tmp_path / "t.csv",
        write(tmp_path / "new.csv", without),
        write(tmp_path / "shuffled.csv", shuffled, ";"),
        write(tmp_path / "one.csv", without[:1]),
        write(tmp_path / "bare.csv", table, header=False),
        write(tmp_path / "bare2.csv", without, header=False),
    ):
        found = prepare(reader, path)
        assert torch.equal(found.nan_to_num(-7), expected[: len(found)].nan_to_num(-7)), path.name
    one = prepare(reader, [{"age": 3, "city": "Nowhere", "income": None, "score": 0.5}])
    assert one.nan_to_num(-7).tolist() == [[3, 0, -7, 0.5]]
    misspelt = [{"aged" if k == "age" else k: v for k, v in r.items()} for r in table]
    with pytest.raises(DataError, match=r"no column 'age'\. Did you mean 'aged'"):
        prepare(reader, write(tmp_path / "w.csv", misspelt))
    with pytest.raises(DataError, match="there must be 9 columns"):
        prepare(reader, write(tmp_path / "w.csv", [dict(list(r.items())[:3]) for r in table], header=False))


# Bad input


def test_unknown_target_gets_the_nearest_name(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows())
    with pytest.raises(DataError, match=r"no column 'brought'.*Did you mean 'bought'"):
        load(path, target="brought")
    with pytest.raises(DataError, match=r"no column number 10; numbers go from 0 to 9"):
        load(path, target=10)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("id", "like a row number"),
        ("name", "like a row number or a name"),
        ("empty", "target column 'empty' has no values"),
        ("same", "'x' for every sample"),
    ],
)
def test_targets_from_which_nothing_can_be_learned(tmp_path: Path, target: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(write(tmp_path / "t.csv", rows()), target=target)


def test_infinity_is_named_by_column(tmp_path: Path) -> None:
    table = [{**r, "income": "inf" if i == 5 else r["income"]} for i, r in enumerate(rows())]
    with pytest.raises(DataError, match="column 'income' holds infinity in row 6"):
        load(write(tmp_path / "t.csv", table), target="bought")
    with pytest.raises(DataError, match="'income' holds inf at sample 5"):
        load(tmp_path / "t.csv", target="income")


def test_a_word_among_numeric_targets_is_named(tmp_path: Path) -> None:
    table = [{**r, "income": "about 7" if i == 5 else r["income"]} for i, r in enumerate(rows())]
    with pytest.raises(DataError, match="number in most rows but holds 'about 7'"):
        load(write(tmp_path / "t.csv", table), target="income")
    with pytest.raises(DataError, match="holds 'about 7', which is not a number"):
        load(write(tmp_path / "t.csv", table), target="income", goal="regression")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "file is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 values but the first line has 2"),
        ("a,a,y\n1,2,x\n2,3,z\n", "two columns are named 'a'"),
        ("a\n1\n2\n", "only one column"),
        ("a\0b,c\n", "not a text file"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=rf"t\.csv: .*{words}"):
        load(tmp_path / "t.csv", header=True)


def test_nothing_left_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column is left to learn from: column 'same'"):
        load(write(tmp_path / "t.csv", [{"same": "x", "y": str(i % 2)} for i in range(30)]))


def test_a_gzip_that_unpacks_beyond_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"1,2,3\n" * 200_000))

    class Little:
        available = 1_000_000

    monkeypatch.setattr("archsmith.task.limits.psutil.virtual_memory", Little)
    with pytest.raises(DataError, match=r"t\.csv\.gz needs .*refused"):
        load(tmp_path / "t.csv.gz")


CELL = st.sampled_from(["1", "2.5", "-3e4", "", "?", "red", "blue", "nan", "2020-01-01", "x y", "é", "0"])


@settings(max_examples=60, deadline=None)
@given(table=st.lists(st.tuples(CELL, CELL, st.sampled_from(["a", "b", "7"])), min_size=1, max_size=40))
def test_any_table_loads_finite_features_or_is_refused(tmp_path_factory: Any, table: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("p,q,r\n" + "".join(",".join(row) + "\n" for row in table))
    try:
        task = load(path, header=True)
    except DataError as error:
        assert len(str(error)) > 20
        return
    for split in (task.train, task.valid, task.open_test()):
        features = task.preprocess(split.x)
        assert features.shape[1:] == task.spec.input_shape
        assert features.isfinite().all()
        codes = features[:, len(features[0]) - len(task.spec.cardinalities) :]
        assert (codes < torch.tensor(task.spec.cardinalities)).all()
