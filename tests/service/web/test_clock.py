"""The clock's page and API: figures by month, and times typed on the study's page."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import now, session_scope
from service.errors import BadRequest
from service.thai_time import THAILAND
from service.web.clock import read_local
from tests.service.factories import HN, LOEI, analysed
from tests.service.web.conftest import Enter


def test_a_doctor_types_a_time_and_sees_it_counted(enter: Enter, engine: Engine) -> None:
    received = now() - timedelta(minutes=30)
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SAH, received=received)
    someone = enter(Role.REFERRER)
    local = (received - timedelta(minutes=20)).astimezone(THAILAND)
    form = {"milestone": "door", "day": f"{local:%Y-%m-%d}", "clock": f"{local:%H:%M}"}
    assert someone.post("/studies/1.2.3/times", form, page="/studies/1.2.3").status_code == 303
    page = someone.get("/studies/1.2.3").text
    assert f"{local:%H:%M}" in page
    line = someone.get("/api/v1/studies/1.2.3/timeline").json()
    door = next(each for each in line["moments"] if each["milestone"] == "door")
    assert (door["source"], door["by"]) == ("typed", f"referrer-{10671}")
    taken_back = {"milestone": "door", "day": "", "clock": ""}
    assert someone.post("/studies/1.2.3/times", taken_back, page="/studies/1.2.3").status_code == 303
    assert "door" not in {
        each["milestone"] for each in someone.get("/api/v1/studies/1.2.3/timeline").json()["moments"]
    }


def test_the_page_shows_the_year_and_names_nobody(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SAH, received=now() - timedelta(minutes=3))
    page = enter(Role.REFERRER).get("/clock").text
    assert 'class="months"' in page
    assert HN not in page
    assert "<select" not in page.partition("<main")[2]  # one hospital sees its own
    region = enter(Role.ADMIN, None)
    assert "/clock?now=true" in region.get("/clock?hospital=").text
    assert 'class="months"' in region.get("/clock?now=true").text
    assert 'class="months"' not in region.get(f"/clock?hospital={LOEI}").text
    assert region.get("/clock?hospital=99999").status_code == 404


def test_the_table_has_the_mark_that_excel_needs(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SAH, received=now() - timedelta(minutes=3))
    someone = enter(Role.REFERRER)
    answer = someone.get("/api/v1/clock.csv")
    assert answer.content.startswith("\ufeffmonth,hospital".encode())
    figures = someone.get("/api/v1/clock").json()
    assert {"last_slice_result"} <= {each["interval"] for each in figures}


@pytest.mark.parametrize("day", ["2026-11-28", "2569-11-28"])
def test_both_calendars_are_read(day: str) -> None:
    assert read_local(day, "06:30").isoformat() == "2026-11-27T23:30:00+00:00"


@pytest.mark.parametrize(("day", "clock"), [("", "06:30"), ("2026-13-01", "06:30"), ("2026-11-28", "25:00")])
def test_what_is_no_time_is_refused(day: str, clock: str) -> None:
    with pytest.raises(BadRequest, match="no time"):
        read_local(day, clock)
