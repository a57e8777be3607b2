"""A face goes and the brain stays: on a head made of geometry, and on real ones."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from pacs_gateway.deidentify import deidentify
from pacs_gateway.headers import read_header
from pacs_gateway.pixel_privacy import Reason
from pacs_gateway.pseudonyms import Key
from pacs_gateway.thin_heads import faces_of
from tests.hub import real_ct
from tests.pacs import write_slice

KEY = Key(b"a secret of thirty-two bytes, ok?")
SIDE, PIXEL, SPACING, SLICES = 112, 2.0, 2.5, 56
Z, Y, X = np.meshgrid(
    (np.arange(SLICES) - 20) * SPACING,
    (np.arange(SIDE) - 60) * PIXEL,
    (np.arange(SIDE) - 56) * PIXEL,
    indexing="ij",
)
AIR, SKIN, BONE, BRAIN = -1000, 20, 1000, 35


def within(a: float, b: float, c: float, y: float = 0.0, z: float = 0.0, x: float = 0.0) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((X - x) / a) ** 2 + ((Y - y) / b) ** 2 + ((Z - z) / c) ** 2 <= 1
    return inside


def head(*, defect: bool = False) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.bool_]]:
    """HU of a head with nose and eyes, where its brain is, and where its nose and skin of the face are."""
    skull, inner = within(72, 90, 82, z=5), within(66, 84, 76, z=5)
    nose = within(9, 26, 14, y=-92, z=-28)
    whole = within(79, 97, 88, z=5) | nose
    hu = np.full(X.shape, AIR, np.int16)
    hu[whole] = SKIN
    hu[skull] = BONE
    brain = inner & (Z > -22)
    hu[inner] = SKIN
    hu[brain] = BRAIN
    for side in (-32, 32):
        wall, orbit = (within(19 + t, 32 + t, 15 + t, y=-78, z=-24, x=side) for t in (5, 0))
        hu[wall & skull & ~orbit] = BONE  # the roof of the orbit
        hu[orbit & whole] = 10
        brain &= ~wall
    if defect:
        hole = within(16, 40, 16, y=-75, z=55, x=25) & skull & ~inner
        hu[hole] = SKIN
    face = whole & ~skull & (Y < -40) & (Z < -5) & (Z > -45)
    return hu, brain, (face | nose) & ~skull


def write(folder: Path, hu: NDArray[np.int16], *, upside_down: bool = False) -> dict[str, int]:
    """The head as a thin series; slice number by SOP Instance UID."""
    order = slice(None, None, -1) if upside_down else slice(None)
    for number, plane in enumerate(hu):
        write_slice(
            folder, number=number + 1, spacing=SPACING, side=SIDE, SliceThickness="2.5",
            PixelSpacing=[PIXEL, PIXEL], RescaleSlope="1", RescaleIntercept="-1024", PixelRepresentation=0,
            ImageOrientationPatient=[1, 0, 0, 0, -1 if upside_down else 1, 0],
            PixelData=(plane[order] + 1024).astype("<u2").tobytes(),
        )  # fmt: skip
    return {KEY.uid(f"1.2.3.1.1.{number + 1}"): number for number in range(len(hu))}


def defaced(folder: Path, hu: NDArray[np.int16], *, upside_down: bool = False) -> NDArray[np.int16]:
    numbers = write(folder / "in", hu, upside_down=upside_down)
    report = deidentify(sorted((folder / "in").iterdir()), folder / "out", key=KEY)
    assert report.refused == {}
    after = np.zeros_like(hu)
    for path in report.written:
        ds = dcmread(path)
        plane = ds.pixel_array.astype(np.int16) - 1024
        after[numbers[path.stem]] = plane[::-1] if upside_down else plane
        assert ds.RecognizableVisualFeatures == "NO"
        assert "113102" in [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    return after


@pytest.mark.parametrize("upside_down", [False, True])
def test_nose_and_skin_of_the_face_go_and_no_brain_does(tmp_path: Path, upside_down: bool) -> None:
    before, brain, face = head()
    after = defaced(tmp_path, before, upside_down=upside_down)
    assert np.array_equal(after[brain], before[brain])
    assert np.array_equal(after[:, SIDE // 2 + 20 :], before[:, SIDE // 2 + 20 :])  # the back of the head
    front = face & (np.abs(X) < 55)
    assert np.mean(after[front] == AIR) > 0.97
    changed = after != before
    assert np.all(after[changed] == AIR)


def test_what_comes_first_from_the_front_is_bone_afterwards(tmp_path: Path) -> None:
    before, _, _ = head()
    after = defaced(tmp_path, before)
    middle = np.s_[12:45, :, SIDE // 2 - 5 : SIDE // 2 + 5]
    solid = after[middle] > -300
    first = np.take_along_axis(after[middle], solid.argmax(axis=1)[:, None, :], axis=1)
    assert np.mean(first > 250) > 0.95


def test_a_craniectomy_loses_scalp_and_no_brain(tmp_path: Path) -> None:
    before, brain, _ = head(defect=True)
    after = defaced(tmp_path, before)
    assert np.array_equal(after[brain], before[brain])


def test_thin_slices_that_show_no_vault_are_refused(tmp_path: Path) -> None:
    before, _, _ = head()
    write(tmp_path / "in", before[:20])
    report = deidentify(sorted((tmp_path / "in").iterdir()), tmp_path / "out", key=KEY)
    assert report.refused == {Reason.FACE: 20}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["infarct-ct", "haemorrhage-ct"])
def test_real_faces_go_down_to_the_bone_and_what_the_skull_holds_stays(name: str) -> None:
    paths = {read_header(path).sop_instance_uid: path for path in real_ct(name)}.values()
    members = [(path, read_header(path)) for path in paths]
    bony, eyes = [], 0
    for path, mask in faces_of(members).items():
        ds = dcmread(path)
        hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        held = ndimage.binary_fill_holes(ndimage.binary_closing(hu > 250, np.ones((5, 5)))) & (hu < 100)
        held = ndimage.binary_erosion(held, np.ones((9, 9)))
        assert not (mask & held).any()
        touched = mask.any(axis=0) & (mask & (hu > -300)).any(axis=0)
        end = mask.shape[0] - mask[::-1].argmax(axis=0)
        bony += [bool(hu[min(end[x] + 1, 511), x] > 150) for x in np.flatnonzero(touched)]
        eyes += int((mask & (hu > -50) & (hu < 60)).sum())
    assert np.mean(bony) > 0.5  # the rest are orbits and cheeks, cut at a fixed depth
    assert eyes > 10_000
