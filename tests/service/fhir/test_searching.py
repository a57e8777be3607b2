"""Whatever a search is sent, it is answered or refused, on every database; no value breaks a query."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Role, Viewer
from service.arrivals import clean
from service.db import session_scope
from service.errors import HubError
from service.fhir.criteria import SEARCHES, read_criteria
from service.fhir.reading import read_resource, search_resources
from tests.service.factories import UDON, analysed

VIEWER = Viewer("doctor", Role.SPECIALIST, UDON)
KINDS = sorted(set(SEARCHES) - {"AuditEvent"})
"""The audit is an administrator's, and searched elsewhere."""
VALUES = st.text(max_size=12) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "1.2.3\0",
        "Task/c1\0",
        "Organization/10671\0",
        "r" + "9" * 17,
        "c" + "9" * 18,
        "p" + "9" * 18,
    ]
)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def reading(engine: Engine) -> Iterator[Session]:
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.IPH)
    with session_scope(engine, write=False) as session:
        yield session


@QUICK
@given(st.sampled_from([(kind, name) for kind in KINDS for name in sorted(SEARCHES[kind])]), VALUES)
def test_any_search_is_answered_or_refused(reading: Session, where: tuple[str, str], text: str) -> None:
    kind, name = where
    try:
        page = search_resources(reading, VIEWER, read_criteria(kind, [(name, text)]), base="https://hub/fhir")
    except HubError:
        return
    assert all(each["resourceType"] == kind for each in page.resources)


@QUICK
@given(st.sampled_from(KINDS), VALUES)
def test_any_id_is_read_or_not_found(reading: Session, kind: str, number: str) -> None:
    try:
        page = read_resource(reading, VIEWER, kind, number, base="https://hub/fhir")
    except HubError:
        return
    assert [each["id"] for each in page.resources] == [clean(number)]
