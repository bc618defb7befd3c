"""The estimators: from a proposal to metrics, here by training its network."""

from archsmith.estimate.augmentation import augment
from archsmith.estimate.bilevel import dominant_eigenvalue, hypergradient
from archsmith.estimate.checkpoint import load_checkpoint, save_checkpoint
from archsmith.estimate.cross_validate import CrossValidated
from archsmith.estimate.differentiable import Derived, search_gates
from archsmith.estimate.driven import Asks, Driven
from archsmith.estimate.evaluation import evaluate, outputs
from archsmith.estimate.gate_methods import GATE_METHODS, GateMethod, gates_by, search_by
from archsmith.estimate.goals import Goal, added, limited, multiplied
from archsmith.estimate.guards import Guard, Watched, dominance, eigenvalue
from archsmith.estimate.machine import Machine
from archsmith.estimate.measure import measure_machine, step_seconds, unmeasured_machine
from archsmith.estimate.paths import Sampler, Score, attentive, fair, phases, sandwich, shrinking, uniform
from archsmith.estimate.samplers import SAMPLERS, NamedSampler, make_sampler, shrinking_phases
from archsmith.estimate.settings import Settings
from archsmith.estimate.shared import SharedEstimator, train_bank, validation_score
from archsmith.estimate.state import load_curve, load_weights, save_weights, seconds_spent
from archsmith.estimate.stopping import Stopping
from archsmith.estimate.stopping_rules import Curve, ExtrapolationRule, MedianRule, StoppingRule
from archsmith.estimate.train_estimator import CHECKPOINT, TrainEstimator
from archsmith.estimate.training import Divergence, Trained, train

__all__ = [
    "CHECKPOINT",
    "GATE_METHODS",
    "SAMPLERS",
    "Asks",
    "CrossValidated",
    "Curve",
    "Derived",
    "Divergence",
    "Driven",
    "ExtrapolationRule",
    "GateMethod",
    "Goal",
    "Guard",
    "Machine",
    "MedianRule",
    "NamedSampler",
    "Sampler",
    "Score",
    "Settings",
    "SharedEstimator",
    "Stopping",
    "StoppingRule",
    "TrainEstimator",
    "Trained",
    "Watched",
    "added",
    "attentive",
    "augment",
    "dominance",
    "dominant_eigenvalue",
    "eigenvalue",
    "evaluate",
    "fair",
    "gates_by",
    "hypergradient",
    "limited",
    "load_checkpoint",
    "load_curve",
    "load_weights",
    "make_sampler",
    "measure_machine",
    "multiplied",
    "outputs",
    "phases",
    "sandwich",
    "save_checkpoint",
    "save_weights",
    "search_by",
    "search_gates",
    "seconds_spent",
    "shrinking",
    "shrinking_phases",
    "step_seconds",
    "train",
    "train_bank",
    "uniform",
    "unmeasured_machine",
    "validation_score",
]
