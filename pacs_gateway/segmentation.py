"""Where blood is suspected, as a segmentation on the images that were read. PS3.3 A.51.

Frames lie exactly where the images lie, whatever the tilt: position and orientation are taken over, nothing
is resampled, so a viewer that puts the segment beside an image needs no tolerance.
"""

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from pacs_gateway import concepts
from pacs_gateway.evidence import image_data_sets
from pacs_gateway.marking import NOT_FOR_DIAGNOSIS, SERIES_NUMBERS, device_words, mark, object_uid, series_uid
from pacs_gateway.results import MANUFACTURER, NotReportable, StudyResult

LABEL = "Suspected haemorrhage"
RED = hd.color.CIELabColor(53.2, 80.1, 67.2)


def build_segmentation(result: StudyResult) -> Dataset:
    """One binary segment over the images in which blood is suspected.

    Raises:
        NotReportable: nothing is suspected, or a mask is not of its image's shape.
    """
    suspicion = result.suspicion
    if suspicion is None or not any(mask.any() for mask in suspicion.masks.values()):
        raise NotReportable("no blood is suspected, so there is nothing to draw")
    masks = np.zeros((len(result.images), result.images[0].rows, result.images[0].columns), np.uint8)
    for index, mask in suspicion.masks.items():
        if mask.shape != masks.shape[1:]:
            raise NotReportable(f"the mask of image {index + 1} is {mask.shape}, the image {masks.shape[1:]}")
        masks[index] = mask
    algorithm = hd.AlgorithmIdentificationSequence(
        name=result.algorithm.name, version=result.algorithm.version, source=MANUFACTURER, family=concepts.AI
    )
    description = hd.seg.SegmentDescription(
        1,
        LABEL,
        segmented_property_category=concepts.ABNORMAL_STRUCTURE,
        segmented_property_type=concepts.HEMORRHAGE,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=object_uid(result, "tracking", "suspicion"),
        tracking_id="suspicion",
        anatomic_regions=[concepts.BRAIN],
        display_color=RED,
    )
    sources = image_data_sets(result)
    segmentation: Dataset = hd.seg.Segmentation(
        sources,
        _by_frame(masks, result),
        hd.seg.SegmentationTypeValues.BINARY,
        [description],
        series_instance_uid=series_uid(result, "seg"),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=object_uid(result, "seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        content_label="AI_ICH",
        content_description=f"Suspected blood, {suspicion.volume_ml:.1f} mL, unverified",
        series_description=f"AI suspected blood - {NOT_FOR_DIAGNOSIS}",
        **device_words(result),
    )
    _settle_dimensions(segmentation, object_uid(result, "dimensions"))
    segmentation.BodyPartExamined = "HEAD"
    mark(segmentation, result)
    return segmentation


def _by_frame(masks: np.ndarray, result: StudyResult) -> np.ndarray:
    """One mask for each frame of a multi-frame file, also for frames that were not read."""
    first = result.images[0]
    if first.frame is None:
        return masks
    spread = np.zeros((first.frames, *masks.shape[1:]), np.uint8)
    for image, mask in zip(result.images, masks, strict=True):
        spread[(image.frame or 1) - 1] = mask
    return spread


def _settle_dimensions(ds: Dataset, uid: str) -> None:
    """highdicom draws this UID at random; the same result is to give the same bytes."""
    ds.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for item in ds.DimensionIndexSequence:
        item.DimensionOrganizationUID = uid
