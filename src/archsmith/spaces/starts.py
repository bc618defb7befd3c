"""Architectures worth trying first: what experience would build, so that a search never does worse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsmith.space import Answer, Arch, Decision, Space, walk
from archsmith.spaces.training import recipe
from archsmith.spec import Spec

__all__ = ["starts", "usual_training"]

# Plain convolutions that double in width: on a CPU they do more arithmetic a second than depthwise ones.
_IMAGES: tuple[Mapping[str, Any], ...] = (
    {
        "halved_in": "stage1", "stem_width": 16, "activation": "relu", "dropout": 0.1,
        "stage1": "plain", "width1": 32, "depth1": 1, "stage2": "plain", "width2": 64, "depth2": 1,
        "stage3": "plain", "width3": 128, "depth3": 1, "stage4": "plain", "width4": 128, "depth4": 1,
        "excite1": False, "excite2": False, "excite3": False, "excite4": False,
        "optimizer": "sgd", "lr": 0.2, "weight_decay": 5e-4, "label_smoothing": 0.05, "augment": "shift_flip",
    },
    {
        "halved_in": "stem", "stem_width": 32, "activation": "relu", "dropout": 0.1,
        "stage1": "plain", "width1": 48, "depth1": 1, "stage2": "plain", "width2": 64, "depth2": 2,
        "stage3": "plain", "width3": 128, "depth3": 1, "stage4": "plain", "width4": 128, "depth4": 1,
        "excite1": False, "excite2": False, "excite3": False, "excite4": False,
        "optimizer": "sgd", "lr": 0.2, "weight_decay": 5e-4, "label_smoothing": 0.05, "augment": "shift_flip",
    },
    {
        "halved_in": "stem", "stem_width": 32, "activation": "relu", "dropout": 0.1,
        "stage1": "residual", "width1": 32, "depth1": 1, "stage2": "residual", "width2": 64, "depth2": 1,
        "stage3": "residual", "width3": 128, "depth3": 1, "stage4": "residual", "width4": 128, "depth4": 1,
        "excite1": False, "excite2": False, "excite3": False, "excite4": False,
        "optimizer": "sgd", "lr": 0.2, "weight_decay": 5e-4, "label_smoothing": 0.05, "augment": "shift",
    },
)  # fmt: skip


def starts(space: Space) -> tuple[Arch, ...]:
    """Return architectures to begin a search of the space with; none for a space that asks other questions.

    A decision answered by name keeps that answer where it is allowed; others take the middle of what is allowed. They
    are as subject to limits as any other candidate.
    """
    found = []
    for known in _IMAGES:
        if {"stem_width", "stage1"} <= space.decisions.keys():
            found.append(walk(space, lambda d, known=known: _answer(d, known)))  # type: ignore[misc]
    return tuple(found)


def usual_training(space: Space, spec: Spec) -> dict[str, Answer]:
    """Return answers to the training settings that the space leaves open: what works for most networks.

    They are those of ``recipe`` where the space allows them, else the middle of what it allows. What the network itself
    depends on is not among them.
    """
    of_the_network = set(Space(model=space.roots["model"])._table) if "model" in space.roots else set()
    asked = {decision.key: decision for node, decision in space._table.items() if node not in of_the_network}
    known = recipe(spec)
    return {key: _answer(decision, known) for key, decision in asked.items() if decision.size > 1}


def _answer(decision: Decision, known: Mapping[str, Any]) -> Answer:
    name = decision.key.split("/")[0]
    if name in known and decision.contains(known[name]):
        return known[name]  # type: ignore[no-any-return]
    if decision.kind in ("integer", "real"):
        return decision.at(0.5)
    answers = list(decision.answers())
    return answers[len(answers) // 2]
