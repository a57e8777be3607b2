"""The slices of a case as a reader may name them: one series, bottom to top, under pseudonymous UIDs."""

from typing import NamedTuple

from pydicom import dcmread
from sqlalchemy.orm import Session

from labeling.completeness import Images
from pacs_gateway.headers import read_header
from pacs_gateway.pixel_privacy import Refusal, check_pixels
from pacs_gateway.pseudonyms import Key
from service.cases import Case
from service.errors import NotReady
from service.series import series_of
from service.storage import Storage


class Slice(NamedTuple):
    """One slice under the UIDs of the hub, which a reader never sees."""

    series_instance_uid: str
    sop_instance_uid: str
    storage_key: str


def slices_of(session: Session, case: Case) -> list[Slice]:
    """The slices of the series with most of them, bottom to top.

    Raises:
        NotReady: the study has no image any more.
    """
    most = max(series_of(session, case.study_id), key=lambda series: len(series.instances), default=None)
    if most is None or not most.instances:
        raise NotReady("the study has no images")
    placed = sorted(most.instances, key=lambda each: (each[5][2] if each[5] else 0.0, each[4] or 0, each[0]))
    return [Slice(most.series_instance_uid, each[0], each[3]) for each in placed]


def check_blind(storage: Storage, each: Slice) -> None:
    """Refuse to show a reader a slice whose very pixels may tell who it is.

    Raises:
        NotReady: with the reason.
    """
    try:
        check_pixels(dcmread(storage.path(each.storage_key), stop_before_pixels=True))
    except Refusal as refusal:
        raise NotReady(f"this slice is not shown to readers: {refusal.reason.meaning}") from refusal


def thickness_of(session: Session, case: Case, storage: Storage) -> float | None:
    """Slice thickness in mm as the files say, for a volume by ABC/2; None where they do not.

    Raises:
        NotReady: the study has no image any more.
    """
    return read_header(storage.path(slices_of(session, case)[0].storage_key)).slice_thickness


def images_of(session: Session, case: Case, storage: Storage, key: Key) -> Images:
    """The slices by the pseudonyms that a read names them by.

    Raises:
        NotReady: the study has no image any more.
    """
    slices = slices_of(session, case)
    header = read_header(storage.path(slices[0].storage_key))
    uids = [key.uid(each.sop_instance_uid) for each in slices]
    return Images(uids, rows=header.rows or 0, columns=header.columns or 0)
