"""Where trials run: in this thread, in local processes, on a cluster, or on a simulated clock."""

from archsmith.execute.inline import Inline
from archsmith.execute.processes import Processes
from archsmith.execute.protocol import Executor
from archsmith.execute.ray import Ray
from archsmith.execute.reasons import Reason
from archsmith.execute.simulated import Simulated

__all__ = ["Executor", "Inline", "Processes", "Ray", "Reason", "Simulated"]
