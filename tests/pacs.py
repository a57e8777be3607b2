"""A small PACS on a free loopback port, and DICOM files made by hand, for the gateway's tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

DEADLINE_SECONDS = 20.0


def await_condition(condition: Callable[[], Any], what: str) -> Any:
    """Wait until the condition gives something true, and give that."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_SECONDS:.0f} s: {what}")


def make_slice(
    *,
    study: str = "1.2.3.1",
    series: str | None = None,
    number: int = 1,
    spacing: float = 5.0,
    syntax: str = ExplicitVRLittleEndian,
    modality: str = "CT",
    side: int = 16,
    pixel: int = 0,
    **attributes: Any,
) -> FileDataset:
    """One small axial slice; attributes by keyword win."""
    series = series or f"{study}.1"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{series}.{number}")
    meta.TransferSyntaxUID = UID(syntax)
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, series, modality
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientName, ds.PatientID, ds.StudyDate = "Simulated^Patient", "HN1", "20260101"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.ImagePositionPatient = [-120.0, -120.0, number * spacing]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.Rows = ds.Columns = side
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = bytes([pixel, 0]) * side * side
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def write_slice(folder: Path, **options: Any) -> Path:
    """`make_slice`, as a Part 10 file."""
    ds = make_slice(**options)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ds.SOPInstanceUID}.{options.get('pixel', 0)}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


def write_study(folder: Path, *, study: str = "1.2.3.1", slices: int = 30, **options: Any) -> list[Path]:
    """Evenly spaced slices of one series."""
    return [write_slice(folder, study=study, number=number, **options) for number in range(1, slices + 1)]


class SmallPacs:
    """Keeps what it is sent, and answers as told."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.statuses: list[int] = []
        """Answered one after the other; then success."""
        self.abort_after: int | None = None
        self.before: Callable[[int], object] = lambda received: None
        """Called with the number received so far, before each is taken."""
        self.port = 0

    def store(self, event: evt.Event) -> int:
        self.before(len(self.received))
        if self.abort_after is not None and len(self.received) >= self.abort_after:
            self.abort_after = None
            event.assoc.abort()
            return 0x0110
        self.received.append((str(event.request.AffectedSOPInstanceUID), event.request.DataSet.getvalue()))
        return self.statuses.pop(0) if self.statuses else 0x0000


@contextmanager
def small_pacs(*, syntaxes: list[str] | None = None) -> Iterator[SmallPacs]:
    """A storage provider that takes the syntaxes given, or pynetdicom's own choice."""
    pacs = SmallPacs()
    ae = AE(ae_title="SMALLPACS")
    ae.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        assert context.abstract_syntax is not None
        ae.add_supported_context(context.abstract_syntax, syntaxes or context.transfer_syntax)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, pacs.store)])
    assert server is not None
    pacs.port = server.socket.getsockname()[1]
    try:
        yield pacs
    finally:
        server.shutdown()


@contextmanager
def archive_that_counts(instances: int) -> Iterator[int]:
    """A PACS that answers any C-FIND for a study with its number of instances, and gives its port."""

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.QueryRetrieveLevel = "STUDY"
        answer.StudyInstanceUID = event.identifier.StudyInstanceUID
        answer.NumberOfStudyRelatedInstances = instances
        yield 0xFF00, answer

    ae = AE(ae_title="UDON_PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    assert server is not None
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()
