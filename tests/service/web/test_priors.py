"""Earlier CT at the hospital's PACS: found from the study's page, fetched by a button, of nobody else."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from service.accounts import Role
from tests.service.api.test_priors import OLD, TODAY, archive, files, listener, source
from tests.service.factories import HN, LOEI
from tests.service.web.conftest import Enter

__all__ = ["files", "listener"]
pytestmark = pytest.mark.one_database

STUDY = "/studies/1.2.3"


def test_a_radiologist_finds_and_fetches_one(
    enter: Enter, engine: Engine, listener: tuple[Listener, Inbox], files: list[Path]
) -> None:
    with archive(files, listener[0].port) as port:
        source(engine, port)
        reader = enter(Role.RADIOLOGIST)
        assert f'href="{STUDY}/priors"' in reader.get(STUDY).text
        page = reader.get(f"{STUDY}/priors").text
        assert page.index(f'value="{TODAY}"') < page.index(f'value="{OLD}"')
        assert f'value="{HN}"' not in page
        got = reader.post(f"{STUDY}/priors", {"peer": "pacs", "prior": OLD}, page=f"{STUDY}/priors")
        assert (got.status_code, got.headers["location"]) == (303, f"{STUDY}/priors")
        assert "PACS ส่งภาพแล้ว" in reader.get(f"{STUDY}/priors").text
        assert 'name="prior"' not in enter(Role.TECHNICIAN).get(f"{STUDY}/priors").text
    assert sum(receipt.stored for receipt in listener[1].receipts()) == 3


def test_a_pacs_that_is_away_is_told_and_another_hospital_finds_nothing(enter: Enter, engine: Engine) -> None:
    source(engine, 1)
    assert "PACS ไม่ตอบ" in enter(Role.RADIOLOGIST).get(f"{STUDY}/priors").text
    stranger = enter(Role.RADIOLOGIST, LOEI)
    assert stranger.get(f"{STUDY}/priors").status_code == 404
    assert stranger.post(f"{STUDY}/priors", {"peer": "pacs", "prior": OLD}).status_code == 404
