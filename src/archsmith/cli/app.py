"""The command line as one application, and the one place where an error becomes an exit code."""

from __future__ import annotations

import gc
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.text import Text

from archsmith import __version__
from archsmith.cli.bench import bench
from archsmith.cli.compare import compare
from archsmith.cli.doctor import doctor
from archsmith.cli.export import export
from archsmith.cli.output import console, emit
from archsmith.cli.predict import predict
from archsmith.cli.read import ls, show
from archsmith.cli.resume import resume
from archsmith.cli.salvage import salvage
from archsmith.cli.search import search
from archsmith.cli.spaces import spaces
from archsmith.errors import ArchsmithError
from archsmith.redact import redact
from archsmith.report.text import clean

__all__ = ["app", "main"]

app = typer.Typer(
    name="archsmith",
    help="Find, train, explain and ship a neural network for your own data, inside your limits and your time.",
    epilog="Begin with: archsmith search digits --budget 90s",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
for _command in (search, resume, predict, show, ls, export, compare, bench, doctor, salvage, spaces):
    app.command()(_command)


def _version(wanted: bool) -> None:
    if wanted:
        emit(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit code.

    Errors of ours are one sentence on stderr and the exit code of their kind. Anything else is a fault of this program:
    exit code 1, and the traceback goes to a file that the message names.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(prog_name="archsmith")
    except ArchsmithError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except Exception as error:
        _say(f"{type(error).__name__}: {error}")
        _say(f"This is a fault of archsmith, not of your data. The details are in {_log(error)}", "")
        sys.exit(1)
    finally:
        gc.freeze()  # or Python, as it ends, looks for garbage among the million objects of torch, for seconds


def _say(text: str, prefix: str = "error: ") -> None:
    console("--no-color" in sys.argv).print(Text.assemble((prefix, "bold red"), clean(redact(text))))


def _log(error: BaseException) -> Path:
    """Write what a maintainer needs to a file; the trace holds no values of variables, for secrets live in those."""
    number, name = tempfile.mkstemp(".log", time.strftime("archsmith-%Y%m%d-%H%M%S-"))  # nobody else may read it
    command = " ".join(sys.argv)
    text = f"archsmith {__version__}\n{command}\n\n" + "".join(traceback.format_exception(error))
    with open(number, "w", encoding="utf-8", errors="replace") as file:
        file.write(redact(text))
    return Path(name)


def _terminated(number: int, frame: FrameType | None) -> None:
    # An exception, so that workers are stopped and files are closed on the way out.
    sys.exit(128 + number)
