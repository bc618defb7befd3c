"""The torch readings of a space: the network, its text, and what it costs."""

from archsmith.build.cost import Cost, cost, meta_cost
from archsmith.build.latency import Latency, latency
from archsmith.build.module import build, build_with_paths, seeded
from archsmith.build.source import shipped_source, source, source_key

__all__ = [
    "Cost",
    "Latency",
    "build",
    "build_with_paths",
    "cost",
    "latency",
    "meta_cost",
    "seeded",
    "shipped_source",
    "source",
    "source_key",
]
