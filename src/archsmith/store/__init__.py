"""The append-only log of a study, from which everything else can be told again."""

from archsmith.store.memory import MemoryStore
from archsmith.store.mirror import read_mirror
from archsmith.store.protocol import Store
from archsmith.store.salvage import Salvaged, salvage
from archsmith.store.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore", "Salvaged", "Store", "read_mirror", "salvage"]
