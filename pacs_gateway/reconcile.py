"""A study under another hospital's number for the patient, as IHE's Import Reconciliation Workflow has it.

Only PatientID and its issuer change; the number that the images came with stays in OtherPatientIDsSequence
and OriginalAttributesSequence, so that whoever looks can tell what was done. UIDs stay: it is the same study.
All other elements are written as they were read, byte by byte; only a wrongly declared character set is
declared rightly, because the receiving PACS believes what is declared.
IHE RAD TF-1 21 (IRWF.b), PS3.3 C.12.1.1.9.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.marking import BANGKOK
from pacs_gateway.results import MANUFACTURER
from pacs_gateway.thai import decode_thai

CHARSET, PATIENT_NAME, PATIENT_ID, ISSUER = 0x00080005, 0x00100010, 0x00100020, 0x00100021
DECLARED = {"cp874": "ISO_IR 166", "utf-8": "ISO_IR 192"}
"""What to declare where the bytes are found to be these. PS3.3 C.12.1.1.2."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Whose number takes the place of whose."""

    patient_id: str
    """At the receiving hospital."""
    issuer: str
    """The receiving hospital's code."""
    original_issuer: str
    """The sending hospital's code; used where the images name none."""
    at: datetime


def reconcile(source: Path, target: Path, to: Reconciled) -> None:
    """Write a copy of an instance with the patient's number at another hospital.

    Args:
        source: A Part 10 file.
        target: Where the copy is written; a file there is replaced.
        to: The number.

    Raises:
        UnreadableDataSet: it is no DICOM file that can be read to its end.
        OSError: the file cannot be opened, or the copy not written.
    """
    try:
        dcmwrite(target, _readdressed(dcmread(source), to), enforce_file_format=True)
    except OSError:  # the disk's fault and not the file's: it may go better another time
        raise
    except Exception as error:  # pydicom lets any error out that odd bytes provoke, reading and writing
        raise UnreadableDataSet(f"cannot be readdressed: {type(error).__name__}") from error


def _readdressed(ds: Dataset, to: Reconciled) -> Dataset:
    original, issuer = (_text(ds, tag) for tag in (PATIENT_ID, ISSUER))
    _declare(ds)
    before = Dataset()
    before.PatientID, before.IssuerOfPatientID = original, issuer
    ds.PatientID, ds.IssuerOfPatientID = to.patient_id, to.issuer
    if original and (original, issuer or to.original_issuer) != (to.patient_id, to.issuer):
        other = Dataset()
        other.PatientID, other.TypeOfPatientID = original, "TEXT"
        other.IssuerOfPatientID = issuer or to.original_issuer
        ds.OtherPatientIDsSequence = Items([*ds.get("OtherPatientIDsSequence", []), other])
    ds.OriginalAttributesSequence = Items([*ds.get("OriginalAttributesSequence", []), _note(before, to)])
    ds.pop("OtherPatientIDs", None)  # retired, and it holds numbers without their issuers
    return ds


def _note(before: Dataset, to: Reconciled) -> Dataset:
    note = Dataset()
    note.SourceOfPreviousValues = to.original_issuer
    note.AttributeModificationDateTime = f"{to.at.astimezone(BANGKOK):%Y%m%d%H%M%S}"
    note.ModifyingSystem = MANUFACTURER
    note.ReasonForTheAttributeModification = "COERCE"
    note.ModifiedAttributesSequence = Items([before])
    return note


def _declare(ds: Dataset) -> None:
    """Declare the character set that the patient's name is in, where it can be told."""
    declared = _raw(ds, CHARSET).decode("latin-1").strip("\x00 ")
    _, used = decode_thai(_raw(ds, PATIENT_NAME), declared)
    if used in DECLARED and declared != DECLARED[used] and "\\" not in declared:
        ds.SpecificCharacterSet = DECLARED[used]
        # so that the bytes are written as they are, instead of decoded as was declared and encoded anew
        implicit, little = ds.original_encoding
        ds.set_original_encoding(implicit, little, convert_encodings(DECLARED[used]))


def _text(ds: Dataset, tag: int) -> str:
    return decode_thai(_raw(ds, tag), _raw(ds, CHARSET).decode("latin-1").strip("\x00 "))[0][:64]


def _raw(ds: Dataset, tag: int) -> bytes:
    """The bytes of an element as the file has them."""
    element = ds.get_item(tag) if tag in ds else None
    value = element.value if element is not None else b""
    return value if isinstance(value, bytes) else str(value or "").encode("utf-8")
