"""The suspicion drawn over the key slices for PACS that show no segmentations: GSPS. PS3.3 A.33.1."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pacs_gateway.evidence import image_data_sets
from pacs_gateway.marking import NOT_FOR_DIAGNOSIS, SERIES_NUMBERS, device_words, mark, object_uid, series_uid
from pacs_gateway.outline import outlines
from pacs_gateway.results import MANUFACTURER, KeySlice, NotReportable, StudyResult

LAYER = "AI"
BRAIN_CENTRE, BRAIN_WIDTH = 40.0, 80.0


def build_presentation(result: StudyResult) -> Dataset:
    """Outline and words over each key slice in which something is suspected.

    Raises:
        NotReportable: nothing is outlined on any key slice.
    """
    shown = [each for each in result.key_slices if each.box is not None]
    if not shown:
        raise NotReportable("nothing is outlined on any key slice")
    files = {ds.SOPInstanceUID: ds for ds in image_data_sets(result)}
    layer = hd.pr.GraphicLayer(LAYER, order=1, description=f"AI, {NOT_FOR_DIAGNOSIS.lower()}")
    annotations = [_annotation(each, files[each.image.sop_instance_uid], layer, result) for each in shown]
    referenced = list(
        {each.image.sop_instance_uid: files[each.image.sop_instance_uid] for each in shown}.values()
    )
    presentation: Dataset = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced,
        series_instance_uid=series_uid(result, "gsps"),
        series_number=SERIES_NUMBERS["gsps"],
        sop_instance_uid=object_uid(result, "gsps"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        content_label="AI_ICH",
        content_description=f"AI outline - {NOT_FOR_DIAGNOSIS}",
        concept_name=None,
        graphic_layers=[layer],
        graphic_annotations=annotations,
        voi_lut_transformations=[
            hd.pr.SoftcopyVOILUTTransformation(window_center=BRAIN_CENTRE, window_width=BRAIN_WIDTH)
        ],
        series_description=f"AI outline - {NOT_FOR_DIAGNOSIS}",
        **device_words(result),
    )
    presentation.BodyPartExamined = "HEAD"
    mark(presentation, result)
    return presentation


def _annotation(
    key: KeySlice, file: Dataset, layer: hd.pr.GraphicLayer, result: StudyResult
) -> hd.pr.GraphicAnnotation:
    assert key.box is not None
    left, top, right, bottom = _pixels(key.box, key.image.rows, key.image.columns)
    lines = _lines(key, result)
    if not lines:
        lines = [np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])]
    drawn = [
        hd.pr.GraphicObject(hd.pr.GraphicTypeValues.POLYLINE, line, units=hd.pr.AnnotationUnitsValues.PIXEL)
        for line in lines
    ]
    words = hd.pr.TextObject(
        f"AI: {_words(result)} (not for diagnosis)",
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        anchor_point=(left, top),
        anchor_point_visible=True,
    )
    return hd.pr.GraphicAnnotation(
        [file],
        layer,
        referenced_frame_number=key.image.frame,
        graphic_objects=drawn,
        text_objects=[words],
    )


def _lines(key: KeySlice, result: StudyResult) -> list[NDArray[np.float64]]:
    """Round the suspected blood itself, where its mask on this slice is known; otherwise round its box."""
    mask = result.suspicion.masks.get(key.number - 1) if result.suspicion else None
    return [] if mask is None else outlines(mask)


def _words(result: StudyResult) -> str:
    flagged = [each for each in result.statements if each.decision == "flag" and each.kind != "any_ich"]
    kinds = ", ".join(each.kind.upper() for each in flagged)
    return f"suspected {kinds or 'haemorrhage'}" if result.state == "flagged" else "undecided, look here"


def _pixels(box: Sequence[float], rows: int, columns: int) -> tuple[float, float, float, float]:
    """Fractions of the image to PIXEL units, in which the first pixel's centre is 0.5 and its edge 0."""
    left, top, right, bottom = box
    return (
        max(left * columns, 0.0),
        max(top * rows, 0.0),
        min(right * columns, float(columns)),
        min(bottom * rows, float(rows)),
    )
