"""Augmented images are moved, mirrored and covered images, and nothing else."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.estimate.augmentation import augment, cutout, mix, shift_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(image: torch.Tensor, dy: int, dx: int, flip: bool) -> torch.Tensor:
    """The same by padding and slicing."""
    pad = 3
    padded = torch.nn.functional.pad(image[None].double(), (pad,) * 4, mode="reflect")[0].to(image.dtype)
    height, width = image.shape[-2:]
    out = padded[:, pad + dy : pad + dy + height, pad + dx : pad + dx + width]
    return out.flip(-1) if flip else out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(5, 9), st.integers(5, 9), st.booleans())
def test_every_image_is_itself_moved_by_no_more_than_the_shift(seed: int, c: int, h: int, w: int, flip: bool) -> None:
    x = torch.randint(0, 256, (4, c, h, w), generator=generator(seed), dtype=torch.uint8)
    out = shift_flip(x, 2, flip, generator(seed + 1))
    assert out.dtype == x.dtype and out.shape == x.shape
    for before, after in zip(x, out, strict=True):
        allowed = [
            moved(before, dy, dx, f)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            for f in ((False, True) if flip else (False,))
        ]
        assert any(torch.equal(after, a) for a in allowed)


def test_all_shifts_and_both_sides_occur() -> None:
    x = torch.arange(49, dtype=torch.float32).view(1, 1, 7, 7).expand(2000, -1, -1, -1)
    assert len(shift_flip(x, 2, False, generator())[:, 0].flatten(1).unique(dim=0)) == 25
    assert len(shift_flip(x, 2, True, generator())[:, 0].flatten(1).unique(dim=0)) == 50


def test_cutout_covers_at_most_one_square_with_the_fill() -> None:
    x = torch.full((500, 3, 12, 12), 7, dtype=torch.uint8)
    out = cutout(x, 4, 99.4, generator())
    covered = out[:, 0] == 99
    assert torch.equal(out[:, 0], out[:, 1]) and set(out.unique().tolist()) == {7, 99}
    sizes = covered.flatten(1).sum(1)
    assert int(sizes.min()) >= 4 and int(sizes.max()) == 16
    assert covered.any(0).all(), "every pixel is covered at some time"


def test_mixing_blends_each_sample_with_its_partner() -> None:
    x = torch.randn(16, 2, 3, 3, generator=generator())
    mixed, order, share = mix(x, 0.4, generator(1))
    assert 0.0 <= float(share) <= 0.4 and sorted(order.tolist()) == list(range(16))
    torch.testing.assert_close(mixed, x * (1 - share) + x[order] * share)


def test_the_generator_decides_and_names_select() -> None:
    x = torch.randint(0, 256, (8, 1, 28, 28), generator=generator(), dtype=torch.uint8)
    names = ("shift", "flip", "cutout")
    assert torch.equal(augment(x, names, generator(4)), augment(x, names, generator(4)))
    assert not torch.equal(augment(x, names, generator(4)), augment(x, names, generator(5)))
    assert torch.equal(augment(x, (), generator()), x)
    mirrored = augment(x, ("flip",), generator())
    assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(mirrored, x, strict=True))
