"""Numbers in a page: compressed bytes as base64 text, coordinates in 16 bits, images as data URIs."""

import base64
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LIMIT = 32767


def packed(values: NDArray[Any]) -> str:
    """The bytes of an array, little-endian, compressed by zlib, as base64: what ``ignet.unpack`` in the page reads."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 9)).decode()


def quantised(points: NDArray[np.float32]) -> tuple[NDArray[np.int16], float]:
    """Coordinates in 16 bits.

    Args:
        points: float (N, 3 or more), x, y, z first, in metres and finite.

    Returns:
        int16 (3, N), all x, then all y, then all z, and the metres of one unit. A coordinate is off by half of that at
        most: 2 mm in a scan that reaches 120 m.
    """
    places = points[:, :3].astype(np.float64)
    reach = float(np.abs(places).max()) if places.size else 0.0
    unit = reach / _LIMIT or 1.0
    return np.rint(places.T / unit).astype(np.int16), unit


def jpeg(image: NDArray[np.uint8], quality: int) -> str:
    """Data URI of an image, uint8 (H, W, 3) RGB."""
    return _uri(Image.fromarray(image), "jpeg", quality=quality)


def class_png(ids: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    """Data URI of a map of class ids, uint8 (H, W), as a PNG with the classes' colours.

    What is beyond the palette is black.
    """
    image = Image.fromarray(np.minimum(ids, len(palette)).astype(np.uint8)).convert("P")
    image.putpalette([*palette.ravel().tolist(), 0, 0, 0])
    return _uri(image, "png", optimize=True)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
