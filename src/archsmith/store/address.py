"""Addresses of stores: which are understood, and how they are shown without their passwords."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from archsmith.errors import UsageError
from archsmith.redact import redact

__all__ = ["server_url"]

_HIDDEN = "***"
_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")


def server_url(address: str) -> URL:
    """Return the address of a PostgreSQL server and database as SQLAlchemy takes it.

    A password that is shown as ``***`` is one that was left out when the address was written down: PostgreSQL's own
    places, ``PGPASSWORD`` and ``~/.pgpass``, are asked instead. Raises ``UsageError``, without the password.
    """
    shown = redact(address)
    advice = "Write for example postgresql://me@host/database; without one, the log is a file in the run folder."
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise UsageError(f"The store {shown!r} is no address. {advice}") from None
    if url.drivername not in _DRIVERS:
        raise UsageError(f"The store {shown!r} is no PostgreSQL database. {advice}")
    if not url.database:
        raise UsageError(f"The store {shown!r} names no database. {advice}")
    password = url.password or url.query.get("password") or None
    if password is not None and (not isinstance(password, str) or password == _HIDDEN):
        password = None
    plain = url.difference_update_query(["password"])
    return URL.create(
        "postgresql+psycopg", plain.username, password, plain.host, plain.port, plain.database, plain.query
    )
