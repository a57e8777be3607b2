"""Mask: what a reader painted onto a slice, kept as a picture of one bit a pixel under its own hash."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from labeling.labels import Label, RoiKind
from service.errors import BadRequest, NotFound, TooLarge
from service.storage import NotStored, Storage

LARGEST: Final = 2_000_000
"""Bytes of one picture: 1,024 pixels a side in colour are half of it."""
HALF: Final = 128
"""Of 255: a pixel that the brush covered more than half is in."""


def keep_mask(storage: Storage, content: bytes, *, rows: int, columns: int) -> str:
    """Keep what was painted; returns its name, the SHA-256 of the picture as it is kept.

    Args:
        storage: Where it is kept.
        content: A PNG; what its alpha channel covers, or where it has none what is white.
        rows: Of the slice.
        columns: Of the slice.

    Raises:
        BadRequest: no PNG, of another size than the slice, or nothing painted. TooLarge: over 2 MB.
    """
    if len(content) > LARGEST:
        raise TooLarge(f"a mask of {len(content)} bytes; {LARGEST} is the most")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != (columns, rows):
                size = f"{picture.size[0]} x {picture.size[1]}"
                raise BadRequest(f"the mask has {size} pixels; the slice has {columns} x {rows}")
            plain = picture.convert("RGBA").getchannel("A") if _has_alpha(picture) else picture.convert("L")
            shown = np.asarray(plain) >= HALF
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise BadRequest(f"a mask must be a PNG: {type(error).__name__}") from None
    if not shown.any():
        raise BadRequest("nothing is painted on the mask")
    out = io.BytesIO()
    Image.fromarray(shown).save(out, "PNG", optimize=True)
    return storage.keep_bytes(out.getvalue())


def read_mask(storage: Storage, name: str) -> NDArray[np.bool_]:
    """What was painted, (rows, columns).

    Raises:
        NotFound: no mask of this name is kept.
    """
    try:
        with storage.open(name) as file, Image.open(file, formats=["PNG"]) as picture:
            return np.asarray(picture.convert("1"), dtype=np.bool_)
    except (NotStored, UnidentifiedImageError):
        raise NotFound(f"no mask has the name {name[:64]!r}") from None


def overlay(storage: Storage, name: str) -> bytes:
    """What was painted as a PNG that covers nothing else, to be laid over the slice.

    Raises:
        NotFound: see `read_mask`.
    """
    shown = read_mask(storage, name)
    pixels = np.zeros((*shown.shape, 2), np.uint8)
    pixels[shown] = 255
    out = io.BytesIO()
    Image.fromarray(pixels, "LA").save(out, "PNG")
    return out.getvalue()


def check_masks(label: Label, storage: Storage) -> None:
    """Refuse a read that names a mask which the hub has not.

    Raises:
        BadRequest: it does.
    """
    for roi in label.rois:
        if roi.kind is RoiKind.MASK and not (_is_name(roi.mask) and storage.exists(roi.mask)):
            raise BadRequest(f"no mask {roi.mask[:12]!r}... is kept; send the picture first")


def masks_of(label: Label) -> frozenset[str]:
    """The names of the masks of a read."""
    return frozenset(roi.mask for roi in label.rois if roi.kind is RoiKind.MASK)


def _is_name(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA") or "transparency" in picture.info
