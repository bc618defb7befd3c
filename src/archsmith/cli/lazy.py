"""The command line's one loader of what is heavy.

``archsmith --help``, ``ls`` and ``show`` must answer at once, and torch alone takes more than a second to import. So
the rooms that import it are loaded here, by name, when a command that needs them runs.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["load"]


def load(name: str) -> ModuleType:
    """Import and return a module that is too heavy to be imported before it is needed."""
    return import_module(name)
