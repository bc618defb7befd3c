"""Ready-made search spaces, scaled to the task, and the way from a name or a file to a space."""

from archsmith.spaces.cell import cell
from archsmith.spaces.darts import darts
from archsmith.spaces.designs import designs
from archsmith.spaces.hierarchical import hierarchical
from archsmith.spaces.mlp import mlp
from archsmith.spaces.mobile import mobile
from archsmith.spaces.resolve import default, default_name, names, resolve
from archsmith.spaces.starts import starts, usual_training
from archsmith.spaces.training import recipe, training

__all__ = [
    "cell",
    "darts",
    "default",
    "default_name",
    "designs",
    "hierarchical",
    "mlp",
    "mobile",
    "names",
    "recipe",
    "resolve",
    "starts",
    "training",
    "usual_training",
]
