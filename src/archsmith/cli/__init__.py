"""The commands: ``archsmith search``, ``show``, ``ls``, ``predict``, ``export``, ``compare``, ``doctor``, ``spaces``."""

from archsmith.cli.app import main

__all__ = ["main"]
