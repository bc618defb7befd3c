"""The main job: from data and limits to a shipped network."""

from archsmith.pipeline.compare import compare
from archsmith.pipeline.pause import Pause
from archsmith.pipeline.result import Best, Result, load_result, predict
from archsmith.pipeline.resume import resume
from archsmith.pipeline.search import search
from archsmith.pipeline.ship import export_again as export

__all__ = ["Best", "Pause", "Result", "compare", "export", "load_result", "predict", "resume", "search"]
