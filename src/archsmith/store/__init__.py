"""The append-only log of a study, from which everything else can be told again."""

from archsmith.store.address import masked
from archsmith.store.memory import MemoryStore
from archsmith.store.mirror import mirror_path, read_mirror
from archsmith.store.postgresql import PostgreSQLStore
from archsmith.store.protocol import Store
from archsmith.store.salvage import Salvaged, salvage
from archsmith.store.sqlite import SQLiteStore

__all__ = [
    "MemoryStore",
    "PostgreSQLStore",
    "SQLiteStore",
    "Salvaged",
    "Store",
    "masked",
    "mirror_path",
    "read_mirror",
    "salvage",
]
