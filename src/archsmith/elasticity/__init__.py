"""Making a person's own network elastic: a space of its parts, with its weights in a bank."""

from archsmith.elasticity.derive import Elastic, elastic
from archsmith.elasticity.shrinking import Shrunk, shrink
from archsmith.elasticity.write import Fixed

__all__ = ["Elastic", "Fixed", "Shrunk", "elastic", "shrink"]
