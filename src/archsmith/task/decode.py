"""Look at image files and decode them: sizes are checked before anything is decoded, damaged files are named."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from archsmith.errors import DataError
from archsmith.task.limits import MAX_PIXELS

__all__ = ["IMAGE_SUFFIXES", "Header", "decode_image", "decode_images", "read_headers"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_FORMATS = ("PNG", "JPEG")  # by content, whatever the name says: other decoders are not even tried
_GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B"})
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Header:
    """What an image file declares about itself."""

    width: int
    height: int
    grey: bool
    alpha: bool


def read_headers(paths: Sequence[Path]) -> list[Header]:
    """Return what each image declares; unreadable and huge ones are refused undecoded, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        results = _in_threads(_header, paths)
    _refuse([f"{path} {r}" for path, r in zip(paths, results, strict=True) if isinstance(r, str)])
    return [r for r in results if isinstance(r, Header)]


def _header(path: Path) -> Header | str:
    """Return the facts an image declares, undecoded; a sentence where it cannot be used."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return f"declares {width} x {height} pixels, more than the {MAX_PIXELS:,} allowed; refused undecoded"
            if image.getexif().get(0x0112) in (5, 6, 7, 8):  # the camera was held sideways
                width, height = height, width
            alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
            return Header(width, height, image.mode in _GREY, alpha)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return f"declares more than the {MAX_PIXELS:,} pixels allowed; refused undecoded"
    except (OSError, ValueError, SyntaxError) as error:
        return f"is not a readable image ({str(error).replace(str(path), path.name)})"


def decode_image(path: Path, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return one image as uint8 ``[channels, height, width]``, resized to ``size`` (height, width).

    Transparent pixels are put on white. Raises ``OSError``, ``ValueError`` or ``SyntaxError`` for damaged files.
    """
    height, width = size
    with Image.open(path, formats=_FORMATS) as opened:
        opened.draft(None, (2 * width, 2 * height))  # large JPEGs decode smaller, and faster
        image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bit grey
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values >> 8 if image.mode != "I" or values.max() > 255 else values).astype(np.uint8))
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def decode_images(paths: Sequence[Path], channels: int, size: tuple[int, int]) -> torch.Tensor:
    """Return images as uint8 ``[N, channels, height, width]``, decoded by a pool of threads; damaged ones are named."""
    out = np.empty((len(paths), channels, *size), dtype=np.uint8)

    def decode(i: int) -> str:
        try:
            out[i] = decode_image(paths[i], channels, size)
        except (OSError, ValueError, SyntaxError) as error:
            return f"{paths[i]} is damaged ({error})"
        return ""

    _refuse([bad for bad in _in_threads(decode, range(len(paths))) if bad])
    return torch.from_numpy(out)


def _refuse(bad: list[str]) -> None:
    if bad:
        more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
        listing = "\n  ".join(bad[:5])
        raise DataError(f"{len(bad)} image(s) cannot be used; remove or replace them:\n  {listing}{more}")


def _in_threads(function: Callable[[_A], _B], items: Iterable[_A]) -> list[_B]:
    """Map in a pool of threads, in order; Pillow frees the interpreter while it decodes."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items, chunksize=16))
