"""Tables of known results: a person's own, and NAS-Bench-201, which comes with the package."""

from archsmith.tables.estimator import TableEstimator
from archsmith.tables.nasbench201 import DATA_SETS, EDGES, OPERATIONS, cell_arch, cell_text, nasbench201
from archsmith.tables.read import METRIC_WORDS, read_table
from archsmith.tables.table import Table, mean

__all__ = [
    "DATA_SETS",
    "EDGES",
    "METRIC_WORDS",
    "OPERATIONS",
    "Table",
    "TableEstimator",
    "cell_arch",
    "cell_text",
    "mean",
    "nasbench201",
    "read_table",
]
