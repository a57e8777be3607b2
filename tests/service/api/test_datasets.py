"""Data sets over HTTP: ordered, frozen by the worker's step with progress, taken away as zip and CSV."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from labeling.manifest import read_data_set
from service.accounts import Role
from service.case_keys import open_research_key
from service.data_set_orders import DataSetOrder, OrderState, begin_order, waiting_orders
from service.data_sets import data_sets, place_of
from service.db import now, session_scope
from service.failures import Failure
from service.freezing import Freezing
from service.settings import Settings
from service.steps import Permanent
from tests.service.api.conftest import SignIn
from tests.service.test_data_sets import campaign

pytestmark = pytest.mark.one_database  # plain selects; freezing itself is tested on both

ORDER = {"name": "r8", "licence": "research within Region 8"}


@pytest.fixture
def freezing(app: FastAPI, engine: Engine, settings: Settings) -> Freezing:
    key = open_research_key(settings)
    return Freezing(engine, app.state.storage, lambda: key, place_of(settings.data))


def test_a_data_set_is_ordered_made_once_and_taken_away(
    app: FastAPI, engine: Engine, settings: Settings, signed_in: SignIn, freezing: Freezing, tmp_path: Path
) -> None:
    campaign(engine, app.state.storage, tmp_path / "sent")
    team = signed_in(Role.ML, None)
    made = team.post("/api/v1/datasets", json=ORDER)
    assert (made.status_code, made.json()["state"]) == (202, "waiting")
    assert made.json()["simulated"] is False
    number = made.json()["number"]
    assert team.post("/api/v1/datasets", json=ORDER).status_code == 409
    with session_scope(engine, write=False) as session:
        assert waiting_orders(session) == [number]
    freezing.carry_out({"order": number})
    order = team.get(f"/api/v1/datasets/orders/{number}").json()
    assert (order["state"], order["done"], order["total"]) == ("done", 2, 2)
    freezing.carry_out({"order": number})  # told twice, made once
    [found] = team.get("/api/v1/datasets").json()
    assert (found["number"], found["studies"], found["about"]["licence"]) == (
        order["data_set"],
        2,
        ORDER["licence"],
    )
    rows = list(csv.DictReader(io.StringIO(team.get(f"/api/v1/datasets/{found['number']}/labels.csv").text)))
    assert [(row["any_ich"], row["images"]) for row in rows] == [("0", "4"), ("0", "4")]
    packed = team.get(f"/api/v1/datasets/{found['number']}/export.zip")
    assert packed.headers["content-disposition"] == 'attachment; filename="r8-v1.zip"'
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "taken")
    again = read_data_set(tmp_path / "taken" / "r8-v1")
    assert again.digest == found["digest"]
    assert (tmp_path / "taken" / "r8-v1" / "labels.csv").is_file()
    place = f"/api/v1/datasets/{found['number']}/objects"
    assert team.get(f"{place}.zip").status_code == 409
    asked = [team.post(place).json()["number"] for _ in range(2)]
    assert asked[0] == asked[1]
    freezing.carry_out({"order": asked[0]})
    with zipfile.ZipFile(io.BytesIO(team.get(f"{place}.zip").content)) as archive:
        assert {name.rpartition("/")[2] for name in archive.namelist()} == {"sr.dcm", "reader-1.sr.dcm"}
        assert len(archive.namelist()) == 4
    assert read_data_set(place_of(settings.data) / "r8-v1").digest == found["digest"]  # unchanged by it


def test_a_crash_after_the_folder_was_whole_makes_no_second_version(
    app: FastAPI, engine: Engine, signed_in: SignIn, freezing: Freezing, tmp_path: Path
) -> None:
    campaign(engine, app.state.storage, tmp_path / "sent")
    number = signed_in(Role.ML, None).post("/api/v1/datasets", json=ORDER).json()["number"]
    freezing.carry_out({"order": number})
    with session_scope(engine) as session:  # as if the worker had died before it could say so
        order = session.get_one(DataSetOrder, number)
        order.state, order.data_set_id = OrderState.WORKING, None
    freezing.carry_out({"order": number})
    with session_scope(engine, write=False) as session:
        assert len(data_sets(session)) == 1
        assert session.get_one(DataSetOrder, number).data_set_id == data_sets(session)[0].id


def test_what_cannot_be_frozen_says_why(engine: Engine, signed_in: SignIn, freezing: Freezing) -> None:
    team = signed_in(Role.ML, None)
    assert team.post("/api/v1/datasets", json={**ORDER, "name": "R 8"}).status_code == 422
    assert team.post("/api/v1/datasets", json={**ORDER, "licence": " "}).status_code == 422
    number = team.post("/api/v1/datasets", json=ORDER).json()["number"]
    with pytest.raises(Permanent, match="nothing to freeze"):
        freezing.carry_out({"order": number})
    failure = Failure(
        key=f"freeze:{number}", job="freeze", argument={"order": number}, step="carry_out",
        error="Permanent: nothing to freeze", failed_at=now(), told=False,
    )  # fmt: skip
    freezing.give_up(failure)
    order = team.get(f"/api/v1/datasets/orders/{number}").json()
    assert (order["state"], order["error"]) == ("failed", "Permanent: nothing to freeze")
    assert team.post("/api/v1/datasets", json=ORDER).status_code == 202  # another try is another order
    with session_scope(engine) as session:
        assert begin_order(session, 10**6) is None
