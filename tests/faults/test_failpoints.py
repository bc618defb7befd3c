"""A fault happens where it was asked for, and nowhere else."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archsmith.failpoint import FailpointReached, arm, hit
from archsmith.files import replacing, write_text


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")


def test_nothing_happens_unless_it_is_asked_for():
    arm("")
    for _ in range(3):
        hit("store.commit.before")


def test_the_nth_time_at_a_place_counts_only_that_place():
    arm("b=raise@2")
    for name in "abac":
        hit(name)
    with pytest.raises(FailpointReached, match="b"):
        hit("b")
    hit("b")


def test_a_star_counts_every_place_it_stands_for():
    arm("store.*=raise@3")
    for name in ("store.a", "other", "store.b"):
        hit(name)
    with pytest.raises(FailpointReached):
        hit("store.c")


@pytest.mark.parametrize("text", ["a", "a=explode", "a=raise@x", "a=sleep:x"])
def test_what_is_no_failpoint_is_refused(text):
    with pytest.raises(ValueError):
        arm(text)


@pytest.mark.parametrize(("action", "code"), [("kill9", -9), ("exit", 1)])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_dies_where_it_is_told_to(action, code, tmp_path: Path):
    path = tmp_path / "file"
    program = (
        f"from pathlib import Path; from archsmith.files import write_text; write_text(Path({str(path)!r}), 'new', 'f')"
    )
    for place, left in (("before", None), ("written", None), ("synced", None), ("after", "new")):
        environment = {"ARCHSMITH_FAILPOINT": f"f.{place}={action}@1"}
        done = subprocess.run([sys.executable, "-c", program, str(path)], env={**os.environ, **environment})
        assert done.returncode == code
        assert (path.read_text() if path.exists() else None) == left, place


@pytest.mark.parametrize("place", ["before", "written", "synced"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(place, tmp_path: Path):
    path = tmp_path / "file"
    write_text(path, "old", "f")
    arm(f"f.{place}=enospc")
    with pytest.raises(OSError) as caught:
        write_text(path, "new", "f")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file"
    write_text(path, "old", "f")
    with pytest.raises(RuntimeError), replacing(path, "f") as temporary:
        temporary.write_text("half of it")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]
