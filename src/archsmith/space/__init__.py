"""The language of spaces and its torch-free readings.

A search space is an expression of deferred calls with choices in it, and everything else is a reading of that
expression.
"""

from archsmith.space.always import always_asked
from archsmith.space.arch import Answer, Arch
from archsmith.space.count import count
from archsmith.space.cover import cover, largest, smallest
from archsmith.space.decision import Decision
from archsmith.space.differences import described, differences
from archsmith.space.encode import cell_graph, cell_paths, feature_names, one_hot, ordinal
from archsmith.space.evaluate import Make, Mix, evaluate, settings
from archsmith.space.narrow import completed, narrow
from archsmith.space.nodes import (
    Arithmetic,
    Call,
    Choice,
    Node,
    Pick,
    Program,
    Range,
    Repeat,
    Switch,
    bounds,
    call,
    choice,
    integer,
    pick,
    program,
    real,
    repeat,
    round_to,
    switch,
)
from archsmith.space.program import Picker
from archsmith.space.serial import from_json, resolve_target, target_name, to_json
from archsmith.space.space import Space
from archsmith.space.walk import check, crossover, enumerate_archs, mutate, neighbours, sample, valid, walk
from archsmith.space.wiring import Wiring, graph, wirings

__all__ = [
    "Answer",
    "Arch",
    "Arithmetic",
    "Call",
    "Choice",
    "Decision",
    "Make",
    "Mix",
    "Node",
    "Pick",
    "Picker",
    "Program",
    "Range",
    "Repeat",
    "Space",
    "Switch",
    "Wiring",
    "always_asked",
    "bounds",
    "call",
    "cell_graph",
    "cell_paths",
    "check",
    "choice",
    "completed",
    "count",
    "cover",
    "crossover",
    "described",
    "differences",
    "enumerate_archs",
    "evaluate",
    "feature_names",
    "from_json",
    "graph",
    "integer",
    "largest",
    "mutate",
    "narrow",
    "neighbours",
    "one_hot",
    "ordinal",
    "pick",
    "program",
    "real",
    "repeat",
    "resolve_target",
    "round_to",
    "sample",
    "settings",
    "smallest",
    "switch",
    "target_name",
    "to_json",
    "valid",
    "walk",
    "wirings",
]
