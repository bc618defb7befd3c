"""The one place that knows Ray: reaching a cluster, what it has, and attempts as its tasks."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from archsmith.errors import ClusterLost, MissingExtra, UsageError
from archsmith.execute.reasons import Failure, Reason
from archsmith.execute.trials import Outcome
from archsmith.execute.worker import Job, work_here

__all__ = ["STOP", "Cluster", "Hello", "Lost", "Ticket", "need_ray", "versions"]

STOP = "stop"
"""The name of the file that asks an attempt, in whose folder it is, to end."""
_LOOK = 0.3
_SHAKING = 10.0  # seconds without an answer after which a cluster is lost


def need_ray() -> None:
    """Raise ``MissingExtra`` unless Ray is installed."""
    if find_spec("ray") is None:
        raise MissingExtra("Running trials on a cluster needs Ray. Install it with: pip install 'archsmith[ray]'")


def versions() -> dict[str, str]:
    """Return the versions that must be the same on every node, by package."""
    found = {}
    for package in ("archsmith", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass(frozen=True)
class Ticket:
    """What an attempt is sent with: its job, and what its node must have."""

    job: Job
    versions: Mapping[str, str]
    log_bytes: int


@dataclass(frozen=True)
class Hello:
    """The first word of an attempt: where it runs, and why it cannot run there, if it cannot."""

    host: str
    node: str
    problem: str = ""


@dataclass(frozen=True)
class Lost:
    """The last word about an attempt that gave none: what Ray says became of it."""

    why: str
    failure: Failure | None = None


class Cluster:
    """A connection to a Ray cluster: the one at ``address``, or that of this machine, or a new one made of it.

    Ray is configured by its environment: ``RAY_ADDRESS`` names a cluster, ``RAY_AUTH_TOKEN`` (or the file
    ``~/.ray/auth_token``) holds its token. A cluster that is made here asks for that token, which is made as well
    where there is none.

    Raises ``MissingExtra`` without Ray or with a token that is refused, and ``UsageError`` where no cluster answers.
    """

    def __init__(self, address: str | None, needs: Mapping[str, float]) -> None:
        # Ray looks at its environment when it is imported. What runs here is nobody else's business, and the raylet's
        # log is not to be printed among the results of a command.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
        need_ray()
        import ray

        self._ray: Any = ray
        self._needs = {name: amount for name, amount in needs.items() if amount > 0}
        self._nodes: list[dict[str, Any]] = []
        self._answered = time.monotonic()
        self._looked = -math.inf
        self._own = not ray.is_initialized()
        if self._own:
            _connect(ray, address)
        self.address: str = ray.get_runtime_context().gcs_address
        self._here: str = ray.get_runtime_context().get_node_id()
        self._held: Any = None
        self._task: Any = None
        self.look()

    def hold(self, *things: object) -> None:
        """Put what every attempt needs into the object store, once; raise ``UsageError`` if it cannot be sent."""
        try:
            self._held = [self._ray.put(things)]  # inside a list, a task is handed the reference and not a copy
        except Exception as error:
            raise UsageError(
                f"The evaluation cannot be sent to a cluster ({_words(error)}). Use a function at the top level of a "
                "module, or an object of a class there, that holds plain data and tensors."
            ) from error
        cpus, gpus, memory = (self._needs.get(name, 0) for name in ("CPU", "GPU", "memory"))
        self._task = self._ray.remote(
            num_cpus=cpus, num_gpus=gpus, memory=memory or None, max_retries=0, num_returns="streaming"
        )(_serve)

    def look(self) -> None:
        """Look at the nodes, now and then; raise ``ClusterLost`` when the cluster has not answered for long."""
        now = time.monotonic()
        if now - self._looked < 1.0:
            return
        self._looked = now
        # Ray itself waits a minute for a head that is gone, and then ends this process. A plain look at its port
        # comes first.
        if not _answers(self.address):
            if now - self._answered > _SHAKING:
                raise ClusterLost("its head does not answer")
            return
        try:
            self._nodes = [node for node in self._ray.nodes() if node["Alive"]]
        except Exception as error:
            raise ClusterLost(_words(error)) from error
        if not self.lives(self._here):
            raise ClusterLost("the node that the search runs on is no longer part of it")
        self._answered = now

    def lives(self, node: str) -> bool:
        """Return whether a node was there at the last look."""
        return any(known["NodeID"] == node for known in self._nodes)

    def capacity(self) -> int:
        """Return how many attempts the living nodes have room for."""
        return sum(_room(node["Resources"], self._needs) for node in self._nodes)

    def described(self) -> str:
        """Return in words what one attempt asks for, and what the nodes have."""
        asked = ", ".join(_amount(name, amount) for name, amount in self._needs.items())
        has = "; ".join(
            f"{node['NodeManagerAddress']}: "
            + ", ".join(_amount(name, node["Resources"].get(name, 0.0)) for name in ("CPU", "GPU", "memory"))
            for node in self._nodes
        )
        return f"A trial asks for {asked}. The nodes of the Ray cluster at {self.address} have: {has or 'nothing'}"

    def launch(self, ticket: Ticket) -> object:
        """Start an attempt; return the stream of what it says."""
        return self._task.remote(self._held, ticket)

    def ready(self, streams: Sequence[object], timeout: float) -> Sequence[object]:
        """Return those streams that have a next word, waiting at most ``timeout`` seconds for one."""
        if not streams:
            return ()
        found, _ = self._ray.wait(list(streams), num_returns=1, timeout=max(0.0, timeout), fetch_local=False)
        return list(found)

    def hear(self, stream: Any) -> Hello | Outcome | Lost:
        """Return the next word of a stream that has one; raise ``ClusterLost`` when this end of it is gone."""
        errors = self._ray.exceptions
        try:
            said: Hello | Outcome = self._ray.get(next(stream), timeout=_SHAKING)
            return said
        except StopIteration:
            return Lost("it ended without a result")
        except errors.LocalRayletDiedError as error:
            raise ClusterLost(_words(error)) from error
        except errors.OutOfMemoryError as error:
            return Lost("its node ran out of memory", Failure(Reason.out_of_memory, _words(error)))
        except errors.NodeDiedError:
            return Lost("its node died")
        except errors.WorkerCrashedError:
            return Lost("its process was killed or crashed")
        except errors.TaskCancelledError:
            return Lost("it was cancelled")
        except errors.RayTaskError as error:  # before the evaluation began: it could not be made there
            return Lost("it could not begin", Failure(Reason.not_started, _words(error.cause or error)))
        except errors.RayError as error:
            return Lost(_words(error))

    def cancel(self, stream: object) -> None:
        """End an attempt at once: its process is killed, since one that sleeps hears nothing gentler."""
        with contextlib.suppress(Exception):
            self._ray.cancel(stream, force=True)

    def close(self) -> None:
        """Leave the cluster, and end it if it was made here."""
        self._held = self._task = None
        if self._own and self._ray.is_initialized():
            with _handlers_kept():
                self._ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    named = address or os.environ.get("RAY_ADDRESS")
    if named and named.startswith("ray://"):
        raise UsageError(f"{named} is for remote clients. Search on a node of the cluster, or give its host:port.")
    common = {"log_to_driver": False, "logging_level": logging.CRITICAL, "include_dashboard": None}
    try:
        with _handlers_kept():
            try:
                ray.init(address=address or "auto", **common)
            except ConnectionError:
                if named:
                    raise
                ray.init(address="local", **{**common, "include_dashboard": False})
    except Exception as error:
        with contextlib.suppress(Exception):
            ray.shutdown()
        said, where = _words(error), named or "this machine"
        # A head that is there and refuses is not told from one that is not by the error that Ray raises.
        refused = isinstance(error, ConnectionError) and named is not None and _answers(named)
        if refused or isinstance(error, ray.exceptions.AuthenticationError):
            raise MissingExtra(
                f"The Ray cluster at {where} is there, but does not let this process in ({said}). Put the cluster's "
                "token into ~/.ray/auth_token or the environment variable RAY_AUTH_TOKEN, and set RAY_AUTH_MODE=token."
            ) from error
        raise UsageError(
            f"No Ray cluster can be used at {where}: {said}. Start one (ray start --head), or leave out the address."
        ) from error


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Put back the signal handlers that Ray replaces by its own: what a signal does is for the controller to say."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2.0).close()
    except (OSError, ValueError):
        return False
    return True


def _room(resources: Mapping[str, float], needs: Mapping[str, float]) -> int:
    return min((math.floor(resources.get(name, 0.0) / amount + 1e-9) for name, amount in needs.items()), default=1)


def _amount(name: str, amount: float) -> str:
    return f"{amount / 1e9:.3g} GB of memory" if name == "memory" else f"{amount:g} {name}"


def _words(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[-1].split())[:300] if lines else ''}".rstrip(": ")


# What follows runs in a worker process of the cluster.

_kept: dict[str, Any] = {}


def _serve(held: Sequence[Any], ticket: Ticket) -> Iterator[Hello | Outcome]:
    """Evaluate one job; the evaluation is fetched once for a worker process, not for each trial."""
    import ray

    problem = _problem(ticket)
    yield Hello(socket.gethostname(), ray.get_runtime_context().get_node_id(), problem)
    if problem:
        return
    key = held[0].hex()
    if key not in _kept:
        evaluate, initialize, threads = ray.get(held[0])
        if initialize is not None:
            initialize(threads)
        _kept.clear()
        _kept[key] = evaluate
    with _stoppable(ticket.job.folder):
        outcome = work_here(_kept[key], ticket.job, ticket.log_bytes)
    yield outcome


def _problem(ticket: Ticket) -> str:
    here = versions()
    for package, wanted in ticket.versions.items():
        if here.get(package) != wanted:
            return (
                f"it has {package} {here.get(package, '(none)')}, and the search runs with {wanted}. "
                "Install the same version everywhere."
            )
    folder = ticket.job.folder
    if folder is not None and not folder.is_dir():
        return f"it does not see the run folder {folder}. Put it (--out) on a file system that every node has."
    return ""


@contextlib.contextmanager
def _stoppable(folder: Path | None) -> Iterator[None]:
    """Let the file ``STOP`` in the folder of the attempt do what SIGTERM does to a worker on the same machine."""
    if folder is None or sys.platform == "win32":
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            if (folder / STOP).exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
