"""A frame as a picture for people: rescaled, windowed, drawn to size; not for diagnosis.

PS3.18 8.3.5 and PS3.3 C.11.2.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.frames import NoFrame, decoded_frames

BRAIN = (40.0, 80.0)
"""Window centre and width of a CT that states none."""
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
LARGEST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Look:
    """How a frame is drawn."""

    window: tuple[float, float] | None = None
    """Centre and width; None for the image's own."""
    size: tuple[int, int] | None = None
    """Columns and rows that the picture must fit into."""
    media_type: str = "image/jpeg"
    quality: int = 85


def render(path: Path, header: Attributes, number: int, look: Look) -> bytes:
    """One frame (1 is the first) as a picture.

    Raises:
        NoFrame: there is none, or its pixels are of a kind that is not drawn.
        CannotTranscode: the pixels do not decode.
    """
    [frame] = decoded_frames(path, [number])
    picture = Image.fromarray(_shades(frame.content, header, look))
    if look.size:
        picture.thumbnail(look.size)
    made = BytesIO()
    picture.save(made, FORMATS[look.media_type], quality=look.quality)
    return made.getvalue()


def _shades(content: bytes, header: Attributes, look: Look) -> NDArray[np.uint8]:
    rows, columns = int(_first(header, "00280010", 0)), int(_first(header, "00280011", 0))
    samples, bits = int(_first(header, "00280002", 1)), int(_first(header, "00280100", 16))
    if samples == 3 and bits == 8:
        pixels = np.frombuffer(content, np.uint8, rows * columns * 3)
        if int(_first(header, "00280006", 0)) == 1:
            return np.ascontiguousarray(np.moveaxis(pixels.reshape(3, rows, columns), 0, -1))
        return pixels.reshape(rows, columns, 3)
    if samples != 1 or bits not in (8, 16, 32):
        raise NoFrame(f"frames of {samples} samples of {bits} bits are not drawn")
    signed = int(_first(header, "00280103", 0)) == 1
    stored = np.frombuffer(content, np.dtype(f"<{'i' if signed else 'u'}{bits // 8}"), rows * columns)
    values = stored.reshape(rows, columns).astype(np.float32)
    values = values * _first(header, "00281053", 1.0) + _first(header, "00281052", 0.0)
    centre, width = look.window or _own_window(header, values)
    shades = np.clip((values - (centre - width / 2)) / max(width, 1.0), 0.0, 1.0) * 255.0
    if _word(header, "00280004") == "MONOCHROME1":
        shades = 255.0 - shades
    drawn: NDArray[np.uint8] = shades.astype(np.uint8)
    return drawn


def _own_window(header: Attributes, values: NDArray[np.float32]) -> tuple[float, float]:
    if _word(header, "00080060") == "CT":
        return _first(header, "00281050", BRAIN[0]), _first(header, "00281051", BRAIN[1])
    low, high = float(values.min()), float(values.max())
    return (_first(header, "00281050", (low + high) / 2), _first(header, "00281051", high - low))


def _first(header: Attributes, tag: str, default: float) -> float:
    values = header.get(tag, {}).get("Value", [])
    return float(values[0]) if values and isinstance(values[0], int | float) else default


def _word(header: Attributes, tag: str) -> str:
    values = header.get(tag, {}).get("Value", [])
    return str(values[0]) if values else ""
