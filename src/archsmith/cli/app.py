"""The command line as one application, and the one place where an error becomes an exit code."""

from __future__ import annotations

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    name="archsmith",
    help="Find, train, explain and ship a neural network for your own data, inside your limits and your time.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _root() -> None:
    pass


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    app(prog_name="archsmith")
