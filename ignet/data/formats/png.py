"""What the first and the last bytes of a PNG tell."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ignet.errors import IgnetError

SIGNATURE, END = b"\x89PNG\r\n\x1a\n", b"IEND"
START_BYTES, END_BYTES = 26, 16
"""How many of the first and of the last bytes are asked for."""

_WITHOUT_COLOUR = (0, 4)


class Header(NamedTuple):
    """Of a PNG or a JPEG.

    Attributes:
        width: pixels.
        height: pixels.
        bits: of a channel.
        colour: false for a grey image.
    """

    width: int
    height: int
    bits: int
    colour: bool


def parse_header(start: bytes) -> Header | None:
    """The header, from the first bytes of a file; None where it is no PNG."""
    if len(start) < START_BYTES or not start.startswith(SIGNATURE) or start[12:16] != b"IHDR":
        return None
    width, height, bits, kind = struct.unpack(">IIBB", start[16:START_BYTES])
    return Header(width, height, bits, kind not in _WITHOUT_COLOUR)


def pixel_faults(header: Header) -> Iterator[tuple[str, IgnetError]]:
    """Why the 2D networks cannot take an image, as kind and error: the same for check, import and trainings."""
    if not header.colour:
        yield (
            "image-grey",
            IgnetError(
                "found a grey image",
                "colours",
                "take a colour camera's (KITTI: data_odometry_color.zip), or write a grey camera's images as RGB",
            ),
        )
    if header.bits > 8:
        # decoders keep the upper 8 of 16 bits: of 12 that a camera gives, these are the upper 4, and the image is
        # nearly black
        yield (
            "image-depth",
            IgnetError(
                f"found {header.bits} bits a channel",
                "8",
                "convert it: divide what has 12 bits by 16, and what has 16 bits by 256",
            ),
        )
