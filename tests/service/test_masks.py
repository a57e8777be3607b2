"""Masks: what a brush painted is kept as one bit a pixel, whole findings become masks of a data set."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeling.labels import Extent, Roi, RoiKind
from model.stroke import StrokeType
from service.errors import BadRequest, NotFound, TooLarge
from service.masks import LARGEST, check_masks, keep_mask, overlay, read_mask
from service.painted import painted
from service.storage import FolderStorage
from tests.service.labelling import BLEED

SHOWN = np.zeros((4, 6), bool)
SHOWN[1:3, 2:5] = True
UIDS = ["1.1", "1.2", "1.3"]


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


def picture(shown: np.ndarray, mode: str = "RGBA") -> bytes:  # type: ignore[type-arg]
    if mode == "L":
        image = Image.fromarray(shown.astype(np.uint8) * 255)
    else:
        pixels = np.zeros((*shown.shape, 4), np.uint8)
        pixels[shown] = (255, 0, 0, 200)
        pixels[~shown] = (0, 0, 0, 90)  # the soft edge of a brush
        image = Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_the_same_painting_has_one_name_however_it_is_sent(storage: FolderStorage) -> None:
    names = {keep_mask(storage, picture(SHOWN, mode), rows=4, columns=6) for mode in ("RGBA", "L")}
    assert len(names) == 1
    [name] = names
    assert (read_mask(storage, name) == SHOWN).all()
    with Image.open(io.BytesIO(overlay(storage, name))) as laid:
        assert (np.asarray(laid.getchannel("A")) == SHOWN * 255).all()
    with pytest.raises(NotFound):
        read_mask(storage, "0" * 64)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a", "must be a PNG"),
        (picture(SHOWN)[:40], "must be a PNG"),
        (picture(SHOWN.T), "4 x 6 pixels; the slice has 6 x 4"),
        (picture(np.zeros((4, 6), bool)), "nothing is painted"),
    ],
)
def test_what_is_no_mask_of_the_slice_is_refused(storage: FolderStorage, content: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        keep_mask(storage, content, rows=4, columns=6)


def test_too_much_is_refused_and_a_mask_that_never_came_is_named(storage: FolderStorage) -> None:
    with pytest.raises(TooLarge):
        keep_mask(storage, b" " * (LARGEST + 1), rows=4, columns=6)
    roi = Roi(RoiKind.MASK, StrokeType.IPH, "1.1", mask="0" * 64)
    with pytest.raises(BadRequest, match="send the picture first"):
        check_masks(replace(BLEED, rois=(roi,)), storage)


def test_only_a_finding_that_is_painted_from_first_to_last_becomes_a_mask(storage: FolderStorage) -> None:
    name = keep_mask(storage, picture(SHOWN), rows=4, columns=6)

    def label(finding: StrokeType, *slices: str) -> object:
        rois = tuple(Roi(RoiKind.MASK, finding, uid, mask=name) for uid in slices)
        return replace(BLEED, rois=rois, extents=(Extent(finding, "1.2", "1.3"),))

    some, whole = label(StrokeType.IPH, "1.2"), label(StrokeType.SDH, "1.2", "1.3")
    assert painted([some], UIDS, storage) == {}  # type: ignore[list-item]
    found = painted([some, whole], UIDS, storage)  # type: ignore[list-item]
    assert list(found) == [StrokeType.SDH]
    assert found[StrokeType.SDH].shape == (3, 4, 6)
    assert not found[StrokeType.SDH][0].any()
    assert (found[StrokeType.SDH][1:] == SHOWN).all()
