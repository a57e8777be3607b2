"""Pages of the data sets: one is frozen by a form, simulated or not, and says so for good."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from labeling.manifest import read_data_set
from service.accounts import Role
from service.case_keys import open_research_key
from service.data_set_orders import waiting_orders
from service.data_sets import place_of
from service.db import session_scope
from service.freezing import Freezing
from service.settings import Settings
from tests.service.api.test_datasets import campaign
from tests.service.web.conftest import Enter

pytestmark = pytest.mark.one_database  # a page has no query of its own

SAID = "ข้อมูลจำลอง"


def test_a_simulated_set_says_so_and_a_real_one_does_not(
    app: FastAPI, engine: Engine, settings: Settings, enter: Enter, tmp_path: Path
) -> None:
    campaign(engine, app.state.storage, tmp_path / "sent")
    key = open_research_key(settings)
    freezing = Freezing(engine, app.state.storage, lambda: key, place_of(settings.data))
    team = enter(Role.ML, None)
    form = {"name": "r8", "licence": "research"}
    for number, values in enumerate((form | {"simulated": "true"}, form), 1):
        assert team.post("/datasets", values, page="/datasets").status_code == 303
        with session_scope(engine, write=False) as session:
            (order,) = waiting_orders(session)
        assert 'badge simulated">' in team.get("/datasets").text  # of the order, then of the first set
        freezing.carry_out({"order": order})
        page = team.get(f"/datasets/{number}")
        assert page.status_code == 200
        assert (SAID in page.text) == (number == 1)
        found = read_data_set(place_of(settings.data) / f"r8-v{number}")
        drift = team.get("/console/drift").text
        assert ("r8-v2/manifest.jsonl" in drift) == (
            number == 2
        )  # nobody is sent to train on a simulated one
        assert {row.source for row in found.rows} == ({"simulated"} if number == 1 else {"real"})
