"""The slices of a case as a reader may name them: one series, bottom to top, under pseudonymous UIDs."""

from sqlalchemy.orm import Session

from labeling.completeness import Images
from pacs_gateway.headers import read_header
from pacs_gateway.pseudonyms import Key
from service.cases import Case
from service.errors import NotReady
from service.series import series_of
from service.storage import Storage


def images_of(session: Session, case: Case, storage: Storage, key: Key) -> Images:
    """The slices of the series with most of them.

    Raises:
        NotReady: the study has no image any more.
    """
    stacks = [series.instances for series in series_of(session, case.study_id)]
    most = max(stacks, key=len, default=[])
    if not most:
        raise NotReady("the study has no images")
    placed = sorted(most, key=lambda each: (each[5][2] if each[5] else 0.0, each[4] or 0, each[0]))
    header = read_header(storage.path(placed[0][3]))
    return Images([key.uid(each[0]) for each in placed], rows=header.rows or 0, columns=header.columns or 0)
