"""The torch readings of a space: the network, its text, what it costs, and networks on shared weights."""

from archsmith.build.bank import Bank, Lent
from archsmith.build.cost import Cost, cost, meta_cost
from archsmith.build.latency import Latency, latency
from archsmith.build.module import build, build_with_paths, seeded
from archsmith.build.slices import Layout, Rule
from archsmith.build.source import shipped_source, source, source_key
from archsmith.build.statistics import recalibrate

__all__ = [
    "Bank",
    "Cost",
    "Latency",
    "Layout",
    "Lent",
    "Rule",
    "build",
    "build_with_paths",
    "cost",
    "latency",
    "meta_cost",
    "recalibrate",
    "seeded",
    "shipped_source",
    "source",
    "source_key",
]
