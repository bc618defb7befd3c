import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of the tests' own, reached through a socket in ``folder`` only."""

    folder: Path
    programs: Path
    user: str | None

    def address(self, user: str = "team", folder: Path | None = None) -> str:
        return f"postgresql://{user}@/lab?host={folder or self.folder}"

    def control(self, *words: str) -> None:
        """Run ``pg_ctl``, which waits until it is done."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-w", *words)

    def sql(self, text: str, user: str = "boss", database: str = "lab") -> str:
        """Run statements with ``psql``, and return what they answer."""
        line = ("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", user, "-d", database)
        return self.run(*line, "-c", text)

    def run(self, program: str, *words: str) -> str:
        # A server does not run as root. Its output goes to files: it keeps open whatever it is handed.
        own: dict[str, Any] = {} if self.user is None else {"user": self.user, "group": None, "extra_groups": []}
        if self.user is not None:
            own["group"] = pwd.getpwnam(self.user).pw_gid
        path = self.programs / program
        with tempfile.TemporaryFile("w+") as out:
            found = path if path.exists() else Path(str(shutil.which(program)))
            done = subprocess.run([found, *words], stdout=out, stderr=out, cwd=self.folder, timeout=60, **own)
            out.seek(0)
            said = out.read()
        assert done.returncode == 0, f"{program} {' '.join(words)}: {said}"
        return said.strip()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, started here; what needs it is skipped where PostgreSQL is not installed."""
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [str(shutil.which("initdb"))]
    programs = Path(places[-1]).parent
    if not (programs / "initdb").exists() or not (programs / "pg_ctl").exists():
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed")
    user = None
    if os.getuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in names), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no other user")
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:  # a socket's path must be short
        folder = Path(name)
        server = Postgres(folder, programs, user)
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        folder.chmod(0o755)
        server.run("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "boss", "-E", "UTF8", "--locale=C", "-N")
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        settings = {"listen_addresses": "''", "unix_socket_directories": f"'{folder}'", "max_connections": 12}
        settings |= {"superuser_reserved_connections": 2, "fsync": "off", "shared_buffers": "'16MB'"}
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = {value}\n" for key, value in settings.items())
        server.control("start")
        try:
            server.sql("CREATE ROLE team LOGIN", database="postgres")
            server.sql("CREATE ROLE guarded LOGIN PASSWORD 'geh&im'", database="postgres")
            server.sql("CREATE DATABASE lab OWNER team", database="postgres")
            yield server
        finally:
            server.control("stop", "-m", "immediate")
