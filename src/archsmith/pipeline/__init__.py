"""The main job: from data and limits to a shipped network."""

from archsmith.pipeline.compare import compare
from archsmith.pipeline.result import Best, Result, load_result, predict
from archsmith.pipeline.search import search
from archsmith.pipeline.ship import export_again as export

__all__ = ["Best", "Result", "compare", "export", "load_result", "predict", "search"]
