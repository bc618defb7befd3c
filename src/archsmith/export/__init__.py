"""A trained network as plain files that need nothing of this project, each checked in a fresh process."""

from archsmith.export.facts import Facts
from archsmith.export.verify import Verified, check, verify
from archsmith.export.write import FORMATS, available_formats, convert, export, load_network

__all__ = ["FORMATS", "Facts", "Verified", "available_formats", "check", "convert", "export", "load_network", "verify"]
