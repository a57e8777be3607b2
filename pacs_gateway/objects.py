"""All the objects of one result, as files: what the hub keeps and sends back to the hospital."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID

from pacs_gateway.capture import build_captures
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.presentation import build_presentation
from pacs_gateway.report import build_report
from pacs_gateway.results import Reference, StudyResult
from pacs_gateway.segmentation import build_segmentation

_BUILDING = threading.Lock()
KINDS = ("sr", "seg", "gsps", "sc", "pdf")


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One object, ready to be kept and sent."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    series_number: int
    instance_number: int
    series_description: str
    content: bytes
    """Part 10."""


def build_objects(result: StudyResult) -> list[ResultFile]:
    """Everything that belongs to a result: report and captures always, outlines where blood is suspected."""
    with _as_they_are():
        segmentation = None
        made: list[tuple[str, Dataset]] = []
        if result.suspects and result.suspicion is not None:
            segmentation = build_segmentation(result)
            made.append(("seg", segmentation))
        if result.suspects and any(each.box for each in result.key_slices):
            made.append(("gsps", build_presentation(result)))
        made += [("sc", capture) for capture in build_captures(result)]
        made.insert(0, ("sr", build_report(result, segmentation=segmentation)))
        return [result_file(kind, ds) for kind, ds in made]


def build_final_report(result: StudyResult, previous: Reference) -> ResultFile:
    """The report once a radiologist has signed; it replaces `previous`, with the same segmentation."""
    with _as_they_are():
        segmentation = None
        if result.suspects and result.suspicion is not None:
            segmentation = build_segmentation(replace(result, signature=None))
        return result_file("sr", build_report(result, segmentation=segmentation, previous=previous))


@contextmanager
def _as_they_are() -> Iterator[None]:
    """Take illegal values over: a reference to a UID with a leading zero must repeat the zero.

    The switch is the whole process's, so one thread builds at a time and puts it back.
    """
    with _BUILDING, config.disable_value_validation():
        yield


def result_file(kind: str, ds: Dataset) -> ResultFile:
    """An object as the bytes of a Part 10 file."""
    ds.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    ds.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return ResultFile(
        kind=kind,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        modality=str(ds.Modality),
        series_number=int(ds.SeriesNumber),
        instance_number=int(ds.InstanceNumber),
        series_description=str(ds.get("SeriesDescription", "")),
        content=buffer.getvalue(),
    )
