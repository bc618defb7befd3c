"""The report of a run: the page, the summary, the tables, and what the terminal shows.

What is named here opens at once. ``write_reports`` lives in ``archsmith.report.write``, because the share of each
decision needs scikit-learn, which the commands that only look at a run should not wait for.
"""

from archsmith.report.diagram import Block, block_of
from archsmith.report.record import RunRecord, load_record
from archsmith.report.show import list_runs, runs_lines, show_data, show_lines

__all__ = [
    "Block",
    "RunRecord",
    "block_of",
    "list_runs",
    "load_record",
    "runs_lines",
    "show_data",
    "show_lines",
]
