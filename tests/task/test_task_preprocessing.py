"""Preprocessing is plain PyTorch that scales, remembers what is missing, exports, and can be written down."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archsmith.build.preprocess import PixelNormalize, TableNormalize, Unstandardize
from archsmith.task import inputs, load
from archsmith.task.fit import fit_pixels, fit_table
from archsmith.task.values import Column

NAN = math.nan
RNG = np.random.default_rng(0)


def example(pieces: bool = True) -> TableNormalize:
    return TableNormalize(
        numeric=[0, 2],
        categorical=[1],
        mean=[1.0, 0.0],
        std=[2.0, 1.0],
        cardinalities=[4],
        indicators=[2],
        knots=[[], [0.0, 1.0, 5.0, 1e5]],
        levels=[[], [-1.0, 0.0, 1.0, 2.0]],
        pieces=pieces,
    )


def test_pixels_are_normalised_alike_as_bytes_and_floats() -> None:
    module = PixelNormalize([0.5, 0.25], [0.5, 0.1])
    x = torch.randint(0, 256, (3, 2, 4, 5), dtype=torch.uint8)
    expected = (x / 255 - torch.tensor([0.5, 0.25]).view(1, 2, 1, 1)) / torch.tensor([0.5, 0.1]).view(1, 2, 1, 1)
    assert module(x).dtype == torch.float32
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(module(x.float()), expected)


def test_fitted_pixels_have_mean_0_and_deviation_1() -> None:
    x = torch.randint(0, 200, (50, 3, 6, 7), dtype=torch.uint8)
    out = fit_pixels(x)(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), atol=1e-2, rtol=0)
    assert fit_pixels(torch.zeros(4, 1, 3, 3, dtype=torch.uint8))(x[:, :1]).isfinite().all()


def test_table_features_by_hand() -> None:
    x = torch.tensor([[3.0, 3, 0.5], [NAN, 4, NAN], [1e9, NAN, 3.0], [-math.inf, -1, math.inf]])
    expected = [[1, -0.5, 0, 3], [0, 0, 1, 0], [10, 0.5, 0, 0], [-10, 2, 0, 0]]
    torch.testing.assert_close(example(pieces=False)(x), torch.tensor(expected).float(), atol=1e-5, rtol=1e-5)
    with_pieces = example()(x)
    assert with_pieces[:, 2:5].tolist() == [[0, -1, -1], [0, 0, 0], [1, 0, -1], [1, 1, 1]]
    torch.testing.assert_close(with_pieces[:, [0, 1, 5, 6]], torch.tensor(expected).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("module", [example(), PixelNormalize([0.1], [0.2]), Unstandardize(3.0, 0.5)])
def test_repr_is_the_expression_that_makes_it(module: nn.Module) -> None:
    again = eval(repr(module), {type(module).__name__: type(module)})
    assert repr(again) == repr(module)
    for (name, mine), (other, theirs) in zip(module.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("kind", ["table", "pixels", "unit"])
def test_exports_with_a_dynamic_batch(kind: str) -> None:
    module, x = {
        "table": (example(), torch.tensor([[1.0, 2, 3], [NAN, NAN, NAN], [-4, 9, 1e6]] * 3)),
        "pixels": (PixelNormalize([0.1], [0.2]), torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8)),
        "unit": (Unstandardize(3.0, 0.5), torch.randn(9, 1)),
    }[kind]
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    for batch in (1, 2, 7):
        torch.testing.assert_close(program.module()(x[:batch]), module(x[:batch]))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from([NAN, -1.0, 0.0, 1.0]), min_size=2),
    more=st.lists(st.floats(width=32), max_size=20),
)
def test_any_column_becomes_bounded_increasing_features(values: list[float], more: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float32)[:, None]
    module = fit_table(x, (Column("a", "numeric", missing=True),))
    probe = torch.cat([x.flatten(), torch.tensor(more, dtype=torch.float32)])
    out = module(probe[:, None])
    assert out.isfinite().all()
    assert out.abs().max() < 60
    known = probe[~probe.isnan()]
    assert (module(known.sort().values[:, None]).diff(dim=0) >= -1e-3).all()
    assert torch.equal(out[:, -1], probe.isnan().float())


def test_heavy_tails_do_not_drown_the_rest() -> None:
    x = torch.from_numpy(RNG.lognormal(sigma=3, size=(4000, 1))).float()
    x[:2000] = 0
    scaled = fit_table(x, (Column("a", "numeric"),))(x)[:, 0]
    assert abs(float(scaled.mean())) < 1e-3
    assert abs(float(scaled.std()) - 1) < 1e-2
    assert float(scaled.max()) < 5
    assert float(scaled[x[:, 0] > 0].std()) > 0.3


def test_wide_tables_get_fewer_pieces() -> None:
    for columns in (2, 40, 200):
        x = RNG.normal(size=(300, columns))
        width = load((x, np.arange(300) % 2)).spec.input_shape[0]
        assert columns <= width <= max(columns, 512 + columns)


def test_chunks_change_nothing() -> None:
    task = load((RNG.normal(size=(100, 3)), np.arange(100) % 2))
    assert torch.equal(inputs(task, task.train.x, chunk=7), task.preprocess(task.train.x))
