"""What the header and the last bytes of a JPEG tell."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from ignet.data.formats.png import Header

START, END = b"\xff\xd8", b"\xff\xd9"
END_BYTES = 16
"""How many of the last bytes are asked for: some writers pad."""


def read_header(source: Path | bytes) -> Header | None:
    """The header of a file, or of its bytes; None where it is no JPEG.

    Raises:
        OSError: the file cannot be opened.
    """
    with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        try:
            with Image.open(file, formats=("JPEG",)) as image:
                return Header(*image.size, bits=8, colour=image.mode != "L")
        except (OSError, SyntaxError, ValueError):
            return None
