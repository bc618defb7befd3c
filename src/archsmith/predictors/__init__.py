"""From architectures to what is expected of them, and how surely.

``archsmith.predictors.forest`` is not loaded here: it needs scikit-learn, which takes its time to load.
"""

from archsmith.predictors.encoding import Encoding, cell_path_bits, counted_options, decisions, joined
from archsmith.predictors.ensemble import Ensemble
from archsmith.predictors.gaussian_process import FittedProcess, GaussianProcess
from archsmith.predictors.protocol import Fitted, Predictor
from archsmith.predictors.weisfeiler_lehman import WeisfeilerLehman, subtrees

__all__ = [
    "Encoding",
    "Ensemble",
    "Fitted",
    "FittedProcess",
    "GaussianProcess",
    "Predictor",
    "WeisfeilerLehman",
    "cell_path_bits",
    "counted_options",
    "decisions",
    "joined",
    "subtrees",
]
