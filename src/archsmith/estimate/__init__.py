"""The estimators: from a proposal to metrics, here by training its network."""

from archsmith.estimate.augmentation import augment
from archsmith.estimate.bilevel import dominant_eigenvalue, hypergradient
from archsmith.estimate.checkpoint import load_checkpoint, save_checkpoint
from archsmith.estimate.cross_validate import CrossValidated
from archsmith.estimate.differentiable import Derived, search_gates
from archsmith.estimate.evaluation import evaluate, outputs
from archsmith.estimate.machine import Machine
from archsmith.estimate.measure import measure_machine, step_seconds, unmeasured_machine
from archsmith.estimate.paths import Sampler, fair, sandwich, shrinking, uniform
from archsmith.estimate.settings import Settings
from archsmith.estimate.shared import SharedEstimator, train_bank
from archsmith.estimate.state import load_curve, load_weights, save_weights, seconds_spent
from archsmith.estimate.stopping import Curve, ExtrapolationRule, MedianRule, Stopping, StoppingRule
from archsmith.estimate.train_estimator import CHECKPOINT, TrainEstimator
from archsmith.estimate.training import Divergence, Trained, train

__all__ = [
    "CHECKPOINT",
    "CrossValidated",
    "Curve",
    "Derived",
    "Divergence",
    "ExtrapolationRule",
    "Machine",
    "MedianRule",
    "Sampler",
    "Settings",
    "SharedEstimator",
    "Stopping",
    "StoppingRule",
    "TrainEstimator",
    "Trained",
    "augment",
    "dominant_eigenvalue",
    "evaluate",
    "fair",
    "hypergradient",
    "load_checkpoint",
    "load_curve",
    "load_weights",
    "measure_machine",
    "outputs",
    "sandwich",
    "save_checkpoint",
    "save_weights",
    "search_gates",
    "seconds_spent",
    "shrinking",
    "step_seconds",
    "train",
    "train_bank",
    "uniform",
    "unmeasured_machine",
]
