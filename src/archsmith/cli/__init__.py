"""The command line: one file for each command."""

from archsmith.cli.app import main

__all__ = ["main"]
