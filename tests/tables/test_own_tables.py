"""A person's own table: what it says is what is read, and what it cannot say is refused with the row's number."""

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.errors import DataError, UsageError
from archsmith.run import Run
from archsmith.space import Arch, enumerate_archs
from archsmith.tables import Table, TableEstimator, read_table
from archsmith.trial import Evaluate

GOOD = """kernel,act,accuracy,latency_ms
3,relu,0.90,1.5
3,silu,0.91,1.75
5,relu,0.92,2.5
5,silu,0.89,2.75
"""


def write(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_before_the_first_metric_are_decisions(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    assert table.options == {"kernel": (3, 5), "act": ("relu", "silu")}
    assert set(table.columns) == {"accuracy", "latency_ms"}
    assert table.final("accuracy")[table.row(Arch({"kernel": 5, "act": "relu"}))] == 0.92


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_compression_do_not_matter(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress(GOOD.replace(",", separator).encode()))
    assert read_table(path).options == read_table(write(tmp_path, GOOD)).options


def test_parquet_says_the_same(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "kernel": [3, 3, 5, 5], "act": ["relu", "silu"] * 2, "accuracy": [0.9, 0.91, 0.92, 0.89],
        "latency_ms": [1.5, 1.75, 2.5, 2.75],
    }  # fmt: skip
    parquet.write_table(arrow.table(columns), tmp_path / "mine.parquet")
    here, there = read_table(tmp_path / "mine.parquet"), read_table(write(tmp_path, GOOD))
    assert here.options == there.options
    assert all((here.final(name) == there.final(name)).all() for name in there.columns)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
    levels=st.integers(1, 3),
    repeats=st.integers(1, 3),
)
def test_rows_in_any_order_are_found_by_their_answers(sizes, order, levels, repeats, tmp_path_factory) -> None:
    names = [f"d{i}" for i in range(len(sizes))]
    lines, values = [], {}
    for place, answers in enumerate(itertools.product(*(range(n) for n in sizes))):
        for level, repeat in itertools.product(range(levels), range(repeats)):
            values[answers, level, repeat] = place + level / 8 + repeat / 64
            cells = [*answers, level + 1, repeat, values[answers, level, repeat]]
            lines.append(",".join(map(str, cells)))
    order.shuffle(lines)
    text = "\n".join([",".join([*names, "epochs", "seed", "score"]), *lines])
    path = write(tmp_path_factory.mktemp("table"), text)
    table = read_table(path, fidelity=["epochs"], repeat="seed")
    for (answers, level, repeat), value in values.items():
        row = table.row(dict(zip(names, answers, strict=True)))
        assert table.column("score")[row, level, repeat] == value
        assert table.arch(row) == Arch(dict(zip(names, answers, strict=True)))


BAD = {
    "duplicate": (GOOD + "3,silu,0.5,2\n", r"row 6: it repeats row 3: kernel=3, act=silu"),
    "missing": (GOOD.replace("5,relu,0.92,2.5\n", ""), r"1 have no row\..*: kernel=5, act=relu \(after row 3\)"),
    "not a number": (GOOD.replace("0.92", "good"), r"row 4: the metric 'accuracy' is 'good'"),
    "not finite": (GOOD.replace("0.92", "nan"), r"row 4: the metric 'accuracy' is 'nan'"),
    "an empty metric": (GOOD.replace("0.92", ""), r"row 4: the metric 'accuracy' is ''"),
    "an empty decision": (GOOD.replace("5,silu", "5,"), r"row 5: the decision 'act' has no value"),
    "a short row": (GOOD.replace("5,silu,0.89,2.75", "5,silu,0.89"), r"row 5 has 3 values"),
    "one name twice": (GOOD.replace("latency_ms", "accuracy"), r"two columns are named 'accuracy'"),
    "the first of all is missing": (GOOD.replace("3,relu,0.90,1.5\n", ""), r": kernel=3, act=relu \(before row 2\)"),
    "the index of pandas": (",kernel,score\n0,3,0.9\n1,5,0.8\n", r"column 1 has no name.*pandas.*index=False"),
    "an index that was read": ("Unnamed: 0,k,score\n0,3,0.9\n", r"column 1 is called 'Unnamed: 0'.*index=False"),
    "two without names": (",,score\n0,3,0.9\n", r"columns 1 and 2 have no name"),
    "only a header": ("kernel,accuracy\n", r"at least one row"),
    "nothing": ("", r"at least one row"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_is_refused_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, text))


@pytest.mark.parametrize(("decisions", "missing"), [(34, "17,179,869,182"), (70, "1,180,591,620,717,411,303,422")])
def test_many_decisions_are_counted_and_refused_before_any_array_of_all_is_made(
    tmp_path: Path, decisions: int, missing: str
) -> None:
    names = [f"d{i}" for i in range(decisions)]
    rows = "".join(f"{','.join([bit] * decisions)},0.5\n" for bit in "01")
    with pytest.raises(DataError, match=rf" {missing} have no row\..*d0=0, d1=0, .*\(after row 2\)") as refused:
        read_table(write(tmp_path, f"{','.join(names)},score\n{rows}"))
    assert len(str(refused.value)) < 700


def test_what_is_missing_would_stand_after_the_last_row_of_what_comes_before(tmp_path: Path) -> None:
    text = "k,act,epochs,score\n" + "".join(
        f"{k},{act},{e},0.5\n" for k, act in ((1, "a"), (1, "b"), (2, "a"), (3, "b")) for e in (1, 3)
    )
    with pytest.raises(DataError, match=r"2 have no row.*k=2, act=b \(after row 7\); k=3, act=a \(after row 7\)"):
        read_table(write(tmp_path, text), fidelity=["epochs"])


def test_a_decision_may_have_the_name_of_a_constraint(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD.replace("kernel", "valid")))
    archs = list(enumerate_archs(table.space))
    assert sorted(table.row(arch) for arch in archs) == [0, 1, 2, 3]
    assert set(table.space.decisions) == {"valid", "act"}


def test_options_that_were_not_announced_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(DataError, match=r"row 4: 'kernel' is '5', which is no option of it"):
        read_table(path, options={"kernel": (3, 7)})
    announced = read_table(path, options={"act": ("silu", "relu")})
    assert announced.options["act"] == ("silu", "relu")


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(UsageError, match="'kernel'"):
        read_table(path, decisions=["kernal"])
    with pytest.raises(UsageError, match="two things at once"):
        read_table(path, decisions=["kernel", "act"], metrics=["act"])
    with pytest.raises(UsageError, match="Name the decisions"):
        read_table(write(tmp_path, "a,b\n1,2\n", "other.csv"))
    with pytest.raises(DataError, match="No such file"):
        read_table(tmp_path / "nothing.csv")


def test_a_level_or_a_repeat_that_one_row_lacks_is_refused(tmp_path: Path) -> None:
    text = "k,epochs,score\n1,1,0.1\n1,2,0.2\n2,1,0.3\n"
    with pytest.raises(DataError, match=r"row 4: k=2 is not there for every value of epochs; 1 rows are missing"):
        read_table(write(tmp_path, text), fidelity=["epochs"])
    with pytest.raises(DataError, match=r"row 3: the fidelity 'epochs' is 0"):
        read_table(write(tmp_path, text.replace("1,2,0.2", "1,0,0.2")), fidelity=["epochs"])


CURVES = "k,epochs,score,seconds\n" + "".join(f"{k},{e},{k + e / 10},{10 * k * e}\n" for k in (1, 2) for e in (1, 3, 9))


def curves(folder: Path) -> Table:
    return read_table(write(folder, CURVES), fidelity=["epochs"])


def run(number: int = 0, seed: int = 0) -> Run:
    return Run(number, seed)


def test_a_proposal_is_measured_at_the_level_it_pays_for(tmp_path: Path) -> None:
    measure = TableEstimator(curves(tmp_path), ["score"], cost="seconds")
    arch = Arch({"k": 2})
    assert measure.timed(Evaluate(arch, {"epochs": 3}), run()) == ({"score": 2.3}, 60.0)
    assert measure.timed(Evaluate(arch, {"epochs": 8}), run()) == ({"score": 2.3}, 60.0)
    assert measure.timed(Evaluate(arch), run()) == ({"score": 2.9}, 180.0)
    assert measure(Evaluate(arch), run()) == {"score": 2.9}
    with pytest.raises(UsageError, match="epochs=1; epochs=3; epochs=9"):
        measure(Evaluate(arch, {"epochs": 0.5}), run())
    with pytest.raises(UsageError, match="no results at width=3"):
        measure(Evaluate(arch, {"width": 3}), run())


def test_a_trial_that_goes_on_pays_for_the_rest_only(tmp_path: Path) -> None:
    measure = TableEstimator(curves(tmp_path), ["score"], cost="seconds", resumes=True)
    arch = Arch({"k": 1})
    assert measure.timed(Evaluate(arch, {"epochs": 1}), run(4))[1] == 10
    assert measure.timed(Evaluate(arch, {"epochs": 3}, resume=4), run(7))[1] == 20
    assert measure.timed(Evaluate(arch, {"epochs": 9}, resume=7), run(8))[1] == 60
    whole = TableEstimator(curves(tmp_path), ["score"], cost="seconds")
    whole.timed(Evaluate(arch, {"epochs": 1}), run(4))
    assert whole.timed(Evaluate(arch, {"epochs": 3}, resume=4), run(7))[1] == 30


def test_repeats_are_drawn_by_the_seed_of_the_run_and_evenly(tmp_path: Path) -> None:
    text = "k,seed,score\n" + "".join(f"{k},{s},{10 * k + s}\n" for k in (1, 2) for s in (1, 2, 3))
    measure = TableEstimator(read_table(write(tmp_path, text), repeat="seed"), ["score"])
    drawn = [measure(Evaluate(Arch({"k": 2})), run(seed=seed))["score"] for seed in range(300)]
    assert drawn == [measure(Evaluate(Arch({"k": 2})), run(seed=seed))["score"] for seed in range(300)]
    assert {v: drawn.count(v) for v in set(drawn)} == {21.0: 100, 22.0: 100, 23.0: 100}
    assert measure.table.final("score")[1] == 22.0


def test_only_the_named_metrics_are_shown(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD))
    assert set(TableEstimator(table, ["accuracy"])(Evaluate(table.arch(0)), run())) == {"accuracy"}
    with pytest.raises(UsageError, match="'latency_ms'"):
        TableEstimator(table, ["latency"])


def test_a_cost_below_zero_is_refused(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, GOOD.replace("1.5", "-1.5")))
    with pytest.raises(UsageError, match="below 0"):
        TableEstimator(table, ["accuracy"], cost="latency_ms")


def test_rows_that_are_there_twice_are_refused_without_a_file_too() -> None:
    with pytest.raises(DataError, match="row 2 repeats row 0: a=1"):
        Table("mine", {"a": (1, 2)}, np.array([[0], [1], [0]]), {"score": np.zeros((3, 1, 1))})


def test_names_with_underscores_are_no_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "kernels,accuracy\n3_3,0.8\n3_5,0.7\n5_5,0.9\n"))
    assert table.space.decisions["kernels"].options == ("3_3", "3_5", "5_5")
    with pytest.raises(DataError, match=r"row 3.*'0_8', which is not a finite number"):
        read_table(write(tmp_path, "kernel,accuracy\n3,0.7\n5,0_8\n"))


def test_a_metric_called_seconds_is_the_rows_own_whatever_is_charged(tmp_path: Path) -> None:
    measure = TableEstimator(curves(tmp_path), ["score", "seconds"], cost="seconds", resumes=True)
    arch = Arch({"k": 1})
    assert measure.timed(Evaluate(arch, {"epochs": 1}), run(4)) == ({"score": 1.1, "seconds": 10.0}, 10.0)
    metrics, charged = measure.timed(Evaluate(arch, {"epochs": 3}, resume=4), run(7))
    assert metrics["seconds"] == 30.0 and charged == 20.0
    assert TableEstimator(curves(tmp_path), ["score"]).timed(Evaluate(arch), run())[1] == 1.0
