"""What one evaluation may do to its process without the next one noticing."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

if sys.platform != "win32":
    import resource

__all__ = ["isolated", "release_memory"]

_SIGNALS = ("SIGTERM", "SIGINT", "SIGALRM", "SIGUSR1", "SIGUSR2")


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run one evaluation from a seeded start, and put the process back as it was.

    The global generators of Python, NumPy and torch, which a person's own code may draw from, begin at ``seed`` (0 to
    2**32 - 1), so that a trial does not depend on those before it. Put back are the generators, the working folder, the
    environment, the file mode mask, the limit of open files, the module path, the standard streams, signal handlers,
    warning filters, and of torch the default type, the threads, and whether gradients are recorded. Torch is looked
    after once it is loaded.
    """
    undo = [save() for save in (_places, _limits, _streams, _signals, _warnings, _generators, _torch)]
    _seed(seed)
    try:
        yield
    finally:
        for put_back in reversed(undo):
            with contextlib.suppress(Exception):  # what cannot be put back must not hide how the trial ended
                put_back()


def release_memory() -> None:
    """Give back what a failed evaluation still holds, as far as that can be done."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _places() -> Callable[[], None]:
    folder, environment, path, mask = os.getcwd(), dict(os.environ), list(sys.path), _mask()

    def put_back() -> None:
        now = dict(os.environ)
        for name in now.keys() - environment.keys():
            del os.environ[name]
        for name, value in environment.items() if now != environment else ():
            if now.get(name) != value:
                os.environ[name] = value
        sys.path[:] = path
        if mask is not None:
            os.umask(mask)
        os.chdir(folder)

    return put_back


def _mask() -> int | None:
    """Return the file mode mask where it can be read without setting it, which another thread would notice."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return None


def _limits() -> Callable[[], None]:
    if sys.platform == "win32":
        return lambda: None
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def put_back() -> None:
        if resource.getrlimit(resource.RLIMIT_NOFILE) != before:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    return put_back


def _streams() -> Callable[[], None]:
    before = sys.stdin, sys.stdout, sys.stderr

    def put_back() -> None:
        sys.stdin, sys.stdout, sys.stderr = before

    return put_back


def _signals() -> Callable[[], None]:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None  # no other thread may set them, the evaluation included
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}

    def put_back() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return put_back


def _warnings() -> Callable[[], None]:
    caught = warnings.catch_warnings()
    caught.__enter__()
    return lambda: caught.__exit__(None, None, None)


def _generators() -> Callable[[], None]:
    plain, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - to put it back

    def put_back() -> None:
        random.setstate(plain)
        np.random.set_state(numpy)  # noqa: NPY002

    return put_back


def _torch() -> Callable[[], None]:
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_rng_state"):  # it may be half imported by another thread
        return lambda: None
    kind, threads, gradients = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    exact, state = torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()

    def put_back() -> None:
        torch.set_rng_state(state)
        torch.set_default_dtype(kind)
        torch.set_grad_enabled(gradients)
        if torch.are_deterministic_algorithms_enabled() != exact:  # saying so loads the compiler, for a second
            torch.use_deterministic_algorithms(exact)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)

    return put_back


def _seed(seed: int) -> None:
    random.setstate(random.Random(seed).getstate())
    # NumPy's global generator is of the same kind, and a state made by Python takes a tenth of the time. Above every
    # seed of a trial, so that no two generators begin alike.
    *key, position = random.Random(seed + 2**32).getstate()[1]
    numpy: Any = ("MT19937", key, position)
    np.random.set_state(numpy)  # noqa: NPY002 - what a person's own code may draw from
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
