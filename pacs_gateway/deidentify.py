"""CT series that leave care: each file is refused with a reason, or written anew without the patient.

PS3.15 annex E; `cleaner` treats the attributes, `pixel_privacy` and `defacing` the pixels.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from pacs_gateway import annex_e
from pacs_gateway.cleaner import Cleaner, PrivateElement, charset_of
from pacs_gateway.defacing import Mask, NoFace
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import InstanceHeader, read_header
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.pixel_privacy import (
    Reason,
    Refusal,
    check_kind,
    check_pixels,
    has_embedded_overlay,
    without_unused_bits,
)
from pacs_gateway.pseudonyms import Key
from pacs_gateway.thai import decode_thai
from pacs_gateway.thin_heads import faces_of, is_thin, without_face

METHOD_TEXT = "PS3.15 E.1, HMAC pseudonyms"
SAID_BY_US = (
    "BurnedInAnnotation",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "PatientIdentityRemoved",
    "RecognizableVisualFeatures",
    "SpecificCharacterSet",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the files given."""

    written: tuple[Path, ...]
    refused: dict[Reason, int]


def deidentify(
    paths: Iterable[Path],
    out: Path,
    *,
    key: Key,
    hcode: str = "",
    safe_private: frozenset[PrivateElement] = frozenset(),
    durable: bool = True,
) -> Report:
    """Write a copy of each CT image that may leave care, as OUT/study/series/instance.dcm under the new UIDs.

    Args:
        paths: Part 10 files of any number of studies.
        out: folder for the copies; files of the same names are replaced.
        key: the secret behind every pseudonym; the same key keeps patients together over many calls.
        hcode: the hospital whose HN PatientID is; empty takes IssuerOfPatientID.
        safe_private: private elements to keep.
        durable: whether each copy is on disk before this returns; who copies them on need not wait for it.

    Raises:
        OSError: a copy could not be written.
    """
    written: list[Path] = []
    refused: Counter[Reason] = Counter()
    series: dict[str, list[tuple[Path, InstanceHeader]]] = defaultdict(list)
    for path in paths:
        try:
            header = read_header(path)
            check_kind(header)
            series[header.series_instance_uid].append((path, header))
        except (UnreadableDataSet, OSError):
            refused[Reason.UNREADABLE] += 1
        except Refusal as refusal:
            refused[refusal.reason] += 1
    for members in series.values():
        try:
            faces = _faces(members)
        except Refusal as refusal:
            refused[refusal.reason] += len(members)
            continue
        for path, header in members:
            try:
                written.append(_copy(path, header, out, key, hcode, safe_private, faces.get(path), durable))
            except Refusal as refusal:
                refused[refusal.reason] += 1
    return Report(tuple(written), dict(refused))


def _faces(members: Sequence[tuple[Path, InstanceHeader]]) -> dict[Path, Mask]:
    """What becomes air in each file of a series of thin slices; nothing in one of thick ones."""
    if not is_thin([header for _, header in members]):
        return {}
    try:
        return faces_of(members)
    except NoFace as error:
        raise Refusal(Reason.FACE) from error


def _copy(
    path: Path,
    header: InstanceHeader,
    out: Path,
    key: Key,
    hcode: str,
    safe_private: frozenset[PrivateElement],
    face: Mask | None,
    durable: bool,
) -> Path:
    try:
        ds = dcmread(path)
        check_pixels(ds)
        patient_id, issuer = (_text(ds, tag) for tag in (0x00100020, 0x00100021))
        pseudonym = key.patient(hcode or issuer, patient_id or header.study_instance_uid)
        cleaned = Cleaner(key, pseudonym, safe_private).clean(ds)
        _settle_pixels(ds, cleaned)
        if face is not None:
            cleaned.PixelData = without_face(ds, face)
            cleaned["PixelData"].VR = "OW"
            cleaned["PixelData"].is_undefined_length = False
    except Refusal:
        raise
    except Exception as error:  # pydicom lets any error out that odd bytes provoke
        raise Refusal(Reason.UNREADABLE) from error
    kept_private = any(tag.is_private for tag in list(cleaned.keys()))
    _say_how(cleaned, kept_private=kept_private, defaced=face is not None)
    return _write(cleaned, _syntax(ds) if face is None else ExplicitVRLittleEndian, out, durable=durable)


def _text(ds: Dataset, tag: int) -> str:
    element = ds.get_item(tag) if tag in ds else None
    raw = element.value if element is not None else b""
    return decode_thai(raw or b"", charset_of(ds, ""))[0] if isinstance(raw, bytes | None) else str(raw)


def _syntax(ds: Dataset) -> UID:
    syntax = UID(str(ds.file_meta.TransferSyntaxUID))
    return syntax if syntax.is_encapsulated else ExplicitVRLittleEndian


def _settle_pixels(ds: Dataset, cleaned: Dataset) -> None:
    """Little endian words, and nothing in bits that no pixel uses."""
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        for element in cleaned:
            if element.VR == "OW":
                element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
    correct_ambiguous_vr(cleaned, True)
    if has_embedded_overlay(ds):
        cleaned.PixelData = without_unused_bits(
            cleaned.PixelData,
            allocated=int(ds.BitsAllocated),
            stored=int(ds.BitsStored),
            signed=bool(ds.PixelRepresentation),
        )


def _say_how(cleaned: Dataset, *, kept_private: bool, defaced: bool) -> None:
    """Say that, and how, the image was made anonymous. PS3.15 E.1.1, PS3.3 C.7.1.1."""
    codes = [
        annex_e.BASIC_PROFILE,
        annex_e.CLEAN_PIXEL_DATA,
        *([annex_e.CLEAN_VISUAL_FEATURES] if defaced else []),
        annex_e.CLEAN_DESCRIPTORS,
        annex_e.MODIFIED_DATES,
        annex_e.PATIENT_CHARACTERISTICS,
        *([annex_e.SAFE_PRIVATE] if kept_private else []),
    ]
    for keyword in SAID_BY_US:
        cleaned.pop(keyword, None)
    cleaned.SpecificCharacterSet = "ISO_IR 192"
    cleaned.PatientIdentityRemoved = "YES"
    cleaned.DeidentificationMethod = METHOD_TEXT
    cleaned.DeidentificationMethodCodeSequence = [_code(code) for code in codes]
    cleaned.LongitudinalTemporalInformationModified = "MODIFIED"
    cleaned.BurnedInAnnotation = "NO"
    if defaced:
        cleaned.RecognizableVisualFeatures = "NO"


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", annex_e.METHODS[value]
    return item


def _write(cleaned: Dataset, syntax: UID, out: Path, *, durable: bool) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = cleaned.SOPClassUID
    meta.MediaStorageSOPInstanceUID = cleaned.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    cleaned.file_meta, cleaned.preamble = meta, bytes(128)
    folder = out / str(cleaned.StudyInstanceUID) / str(cleaned.SeriesInstanceUID)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{cleaned.SOPInstanceUID}.dcm"
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            dcmwrite(file, cleaned, enforce_file_format=True)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
