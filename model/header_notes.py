"""Notes on what the headers of a stack say against its images: a sharp kernel, compression with loss."""

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from model.geometry import Stack
from model.series import is_bone_kernel
from model.stroke import Note

LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K})
"""Transfer syntaxes that may lose; the last two need not, and nothing in the file tells."""


def header_notes(stack: Stack) -> list[Note]:
    """What calls for a person though it can be read.

    DICOM PS3.3 C.7.6.1.1.5 (lossy image compression).
    """
    notes = []
    header = stack.headers[0]
    if is_bone_kernel(header):
        text = f"Only a sharp reconstruction is there (kernel {header.kernel or 'not named'!r})."
        notes.append(Note("bone_kernel", text))
    lossy = sum(each.lossy or each.transfer_syntax_uid in LOSSY for each in stack.headers)
    if lossy:
        text = (
            f"{lossy} of {len(stack.headers)} slices were compressed with loss, and early signs may be lost."
        )
        notes.append(Note("lossy_compression", text))
    return notes
