"""Trials on a real cluster of several nodes, all on this machine: the laws, and all that can be lost."""

import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from trial_bodies import ended, make_trial, runs

from archsmith.errors import ClusterLost, MissingExtra, UsageError
from archsmith.execute import Inline, Processes, Ray
from archsmith.run import Run
from archsmith.space import Space, choice
from archsmith.strategy import RegularizedEvolution
from archsmith.study import Study
from archsmith.testing.executor import EXECUTOR_LAWS, ExecutorLaw
from archsmith.trial import Proposal

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.xdist_group("ray")  # one cluster is enough for a machine

_SMALL = 80 * 2**20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster that asks for a token: a head that runs nothing, and a node of two CPUs."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # a socket's path must be short
        (Path(folder) / "ray").mkdir()
        os.environ.update(RAY_TMPDIR=folder, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
        # Ray has read its environment when it was imported, and has to look again.
        pytest.importorskip("ray._private.authentication_test_utils").reset_auth_token_state()
        made = pytest.importorskip("ray.cluster_utils").Cluster()
        try:
            quick = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500}
            made.add_node(num_cpus=0, object_store_memory=_SMALL, include_dashboard=False, _system_config=quick)
            made.add_node(num_cpus=2, object_store_memory=_SMALL)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()
            os.environ.clear()
            os.environ.update(before)
        assert _of_ray(folder) == []


def _of_ray(folder: str) -> list[str]:
    """Every living process that knows the cluster's folder, a little while after it was ended."""
    found: list[str] = []
    for _ in range(50):
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if folder in path.read_text() and runs(int(path.parent.name)):
                    found.append(path.read_text().replace("\0", " ")[:100])
        if not found:
            break
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def connected(cluster: Any, turned_away: Any) -> None:
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)


@pytest.fixture
def on_ray(connected: None, tmp_path: Path) -> Iterator[Callable[..., Ray]]:
    made: list[Ray] = []

    def make(evaluate: Any = None, **settings: Any) -> Ray:
        made.append(Ray(evaluate or body, **{"folder": tmp_path, "grace": 0.5, "patience": 1.0, **settings}))
        return made[-1]

    yield make
    for executor in made:
        executor.close()


def body(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Does what its one decision, ``do``, says."""
    folder = run.folder or Path()
    do = proposal.arch["do"]
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "die once":
        half = folder / "half"
        if not half.exists():
            half.write_text("trained")
            os.kill(os.getpid(), signal.SIGKILL)
        return {"score": 1.0, "went_on": float(half.read_text() == "trained")}
    if do == "sleep":
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(60)
    if do == "unwind":
        try:
            (folder / "pid").write_text(str(os.getpid()))
            time.sleep(60)
        finally:
            (folder / "unwound").touch()
    if do == "sleep at first" and not (folder / "half").exists():
        (folder / "half").write_text(str(os.getpid()))
        time.sleep(60)
    if do == "leave an orphan":
        if not (folder / "orphan").exists():
            writes = "while true; do echo orphan >> ticks; sleep 0.02; done"
            orphan = subprocess.Popen(["sh", "-c", writes], cwd=folder, start_new_session=True)
            appears(folder / "ticks")
            (folder / "orphan").write_text(str(orphan.pid))
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "ticks").open("a") as file:
            file.write("mine\n")
    return {"score": 1.0, "pid": float(os.getpid()), "left": min(run.remaining(), 1e9)}


def measure(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """A function of the proposal and the seed alone."""
    return {"accuracy": proposal.arch["x"] / 64 + (run.seed % 7) / 1000}


def measure_under_fire(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """The same, but the first attempt at trial 9 names its node and waits for what comes."""
    named = (run.folder or Path()) / "raylet"
    if run.trial == 9 and not named.exists():
        named.write_text(str(os.getppid()))
        time.sleep(60)
    return measure(proposal, run)


def appears(path: Path) -> str:
    """Wait for a file, and return what it says."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


@pytest.mark.parametrize("law", EXECUTOR_LAWS, ids=lambda law: law.__name__)
def test_it_obeys_every_law_of_an_executor(law: ExecutorLaw, connected: None) -> None:
    law(lambda evaluate, folder, seed: Ray(evaluate, folder, seed=seed, grace=0.5))


# What is lost is begun again, and counts once.


@dataclass(frozen=True)
class Lossy:
    """What became of a few trials that ran together and some of which kill their processes."""

    executor: Ray
    folder: Path
    data: Mapping[int, Mapping[str, Any]]


@pytest.fixture(scope="module")
def lossy(connected: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lossy]:
    folder = tmp_path_factory.mktemp("lossy")
    executor = Ray(body, folder, grace=0.5, patience=1.0, attempts=2)
    for number, do in enumerate(("die once", "die", "leave an orphan", "score", "score")):
        executor.submit(make_trial(number, do))
    data = {number: event.data for number, event in ended(executor, 5).items()}
    yield Lossy(executor, folder, data)
    executor.close()


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(lossy: Lossy) -> None:
    assert lossy.data[0]["state"] == "complete" and lossy.data[0]["metrics"]["went_on"] == 1.0
    log = (lossy.folder / "trials" / "0" / "log.txt").read_text()
    assert "[attempt 2 of 2: its process was killed or crashed]" in log
    assert not (lossy.folder / "attempts").exists()


def test_a_trial_that_kills_every_process_fails_and_hurts_no_other(lossy: Lossy) -> None:
    states = [lossy.data[number]["state"] for number in range(5)]
    assert states == ["complete", "failed", "complete", "complete", "complete"]
    assert lossy.data[1]["reason"].startswith("killed: its process was killed or crashed, in the last of 2 attempts")


def test_what_a_lost_attempt_still_writes_is_fenced_off(lossy: Lossy) -> None:
    published = lossy.folder / "trials" / "2"
    orphan = int((published / "orphan").read_text())
    try:
        assert runs(orphan)
        ticks = (published / "ticks").read_text()
        time.sleep(0.3)
        assert (published / "ticks").read_text() == ticks and ticks.endswith("mine\n") and "orphan" in ticks
        assert not lossy.executor.poll(0)
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_trial_on_a_node_that_froze_is_begun_again(
    on_ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = on_ray()
    executor.submit(make_trial(0, "sleep at first"))
    frozen = int(appears(tmp_path / "attempts" / "0-1" / "half"))
    executor.poll(0.2)
    lives = executor._cluster.lives
    answers = iter([False])  # what the cluster says of a node whose process does not answer any more
    monkeypatch.setattr(executor._cluster, "lives", lambda node: next(answers, lives(node)))
    data = ended(executor, 1)[0].data
    assert data["state"] == "complete" and data["metrics"]["pid"] != frozen
    assert "[attempt 2 of 3: its node died]" in (tmp_path / "trials" / "0" / "log.txt").read_text()


def test_a_search_survives_the_death_of_a_node_and_ends_as_it_would_have(
    cluster: Any, on_ray: Any, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=2, object_store_memory=_SMALL)

    def kill_its_node() -> None:
        raylet = int(appears(tmp_path / "attempts" / "9-1" / "raylet"))
        nodes = cluster.worker_nodes
        victim = next(n for n in nodes if n.all_processes["raylet"][0].process.pid == raylet)
        cluster.remove_node(victim, allow_graceful=False)

    killer = threading.Thread(target=kill_its_node)
    killer.start()
    found = search(on_ray(measure_under_fire, seed=3, slots=1), tmp_path)
    killer.join()
    assert found == search(Inline(measure, seed=3), tmp_path / "inline")
    assert "[attempt 2 of 3: its node died]" in (tmp_path / "trials" / "9" / "log.txt").read_text()


SPACE = Space(x=choice(*range(64), name="x"), y=choice(*range(8), name="y"))


def search(executor: Any, folder: Path) -> list[tuple[Any, ...]]:
    strategy = RegularizedEvolution(SPACE, population=6, sample=3)
    with Study(SPACE, strategy, executor=executor, folder=folder / "study", seed=3) as study:
        study.run(trials=18)
        executor.close()
        return [(t.number, dict(t.arch), t.state, dict(t.metrics)) for t in study.trials]


def test_the_same_search_on_one_process_on_workers_and_on_a_cluster_is_the_same(on_ray: Any, tmp_path: Path) -> None:
    inline = search(Inline(measure, seed=3), tmp_path / "inline")
    workers = search(Processes(measure, slots=1, seed=3), tmp_path / "workers")
    cluster = search(on_ray(measure, seed=3, slots=1), tmp_path / "ray")
    assert inline == workers == cluster


# What takes too long.


def test_a_trial_that_sleeps_through_everything_is_killed(on_ray: Any, tmp_path: Path) -> None:
    executor = on_ray(trial_seconds=2.0)
    executor.submit(make_trial(0, "sleep"))
    pid = int(appears(tmp_path / "attempts" / "0-1" / "pid"))
    executor.submit(make_trial(1, "score"))
    events = ended(executor, 2)
    assert events[0].data["state"] == "failed" and events[0].data["reason"].startswith("timed_out")
    assert events[1].data["state"] == "complete" and events[1].data["metrics"]["left"] <= 2.0
    until = time.monotonic() + 10
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs(pid)


def test_a_trial_that_is_stopped_may_put_things_in_order(on_ray: Any, tmp_path: Path) -> None:
    executor = on_ray(grace=20.0)
    executor.submit(make_trial(0, "unwind"))
    appears(tmp_path / "attempts" / "0-1" / "pid")
    executor.stop(0)
    event = ended(executor, 1)[0]
    assert event.data["state"] == "stopped" and event.data["reason"].startswith("stopped")
    assert (tmp_path / "trials" / "0" / "unwound").exists()
    assert not (tmp_path / "trials" / "0" / "stop").exists()


def test_the_deadline_of_the_run_kills_what_goes_on(on_ray: Any, tmp_path: Path) -> None:
    executor = on_ray()
    executor.submit(make_trial(0, "sleep"))
    appears(tmp_path / "attempts" / "0-1" / "pid")
    executor.deadline = executor.now()
    event = ended(executor, 1)[0]
    assert event.data["state"] == "stopped" and event.data["reason"].startswith("deadline")


# What is asked for, and what there is.


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"gpus": 1}, "1 CPU, 1 GPU"), ({"threads": 64}, "64 CPU"), ({"memory": 10**15}, "1 CPU, 1e+06 GB of memory")],
)
def test_what_no_node_has_is_told_with_what_there_is(asked: dict[str, Any], words: str, on_ray: Any) -> None:
    with pytest.raises(UsageError) as told:
        on_ray(patience=0.3, **asked)
    assert f"asks for {words}. The nodes" in str(told.value) and "2 CPU, 0 GPU" in str(told.value)


def test_memory_is_asked_for_and_slots_follow_the_nodes(on_ray: Any) -> None:
    assert on_ray().slots == 2
    assert on_ray(memory=10**6).slots == 2
    assert on_ray(slots=5).slots == 5


def test_a_node_of_another_version_is_refused(on_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsmith.execute.ray.versions", lambda: {"archsmith": "9.9.9"})
    executor = on_ray()
    executor.submit(make_trial(0, "score"))
    with pytest.raises(UsageError, match=r"The node .* has archsmith \d.* runs with 9\.9\.9.*same version everywhere"):
        for _ in range(20):
            executor.poll(2.0)
    executor.stop(0)
    assert ended(executor, 1)[0].data["state"] == "stopped"


@dataclass
class Heavy:
    """Counts how often it is sent and how often it arrives."""

    folder: Path

    def __call__(self, proposal: Proposal, run: Run) -> Mapping[str, float]:
        return {"score": 1.0, "pid": float(os.getpid())}

    def __getstate__(self) -> dict[str, Any]:
        with (self.folder / "sent").open("a") as file:
            file.write("x")
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        with (self.folder / "arrived").open("a") as file:
            file.write("x")


def test_the_evaluation_is_stored_once_and_fetched_once_by_each_process(on_ray: Any, tmp_path: Path) -> None:
    executor = on_ray(Heavy(tmp_path))
    for number in range(8):
        executor.submit(make_trial(number, "score"))
    processes = {event.data["metrics"]["pid"] for event in ended(executor, 8).values()}
    assert (tmp_path / "sent").read_text() == "x"
    assert len((tmp_path / "arrived").read_text()) == len(processes)


def test_what_cannot_be_sent_is_refused_at_once(on_ray: Any) -> None:
    lock = threading.Lock()
    with pytest.raises(UsageError, match="cannot be sent to a cluster"):
        on_ray(lambda proposal, run: {"score": float(lock.locked())})


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'archsmith\[ray\]'"):
        Ray(body)


ALONE = """
import signal, sys
from archsmith.errors import ArchsmithError
from archsmith.execute import Ray, ray_cluster
from test_ray import body
from trial_bodies import make_trial

before = signal.getsignal(signal.SIGTERM)
ray_cluster._SHAKING = 1.0
try:
    executor = Ray(body, sys.argv[1], grace=0.5)
    assert signal.getsignal(signal.SIGTERM) is before
    executor.submit(make_trial(0, "sleep"))
    while True:
        executor.poll(1.0)
except ArchsmithError as error:
    print(error)
    executor = locals().get("executor")
    if executor is not None:
        executor.stop(0)
        print([event.data["state"] for event in executor.poll(1.0)])
        executor.close()
    sys.exit(error.exit_code)
"""


def alone(cluster: Any, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start a search of its own on the cluster, in another process."""
    given = {**os.environ, "RAY_ADDRESS": cluster.address, **environment}
    line = [sys.executable, "-c", ALONE, str(folder)]
    return subprocess.Popen(
        line, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parent
    )


@pytest.fixture(scope="module")
def turned_away(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A search with a wrong token, which takes its time to find out, while other tests run."""
    folder = tmp_path_factory.mktemp("refused")
    process = alone(cluster, folder, RAY_AUTH_TOKEN="0" * 64, RAY_NUM_REDIS_GET_RETRIES="2")
    yield process
    process.kill()
    process.communicate()


def test_a_wrong_token_is_told_with_what_to_do(turned_away: subprocess.Popen[str]) -> None:
    said, _ = turned_away.communicate(timeout=60)
    assert turned_away.returncode == MissingExtra.exit_code, said
    assert "does not let this process in" in said and "RAY_AUTH_TOKEN" in said
    assert os.environ["RAY_AUTH_TOKEN"] not in said


def test_the_code_of_the_documentation_runs_on_a_cluster_that_loses_calls(cluster: Any, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    for name in ("lab.py", "on_a_cluster.py"):
        (tmp_path / name).write_text(page.split(f'title="{name}"\n')[1].split("```")[0], encoding="utf-8")
    # At most two tasks that are sent, and two workers that are asked for, get lost: there, back, or on the way.
    calls = ("CoreWorkerService.grpc_client.PushTask", "NodeManagerService.grpc_client.RequestWorkerLease")
    lost = {"num_failures": 2, "req_failure_prob": 30, "resp_failure_prob": 30, "in_flight_failure_prob": 30}
    given = {**os.environ, "RAY_ADDRESS": cluster.address, "RAY_testing_rpc_failure_avoid_intra_node_failures": "0"}
    given["RAY_testing_rpc_failure"] = json.dumps(
        {f"{space}{call}": lost for call in calls for space in ("ray::rpc::", "")}
    )
    line = [sys.executable, "-W", "error", "on_a_cluster.py"]
    done = subprocess.run(line, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "1 trial at a time\n", done.stdout + done.stderr
    assert "RpcFailureManager" in done.stderr  # the cluster's own word that it loses calls


def test_a_cluster_that_is_lost_ends_the_search_with_what_to_do(cluster: Any, tmp_path: Path) -> None:
    ray.shutdown()
    process = alone(cluster, tmp_path)
    try:
        appears(tmp_path / "attempts" / "0-1" / "pid")
        os.kill(cluster.head_node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == ClusterLost.exit_code == 75, said
    assert "is lost" in said and f"archsmith resume {tmp_path}" in said and "['stopped']" in said
