"""Results of every kind as plain values, for tests of the objects made of them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from pacs_gateway.results import (
    Algorithm,
    KeySlice,
    Reference,
    SourceImage,
    Statement,
    StudyResult,
    Subject,
    Suspicion,
)

SIDE, COUNT, SPACING = 64, 8, (3.75, 3.75)
FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILTED = (1.0, 0.0, 0.0, 0.0, 0.9659258, -0.258819)
THAI = Subject(
    study_instance_uid="1.2.3.4",
    patient_id="0065-1",
    issuer="10671",
    patient_name="Somchai^Jaidee=สมชาย^ใจดี",
    birth_date=date(1960, 4, 25),
    sex="M",
    accession_number="ACC1",
    study_date=date(2026, 11, 1),
    study_time="101500",
    study_id="1",
    study_description="CT BRAIN สมอง",
)
STATEMENTS = (
    Statement("any_ich", "flag", 0.97, 0.42, "0.970 is over 0.420"),
    Statement("iph", "flag", 0.91, 0.40, "0.910 is over 0.400"),
    Statement("ivh", "review", 0.31, 0.40, "between 0.100 and 0.400"),
    Statement("sah", "clear", 0.01, 0.30, "below 0.050"),
    Statement("acute_ischaemia", "not_assessed", None, None, "the package is not proven for this"),
)


def images(
    orientation: tuple[float, ...] = FLAT, *, multi_frame: bool = False, frame_of_reference: str = "1.2.3.9"
) -> list[SourceImage]:
    u, v, w, x, y, z = orientation
    return [
        SourceImage(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2" + (".1" if multi_frame else ""),
            sop_instance_uid="1.2.3.4.1.1" if multi_frame else f"1.2.3.4.1.{number + 1}",
            series_instance_uid="1.2.3.4.1",
            rows=SIDE,
            columns=SIDE,
            position=(-120.0, -110.5 - number, 5.0 * number),
            orientation=(u, v, w, x, y, z),
            pixel_spacing=SPACING,
            thickness=5.0,
            instance_number=number + 1,
            frame=number + 1 if multi_frame else None,
            frames=COUNT if multi_frame else 1,
            frame_of_reference_uid=frame_of_reference,
        )
        for number in range(COUNT)
    ]


def study_result(
    state: str = "flagged", *, source: list[SourceImage] | None = None, **changes: Any
) -> StudyResult:
    looked_at = images() if source is None else source
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[20:30, 24:40] = True
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    uids = dict.fromkeys((i.sop_class_uid, i.sop_instance_uid, i.series_instance_uid) for i in looked_at)
    result = StudyResult(
        subject=THAI,
        revision=1,
        state=state,
        algorithm=Algorithm("stroke-ct-0.2.0", "0.2.0", "d" * 64),
        at=datetime(2026, 11, 1, 20, 30, tzinfo=UTC),
        references=[Reference(*each) for each in uids],
        images=looked_at,
        statements=STATEMENTS,
        notes=("Slices of 5.0 mm.",),
        key_slices=[
            KeySlice(looked_at[3], 4, (0.375, 0.3125, 0.625, 0.46875), picture),
            KeySlice(looked_at[6], 7, None, picture),
        ],
        suspicion=Suspicion({3: mask, 4: mask}, 21.1),
    )
    return replace(result, **changes)


def refused(**changes: Any) -> StudyResult:
    return study_result(
        "refused",
        images=(),
        statements=(),
        reasons=("contrast", "missing_slices"),
        notes=("88 of 139 slices are missing; the sinus has 112 HU.",),
        key_slices=(),
        suspicion=None,
        **changes,
    )


def cleared(**changes: Any) -> StudyResult:
    statements = (Statement("any_ich", "clear", 0.01, 0.42, "below 0.100"), STATEMENTS[4])
    return study_result("clear", statements=statements, suspicion=None, **changes)
