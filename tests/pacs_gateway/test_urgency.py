"""What crosses a weak link first, by the words in the header."""

from pathlib import Path
from typing import Any

import pytest

from pacs_gateway.urgency import HEAD_CT, OTHER, OTHER_CT, STROKE_CT, rank_of
from tests.pacs import write_slice


@pytest.mark.parametrize(
    ("attributes", "rank"),
    [
        ({"StudyDescription": "CT Stroke fast track"}, STROKE_CT),
        ({"StudyDescription": "โรคหลอดเลือดสมอง", "SpecificCharacterSet": "ISO_IR 192"}, STROKE_CT),
        ({"StudyDescription": "หลอดเลือดสมอง", "SpecificCharacterSet": "ISO_IR 166"}, STROKE_CT),
        ({"BodyPartExamined": "HEAD"}, HEAD_CT),
        ({"ProtocolName": "Routine Brain"}, HEAD_CT),
        ({"StudyDescription": "CT CHEST"}, OTHER_CT),
        ({"StudyDescription": "MRI BRAIN stroke", "modality": "MR"}, OTHER),
        ({}, OTHER_CT),
    ],
)
def test_rank_of(tmp_path: Path, attributes: dict[str, Any], rank: int) -> None:
    assert rank_of(write_slice(tmp_path, **attributes)) == rank


def test_of_what_is_no_dicom_file_is_the_last(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no" * 100)
    assert rank_of(tmp_path / "x") == OTHER
