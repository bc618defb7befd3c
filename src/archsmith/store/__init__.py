"""The append-only log of a study, from which everything else can be told again."""

from archsmith.store.check import check_log, check_store
from archsmith.store.disk import SHARED, file_system
from archsmith.store.memory import MemoryStore
from archsmith.store.mirror import mirror_path, read_mirror
from archsmith.store.postgresql import PostgreSQLStore
from archsmith.store.protocol import Store
from archsmith.store.salvage import Salvaged, repair, salvage
from archsmith.store.sqlite import SQLiteStore

__all__ = [
    "SHARED",
    "MemoryStore",
    "PostgreSQLStore",
    "SQLiteStore",
    "Salvaged",
    "Store",
    "check_log",
    "check_store",
    "file_system",
    "mirror_path",
    "read_mirror",
    "repair",
    "salvage",
]
