from collections.abc import Callable

import pytest
import torch
from torch import nn

from archsmith.build.module import seeded
from archsmith.estimate import Machine
from archsmith.task import Task, load


@pytest.fixture(scope="session")
def images() -> Task:
    """300 pictures of 12 x 12: a bright square whose corner of the picture is the class."""
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(300) % 4
    x = torch.randint(0, 90, (300, 1, 12, 12), generator=generator, dtype=torch.uint8)
    for i, label in enumerate(y.tolist()):
        top, left = 6 * (label // 2) + 1, 6 * (label % 2) + 1
        x[i, 0, top : top + 4, left : left + 4] += 140
    return load((x, y), seed=0)


@pytest.fixture(scope="session")
def numbers() -> Task:
    """A regression over four columns."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(400, 4, generator=generator)
    y = 30.0 + 5.0 * (x[:, 0] - 2 * x[:, 1]) + 0.1 * torch.randn(400, generator=generator)
    return load((x, y), seed=0, goal="regression")


@pytest.fixture
def network() -> Callable[[], nn.Module]:
    """A small network with everything that has state: convolution, batch normalisation, dropout."""

    def make(seed: int = 0) -> nn.Module:
        with seeded(seed):
            return nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(3),
                nn.Flatten(),
                nn.Dropout(0.2),
                nn.Linear(72, 4),
            )

    return make


@pytest.fixture
def regressor(numbers: Task) -> Callable[[], nn.Module]:
    def make(seed: int = 0) -> nn.Module:
        with seeded(seed):
            return nn.Sequential(nn.Linear(numbers.spec.input_shape[0], 16), nn.ReLU(), nn.Linear(16, 1))

    return make


@pytest.fixture
def machine() -> Machine:
    return Machine(threads=1)
