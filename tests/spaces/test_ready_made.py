"""Every ready-made space, over the kinds of task there are."""

import numpy as np
import pytest
import torch
from torch import nn

from archsmith import spaces
from archsmith.errors import SpaceError
from archsmith.space import Space, evaluate, from_json, sample, settings, to_json
from archsmith.spaces.mobile import strides
from archsmith.spec import Spec

IMAGES = [
    Spec("image", "classification", (1, 8, 8), 10, 1_200),
    Spec("image", "classification", (1, 28, 28), 10, 60_000),
    Spec("image", "classification", (3, 32, 32), 2, 500),
    Spec("image", "classification", (3, 64, 64), 37, 5_000),
    Spec("image", "regression", (4, 30, 41), 1, 5_000),
]
TABLES = [
    Spec("table", "classification", (14,), 2, 30_000, (9, 17, 8, 15, 7, 6, 3, 42)),
    Spec("table", "classification", (5,), 12, 400),
    Spec("table", "classification", (2,), 3, 400, (4, 1000)),
    Spec("table", "regression", (7,), 1, 5_000, (3,)),
]


def build(space: Space, arch) -> nn.Module:
    return evaluate(space, arch, lambda call, path, args, kwargs: call.target(*args, **kwargs), ["model"])["model"]


def inputs(spec: Spec, batch: int) -> torch.Tensor:
    x = torch.randn(batch, *spec.input_shape, generator=torch.Generator().manual_seed(batch))
    if spec.cardinalities:
        x[:, -len(spec.cardinalities) :] = 1.0
    return x


def pairs() -> list[tuple[str, Spec]]:
    images = [(name, spec) for name in ("mobile", "cell", "hierarchical") for spec in IMAGES]
    return images + [("mlp", spec) for spec in TABLES]


@pytest.mark.parametrize(("name", "spec"), pairs(), ids=lambda v: v if isinstance(v, str) else str(v.input_shape))
def test_random_samples_build_and_give_one_row_of_outputs_per_sample(name: str, spec: Spec) -> None:
    space, rng = spaces.resolve(name, spec), np.random.default_rng(0)
    for _ in range(20):
        network = build(space, sample(space, rng)).eval()
        with torch.no_grad():
            out = network(inputs(spec, 2))
        assert out.shape == (2, spec.outputs)
        assert torch.isfinite(out).all()


@pytest.mark.parametrize(("name", "spec"), pairs(), ids=lambda v: v if isinstance(v, str) else str(v.input_shape))
def test_spaces_survive_json(name: str, spec: Spec) -> None:
    space = spaces.resolve(name, spec)
    again = from_json(to_json(space))
    arch = sample(space, np.random.default_rng(1))
    assert sample(again, np.random.default_rng(1)) == arch
    assert settings(again, arch) == settings(space, arch)


@pytest.mark.parametrize("spec", IMAGES + TABLES, ids=lambda spec: str(spec.input_shape))
def test_every_space_has_training_settings_of_its_kind(spec: Spec) -> None:
    space = spaces.default(spec)
    for seed in range(20):
        values = settings(space, sample(space, np.random.default_rng(seed)))
        assert set(values) == {"optimizer", "lr", "weight_decay", "label_smoothing", "augment", "batch_size"}
        assert 0 < values["lr"] <= 0.4 and 0 < values["weight_decay"] <= 0.1
        assert values["lr"] <= 0.02 or values["optimizer"] == "sgd"
        assert spec.kind == "image" or values["augment"] == "none"
        assert spec.goal == "classification" or values["label_smoothing"] == 0.0


@pytest.mark.parametrize("spec", IMAGES + TABLES, ids=lambda spec: str(spec.input_shape))
def test_designs_are_single_points_with_the_outputs_of_the_task(spec: Spec) -> None:
    made = spaces.designs(spec)
    assert set(made) == ({"mlp"} if spec.kind == "table" else {"resnet20", "mobilenetv2", "plain_cnn"})
    for space in made.values():
        assert not space.decisions
        network = build(space, sample(space, np.random.default_rng(0))).eval()
        assert network(inputs(spec, 3)).shape == (3, spec.outputs)
        assert settings(space, sample(space, np.random.default_rng(0))) == spaces.recipe(spec)


def test_resnet20_on_its_own_data_set_has_the_published_size() -> None:
    space = spaces.designs(Spec("image", "classification", (3, 32, 32), 10, 50_000))["resnet20"]
    network = build(space, sample(space, np.random.default_rng(0)))
    # 0.27 M in the paper, whose shortcuts have no weights; ours are two 1x1 convolutions with norms, 2,752 more.
    assert sum(p.numel() for p in network.parameters()) == 269_722 + 2_752


@pytest.mark.parametrize(("name", "spec"), [("mobile", TABLES[0]), ("cell", TABLES[0]), ("mlp", IMAGES[0])])
def test_a_space_for_another_kind_of_task_is_refused(name: str, spec: Spec) -> None:
    with pytest.raises(SpaceError, match="Use '"):
        spaces.resolve(name, spec)


def test_any_image_ends_at_few_pixels() -> None:
    for size in range(4, 300):
        stem, later = strides(size)
        end = size
        for step in (stem, *later):
            end = (end + step - 1) // step
        assert 4 <= end <= 10, size
