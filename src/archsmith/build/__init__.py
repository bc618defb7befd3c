"""The torch readings of a space: the network, its text, what it costs, and networks on shared weights."""

from archsmith.build.bank import Bank, Lent
from archsmith.build.cost import Cost, cost, meta_cost, module_macs
from archsmith.build.derive import derive_within
from archsmith.build.expected import ExpectedCost, expected_cost
from archsmith.build.importance import sort_channels
from archsmith.build.latency import Latency, latency
from archsmith.build.latency_table import LatencyTable
from archsmith.build.module import build, build_with_paths, seeded
from archsmith.build.morphisms import grow_kernel, identity_like, inherit, silence, widen
from archsmith.build.partial import partial_channels
from archsmith.build.relax import Gates, MakeMixed, Mixed, Relaxation, relax, relaxable, require_mixable
from archsmith.build.relaxations import RELAXATIONS
from archsmith.build.slices import Layout, Rule
from archsmith.build.source import shipped_source, source, source_key
from archsmith.build.statistics import recalibrate
from archsmith.build.superkernel import Thresholds, superkernel
from archsmith.build.transfer import carry_over, carry_over_network

__all__ = [
    "RELAXATIONS",
    "Bank",
    "Cost",
    "ExpectedCost",
    "Gates",
    "Latency",
    "LatencyTable",
    "Layout",
    "Lent",
    "MakeMixed",
    "Mixed",
    "Relaxation",
    "Rule",
    "Thresholds",
    "build",
    "build_with_paths",
    "carry_over",
    "carry_over_network",
    "cost",
    "derive_within",
    "expected_cost",
    "grow_kernel",
    "identity_like",
    "inherit",
    "latency",
    "meta_cost",
    "module_macs",
    "partial_channels",
    "recalibrate",
    "relax",
    "relaxable",
    "require_mixable",
    "seeded",
    "shipped_source",
    "silence",
    "sort_channels",
    "source",
    "source_key",
    "superkernel",
    "widen",
]
