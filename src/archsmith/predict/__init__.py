"""From architectures to what is expected of them, and how surely.

``archsmith.predict.forest`` is not loaded here: it needs scikit-learn, which takes its time to load.
"""

from archsmith.predict.encoding import Encoding, cell_path_bits, counted_options, decisions, joined
from archsmith.predict.ensemble import Ensemble
from archsmith.predict.gaussian_process import FittedProcess, GaussianProcess
from archsmith.predict.protocol import Fitted, Predictor
from archsmith.predict.weisfeiler_lehman import WeisfeilerLehman, subtrees

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
