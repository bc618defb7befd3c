"""Strategies compared at equal cost on tables of known results."""

from archsmith.bench.charts import anytime, anytime_chart, front_chart
from archsmith.bench.compare import Comparison, Line, compare, holm
from archsmith.bench.entry import Entry, entries, listing
from archsmith.bench.hypervolume import exact_front, hypervolume, nondominated, reference_point, shares, shares_after
from archsmith.bench.play import Trajectory, play, players
from archsmith.bench.problem import Problem, nasbench201_problem, objective, table_problem
from archsmith.bench.published import Published, published
from archsmith.bench.save import load_trajectories, save, summary

__all__ = [
    "Comparison",
    "Entry",
    "Line",
    "Problem",
    "Published",
    "Trajectory",
    "anytime",
    "anytime_chart",
    "compare",
    "entries",
    "exact_front",
    "front_chart",
    "holm",
    "hypervolume",
    "listing",
    "load_trajectories",
    "nasbench201_problem",
    "nondominated",
    "objective",
    "play",
    "players",
    "published",
    "reference_point",
    "save",
    "shares",
    "shares_after",
    "summary",
    "table_problem",
]
