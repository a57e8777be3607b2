"""Saved views: a person's own, opened by name, first if wanted; and filters by hospital and finding."""

import re

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import session_scope
from service.saved_views import MOST_VIEWS
from tests.service.factories import LOEI, UDON, analysed
from tests.service.web.conftest import Enter


@pytest.fixture(autouse=True)
def studies(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.1")
        analysed(session, "1.2", StrokeType.SDH)
        analysed(session, "1.3", StrokeType.SAH, hcode=LOEI)


def shown(page: str) -> list[str]:
    return sorted(set(re.findall(r"/studies/([0-9.]+)", page)))


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        ("", ["1.1", "1.2", "1.3"]),
        (f"?hospital={LOEI}", ["1.3"]),
        ("?finding=sdh", ["1.2"]),
        (f"?state=flagged&hospital={UDON}&finding=sdh", ["1.2"]),
        ("?state=nonsense&hospital=x&finding=y", ["1.1", "1.2", "1.3"]),
    ],
)
def test_filters_narrow_the_list_together(enter: Enter, query: str, uids: list[str]) -> None:
    assert shown(enter(Role.RADIOLOGIST, None).get(f"/{query}").text) == uids


def test_another_hospital_is_no_filter_for_who_belongs_to_one(enter: Enter) -> None:
    page = enter().get(f"/?hospital={LOEI}").text
    assert shown(page) == []
    assert "<select name=hospital" not in page


def test_a_view_is_saved_opened_and_deleted(enter: Enter) -> None:
    reader = enter(Role.RADIOLOGIST, None)
    answer = reader.post("/views", {"name": "เลย", "hospital": LOEI, "state": "flagged"}, page="/")
    assert answer.headers["location"] == f"/?state=flagged&hospital={LOEI}"
    page = reader.get("/").text
    assert f'href="/?state=flagged&amp;hospital={LOEI}" data-key="7"' in page
    assert shown(page) == ["1.1", "1.2", "1.3"]
    reader.post("/views/1/first", {}, page="/")
    assert shown(reader.get("/").text) == ["1.3"]
    assert shown(reader.get("/?state=all").text) == ["1.1", "1.2", "1.3"]
    reader.post("/views/1/first", {}, page="/")
    assert shown(reader.get("/").text) == ["1.1", "1.2", "1.3"]
    reader.post("/views/1/delete", {}, page="/")
    assert "เลย</a>" not in reader.get("/").text


def test_a_view_belongs_to_one_person(enter: Enter) -> None:
    enter().post("/views", {"name": "mine"}, page="/")
    other = enter(Role.SPECIALIST)
    assert "mine" not in other.get("/").text
    assert other.post("/views/1/delete", {}, page="/").status_code == 404
    assert other.post("/views/1/first", {}, page="/").status_code == 404


def test_a_name_is_needed_used_once_and_views_are_few(enter: Enter) -> None:
    reader = enter()
    assert reader.post("/views", {"name": "  "}, page="/").status_code == 422
    assert reader.post("/views", {"name": "x" * 41}, page="/").status_code == 422
    answers = [reader.post("/views", {"name": f"v{n}"}, page="/").status_code for n in range(MOST_VIEWS + 1)]
    assert answers == [303] * MOST_VIEWS + [409]
    assert reader.post("/views", {"name": "v0"}, page="/").status_code == 409
