"""The SQLite file under a store: making one whole, telling ours from others without touching it, opening it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, StaticPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from archsmith.errors import StoreError
from archsmith.failpoint import hit
from archsmith.store.disk import SHARED, file_system, holders, room
from archsmith.store.schema import SCHEMA_VERSION, check_version, create, newer

__all__ = [
    "changes_size",
    "check_file",
    "close_for_writing",
    "create_file",
    "make_durable",
    "open_for_reading",
    "open_for_writing",
    "told",
]

_MAGIC = b"SQLite format 3\0"
_APPLICATION = 0x41524348  # "ARCH", in the header of every file of ours
_SALVAGE = "Nothing was changed. If events.jsonl is beside it, archsmith salvage RUN makes a new one from that"


def check_file(path: Path) -> None:
    """Raise ``StoreError`` unless the file is a whole store that this version can read; look at its bytes only."""
    try:
        with path.open("rb") as file:
            header, size = file.read(100), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
    if size == 0:
        raise StoreError(f"{path} is empty. {_SALVAGE}.")
    if not header.startswith(_MAGIC[:size]):
        raise StoreError(f"{path} is not a store of Archsmith. {_SALVAGE}.")
    if size < 100:
        raise StoreError(f"{path} is cut short: it has {size} bytes. {_SALVAGE}.")
    if int.from_bytes(header[68:72]) != _APPLICATION:
        raise StoreError(f"{path} is a database of another program, not a store of Archsmith. Nothing was changed.")
    if int.from_bytes(header[60:64]) > SCHEMA_VERSION:
        raise newer(path, int.from_bytes(header[60:64]))
    # The header counts the pages, unless a log of changes that are not yet in the file lies beside it.
    page = int.from_bytes(header[16:18])
    whole = (65536 if page == 1 else page) * int.from_bytes(header[28:32])
    if size < whole and not _size(_beside(path, "-wal")):
        raise StoreError(f"{path} is cut short: it has {size} of {whole} bytes. {_SALVAGE}.")


def create_file(path: Path) -> None:
    """Make an empty store; it appears whole or not at all, and never over another file."""
    if _size(_beside(path, "-wal")):
        raise StoreError(f"{path} is missing, but {path.name}-wal, which belongs to it, is there. {_SALVAGE}.")
    unfinished = _beside(path, ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        with told(path):
            engine = _engine(str(unfinished), "rwc", 0.0)
            try:
                with engine.connect() as connection:
                    connection.exec_driver_sql(f"PRAGMA application_id = {_APPLICATION}")
                    connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    create(connection)
                    connection.commit()
                hit("store.create.written")
            finally:
                engine.dispose()
        try:
            os.link(unfinished, path)
            unfinished.unlink()
        except FileExistsError:
            raise StoreError(f"{path} was made by another process a moment ago.") from None
        except OSError:  # a file system without hard links
            unfinished.rename(path)
        _sync_folder(path.parent)
        hit("store.create.after")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made: {error.strerror}. Is the disk full, or the folder read-only?"
        ) from error


def open_for_writing(path: Path, wait: float) -> Engine:
    """Return an engine with one connection that may write, and has not yet."""
    with told(path):
        engine = _engine(str(path), "rw", wait)
        try:
            with engine.connect() as connection:
                check_version(connection, path)
        except BaseException:
            engine.dispose()
            raise
    return engine


def make_durable(connection: Connection, path: Path) -> str:
    """Settle how the file is written from now on: what is committed has reached the disk; return a warning, or "".

    In WAL mode readers never block the writer, nor it them. It needs memory that all of them share, which machines that
    share a file system do not have, so there the file is written in the older mode, which is as durable.
    """
    kind = file_system(path)
    mode = "DELETE" if kind in SHARED else "WAL"
    connection.exec_driver_sql(f"PRAGMA journal_mode = {mode}")
    connection.exec_driver_sql("PRAGMA synchronous = FULL")
    if mode == "WAL":
        return ""
    return (
        f"{path} is on a file system of the kind {kind}, which several machines may share: readers and the writer wait "
        "for each other there, and locks cannot be relied on. A local disk, or --store postgresql://, is better."
    )


def close_for_writing(engine: Engine) -> None:
    """Leave one plain file, which can be copied and opened anywhere, unless somebody is reading just now."""
    hit("store.close.before")
    with contextlib.suppress(SQLAlchemyError), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        connection.exec_driver_sql("PRAGMA journal_mode = DELETE")
    engine.dispose()


def changes_size(path: Path) -> int:
    """Return the bytes of changes that have not been moved into the file yet."""
    return _size(_beside(path, "-wal"))


def open_for_reading(path: Path, wait: float) -> tuple[Engine, tempfile.TemporaryDirectory[str] | None]:
    """Return an engine that only reads, and the folder of the copy it reads where the original cannot be opened."""
    try:
        return _read(path, wait), None
    except sqlite3.OperationalError as error:
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
    # What the last writer left beside the file when it was killed takes a writable folder to read.
    folder = tempfile.TemporaryDirectory(prefix="archsmith-")
    copy = Path(folder.name) / path.name
    for name in ("", "-wal"):
        if _beside(path, name).exists():
            shutil.copyfile(_beside(path, name), _beside(copy, name))
    try:
        return _read(copy, wait), folder
    except BaseException:
        folder.cleanup()
        raise


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn an error of the database into a ``StoreError`` that says what to do."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        message = str(getattr(error, "orig", None) or error)
        if "locked" in message or "busy" in message:
            by = ", ".join(holders(path))
            advice = f"Another program holds it{': ' + by if by else ''}. Close that program, then resume."
        elif "full" in message:
            advice = (
                f"The disk is full. Free some space, then resume; everything recorded so far is kept ({room(path)})."
            )
        elif "readonly" in message or "unable to open" in message:
            advice = "It cannot be written. Check the permissions of the file and of its folder."
        elif "malformed" in message or "not a database" in message or "corrupt" in message:
            advice = f"The file is damaged. {_SALVAGE}."
        else:
            advice = "Check the disk, then resume; everything recorded so far is kept."
        raise StoreError(f"{path}: {message}. {advice}") from error


def _read(path: Path, wait: float) -> Engine:
    engine = _engine(str(path), "ro", wait)
    try:
        with engine.connect() as connection:
            check_version(connection, path)
    except BaseException as error:
        engine.dispose()
        origin = getattr(error, "orig", None)
        raise (origin if isinstance(origin, sqlite3.Error) else error) from None
    return engine


def _engine(path: str, mode: str, wait: float) -> Engine:
    """Return an engine of one connection in which no transaction begins by itself."""
    address = f"{Path(path).absolute().as_uri()}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)

    return create_engine("sqlite://", creator=connect, poolclass=StaticPool)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
