"""Many studies at once, as a region collects them, for tests of plans and measurements of speed."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, insert, select

from model.stroke import StrokeType
from service.flags import StudyFlag
from service.hospitals import Hospital
from service.states import Lane, Priority, StudyState, place_of
from service.studies import Study
from tests.service.factories import RECEIVED

CHUNK = 20_000
STATES = {
    StudyState.CLEAR: 80,
    StudyState.FLAGGED: 10,
    StudyState.REVIEW: 5,
    StudyState.REFUSED: 4,
    StudyState.FAILED: 1,
}


def crowd(engine: Engine, number: int, *, seed: int = 8) -> None:
    """Add `number` studies of the last five years, spread over the hospitals as unevenly as in life."""
    chance = random.Random(seed)
    with engine.begin() as connection:
        hospitals = list(connection.scalars(select(Hospital.hcode)))
        weights = [1 / (rank + 1) for rank in range(len(hospitals))]
        rows = _rows(chance, hospitals, weights, number)
        while chunk := [row for row, _ in zip(rows, range(CHUNK), strict=False)]:
            connection.execute(insert(Study), [study for study, _ in chunk])
            if flags := [flag for _, flags in chunk for flag in flags]:
                connection.execute(insert(StudyFlag), flags)


def _rows(
    chance: random.Random, hospitals: list[str], weights: list[float], number: int
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    for n in range(1_000, 1_000 + number):
        state = chance.choices(list(STATES), list(STATES.values()))[0]
        hcode = chance.choices(hospitals, weights)[0]
        lane = Lane.RETROSPECTIVE if chance.random() < 0.05 else Lane.LIVE
        priority = Priority.STAT if chance.random() < 0.1 else Priority.ROUTINE
        received = RECEIVED - timedelta(seconds=chance.random() * 5 * 365 * 86400)
        place = place_of(state, lane, priority, received, reviewed=chance.random() < 0.97)
        flagged = chance.sample(list(StrokeType), 2) if state is StudyState.FLAGGED else []
        study = {
            "id": n,
            "study_instance_uid": f"1.2.826.0.1.3680043.8.498.{n:020d}",
            "hcode": hcode,
            "state": state,
            "place": place,
            "priority": priority,
            "lane": lane,
            "patient_id": f"{n:07d}",
            "patient_name": "ตัวอย่าง^ผู้ป่วย",
            "revision": 1,
            "digest": f"{n:064d}",
            "instances": 32,
            "completion_code": "head_covered",
            "first_received_at": received,
            "last_received_at": received,
        }
        flag = {"study_id": n, "hcode": hcode, "state": state, "place": place}
        yield study, [flag | {"stroke_type": each} for each in flagged]
