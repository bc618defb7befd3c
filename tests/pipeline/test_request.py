"""What was asked for is resolved and checked before anything is read or trained."""

import sys
import tomllib

import pytest
import tomli_w

from archsmith.errors import MissingExtra, StoreError, UsageError
from archsmith.pipeline import search
from archsmith.request import SPACES, Request, resolve_limits, resolve_objectives
from archsmith.spaces import names
from archsmith.trial import maximize, minimize

ACCURACY = maximize("accuracy")


def test_limits_are_read_in_the_units_people_write():
    found = resolve_limits({"latency": "5ms", "params": "500k", "macs": "1.5M", "memory": "2MiB"})
    assert found == {"latency_ms": 5.0, "params": 500e3, "macs": 1.5e6, "activation_bytes": 2.0**21}


@pytest.mark.parametrize("limits", [{"latncy": "5ms"}, {"params": "many"}, {"params": -3}, {"latency_ms": "0ms"}])
def test_a_limit_that_cannot_be_is_refused_by_name(limits):
    with pytest.raises(UsageError, match=r"Did you mean 'latency'|params|latency_ms"):
        resolve_limits(limits)


def test_a_cost_alone_is_no_goal():
    assert resolve_objectives((), ACCURACY) == (ACCURACY,)
    assert resolve_objectives(["latency"], ACCURACY) == (ACCURACY, minimize("latency_ms"))
    assert resolve_objectives(["accuracy", "params"], ACCURACY) == (ACCURACY, minimize("params"))
    assert resolve_objectives(["params", "accuracy"], ACCURACY) == (ACCURACY, minimize("params"))
    assert resolve_objectives([minimize("rmse")], ACCURACY) == (minimize("rmse"),)
    with pytest.raises(UsageError, match="Did you mean 'accuracy'"):
        resolve_objectives(["acuracy"], ACCURACY)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strategy": "evolutoin"}, "Did you mean 'evolution'"),
        ({"executor": "process"}, "Did you mean 'processes'"),
        ({"formats": ("onx",)}, "Did you mean 'onnx'"),
        ({"trials": 0}, "at least 1"),
        ({"finalists": 0}, "at least 1"),
        ({"space": "mobil"}, "Did you mean 'mobile'"),
    ],
)
def test_an_unknown_option_names_the_nearest(given, words):
    with pytest.raises(UsageError, match=words):
        Request("digits", 60.0, **given)


def test_the_names_of_spaces_are_those_that_there_are():
    assert set(SPACES) == set(names())
    for space in ("mynet.py", "mynet.py:space", "C:\\nets\\mynet.py:space", "your own", ""):
        Request("digits", 60.0, space=space)


def test_the_request_survives_its_toml_file():
    request = Request("digits", 60.0, limits={"params": 5e5}, objectives=(ACCURACY,), seed=3, name="a b")
    data = tomllib.loads(tomli_w.dumps(request.to_toml()))
    assert data["limits"] == {"params": 5e5} and data["seed"] == 3 and "target" not in data
    assert Request.from_toml(data) == request
    assert data["objectives"] == [{"metric": "accuracy", "direction": "max"}]


@pytest.mark.parametrize("address", ["postgresql://me:geheim@db/lab", "postgresql://me@db/lab?password=geheim"])
def test_a_password_is_not_written_down(address):
    text = tomli_w.dumps(Request("digits", 60.0, store=address).to_toml())
    assert "geheim" not in text and "***" in text


def test_a_database_that_cannot_be_reached_is_told_before_anything_is_read():
    with pytest.raises(StoreError, match="Is the server running") as told:
        search("there is no such file.npz", budget="30s", store="postgresql://me:geheim@127.0.0.1:1/lab")
    assert "geheim" not in str(told.value)


def test_a_cluster_without_ray_is_told_before_anything_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"archsmith\[ray\]"):
        search("there is no such file.npz", budget="30s", executor="ray")
