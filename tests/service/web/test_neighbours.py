"""The page of neighbour hubs: listed with a secret shown once, changed, switched, removed."""

import re

import pytest
from sqlalchemy import Engine

from service.accounts import Role
from service.audit import search
from service.db import session_scope
from tests.service.factories import LOEI, UDON
from tests.service.web.conftest import Enter

pytestmark = pytest.mark.one_database

PAGE = "/console/neighbours"
BODY = {"name": "north", "url": "https://b.example", "hospital": [UDON, LOEI]}


def test_a_neighbour_comes_and_goes(enter: Enter, engine: Engine) -> None:
    admin = enter(Role.ADMIN, None)
    assert "ยังไม่มีระบบเพื่อนบ้าน" in admin.get(PAGE).text
    made = admin.post(PAGE, BODY, page=PAGE)
    secret = re.search(r"<code>([\w-]{43})</code>", made.text)
    assert secret
    page = admin.get(PAGE).text
    assert secret[1] not in page
    assert page.count(f'value="{UDON}" checked') == 1
    assert page.count(f'value="{UDON}"') == 1  # who lives there cannot be chosen for a second neighbour
    assert admin.post(PAGE, {**BODY, "name": "other"}, page=PAGE).status_code == 409
    given = {"name": "south", "url": "https://c.example", "secret": "s" * 40, "hospital": ["11014"]}
    assert "<code>" not in admin.post(PAGE, given, page=PAGE).text
    assert admin.post(f"{PAGE}/north/hospitals", {"hospital": LOEI}, page=PAGE).status_code == 303
    assert f'value="{UDON}" checked' not in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/north/switch", {"enabled": "false"}, page=PAGE).status_code == 303
    assert "ปิดอยู่" in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/north/remove", {}, page=PAGE).status_code == 303
    assert "https://b.example" not in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/north/remove", {}, page=PAGE).status_code == 404
    with session_scope(engine, write=False) as session:
        actions = [each.action for each in search(session)]
    assert actions.count("neighbour.add") == 2
    assert actions.count("neighbour.change") == 2
    assert actions.count("neighbour.remove") == 1
