"""The command line: ``search``, ``predict``, ``show``, ``ls``, ``export``, ``compare``, ``doctor``, ``spaces``."""

from archsmith.cli.app import main

__all__ = ["main"]
