"""The main job: from data and limits to a shipped network."""

from archsmith.pipeline.result import Best, Result, load_result, predict
from archsmith.pipeline.search import search

__all__ = ["Best", "Result", "load_result", "predict", "search"]
