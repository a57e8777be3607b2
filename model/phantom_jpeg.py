"""JPEG Lossless (process 14, selection value 1) for one 16-bit frame, which no Python library writes.

ITU-T T.81 annex H. The Huffman table is fixed: small differences, which noise makes, get three bits.
"""

import struct

import numpy as np
from numpy.typing import NDArray

CODE_LENGTHS = np.array([3] * 7 + list(range(4, 14)), np.int64)
"""Bits of the code of each difference category 0..16."""


def canonical_codes() -> NDArray[np.int64]:
    """Return the codes that belong to the lengths, as T.81 annex C makes them."""
    codes = np.zeros(len(CODE_LENGTHS), np.int64)
    for index in range(1, len(codes)):
        codes[index] = (codes[index - 1] + 1) << (CODE_LENGTHS[index] - CODE_LENGTHS[index - 1])
    return codes


def segment(marker: int, payload: bytes) -> bytes:
    """Return a marker segment."""
    return struct.pack(">HH", marker, len(payload) + 2) + payload


def encode_lossless(frame: NDArray[np.integer]) -> bytes:
    """Encode one frame (rows, columns) of 16-bit pixels, signed or not."""
    pixels = frame.astype(np.int32) & 0xFFFF
    guess = np.empty_like(pixels)
    guess[:, 1:] = pixels[:, :-1]
    guess[1:, 0] = pixels[:-1, 0]
    guess[0, 0] = 1 << 15
    difference = ((pixels - guess + (1 << 15)) & 0xFFFF) - (1 << 15)
    difference = difference.ravel().astype(np.int64)
    category = np.frexp(np.abs(difference).astype(np.float64))[1].astype(np.int64)
    extra = np.where(difference < 0, difference + (1 << category) - 1, difference)
    width = np.where(category == 16, 0, category)
    value = (canonical_codes()[category] << width) | np.where(category == 16, 0, extra)
    data = pack_bits(value, CODE_LENGTHS[category] + width).replace(b"\xff", b"\xff\x00")
    rows, columns = frame.shape
    counts = bytes(np.bincount(CODE_LENGTHS, minlength=17)[1:].tolist())
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xFFC3, struct.pack(">BHHBBBB", 16, rows, columns, 1, 1, 0x11, 0)),
            segment(0xFFC4, b"\x00" + counts + bytes(range(len(CODE_LENGTHS)))),
            segment(0xFFDA, bytes((1, 1, 0, 1, 0, 0))),
            data,
            b"\xff\xd9",
        )
    )


def pack_bits(value: NDArray[np.int64], length: NDArray[np.int64]) -> bytes:
    """Join numbers of the given bit lengths, most significant bit first, filled up with ones."""
    end = np.cumsum(length)
    owner = np.repeat(np.arange(len(value)), length)
    shift = (end[owner] - 1) - np.arange(int(end[-1]))
    bits = ((value[owner] >> shift) & 1).astype(np.uint8)
    fill = np.ones(-len(bits) % 8, np.uint8)
    return np.packbits(np.concatenate([bits, fill])).tobytes()
