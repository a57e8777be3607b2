"""The lossless JPEG writer, read back by the decoder that the hub uses."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1

from model.phantom_jpeg import encode_lossless


def decode(data: bytes, like: np.ndarray) -> np.ndarray:
    """Return the pixels of one encoded frame."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    ds.Rows, ds.Columns = like.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, int(like.dtype.kind == "i")
    ds.PixelData = encapsulate([data])
    ds["PixelData"].VR = "OB"
    return np.asarray(ds.pixel_array)


class TestEncodeLossless:
    @pytest.mark.parametrize("dtype", ["<u2", "<i2"])
    @pytest.mark.parametrize("spread", [1, 30, 3000, 32767])
    def test_pixels_come_back_unchanged(self, dtype: str, spread: int) -> None:
        rng = np.random.default_rng(spread)
        low = -spread if dtype == "<i2" else 0
        frame = rng.integers(low, spread, (33, 47)).astype(dtype)
        assert np.array_equal(decode(encode_lossless(frame), frame), frame)

    def test_largest_step_comes_back_unchanged(self) -> None:
        frame = np.tile(np.array([0, 32768, 0, 65535], "<u2"), (8, 4))
        assert np.array_equal(decode(encode_lossless(frame), frame), frame)

    def test_smooth_frame_gets_smaller(self) -> None:
        frame = np.random.default_rng(1).normal(1000, 4, (64, 64)).astype("<i2")
        assert len(encode_lossless(frame)) < frame.nbytes / 2
