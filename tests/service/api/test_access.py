"""The whole router: no route without a token, no study of another hospital, no error that is no problem."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from service.accounts import Role, Token
from service.audit import AuditEntry, verify_chain
from service.db import session_scope
from tests.service.api.conftest import SignIn
from tests.service.described import described_routes
from tests.service.factories import HN, LOEI, NAME, UDON, analysed

OPEN = {"/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/fhir/metadata"}
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/deliveries": {"study": "1.2.3", "peer": "udon-pacs"},
    "/api/v1/studies/{uid}/review": {"verdict": "agree"},
    "/api/v1/studies/{uid}/times": {"milestone": "onset", "at": None},
    "/api/v1/studies/{uid}/priors": {"peer": "udon-pacs", "study_instance_uid": "1.2.4"},
    "/api/v1/studies/{uid}/report": {"text": "no hemorrhage"},
    "/api/v1/disagreements/{number}/settlement": {"conclusion": "to_label"},
    "/api/v1/hospitals/{hcode}/mode": {"mode": "silent"},
    "/api/v1/jobs/failed/retry": {"key": "sign:1"},
    "/api/v1/accounts/{username}": {"active": True},
    "/api/v1/accounts": {"username": "new", "role": "admin"},
    "/api/v1/accounts/{username}/tokens": {},
    "/api/v1/callers": {"ae_title": "CT1", "hospital": "10671", "addresses": ["10.8.0.0/16"]},
    "/api/v1/callers/{hospital}/{title}/certificates": {"fingerprint": "ab" * 32},
    "/api/v1/certificates": {"ae_title": "CT1", "hospital": "10671", "request": ""},
    "/api/v1/certificates/trusted": {"ae_title": "CT1", "hospital": "10671", "pem": ""},
    "/api/v1/rosters/{hcode}/shifts": {
        "username": "someone",
        "starts_at": "2026-11-22T16:00:00+07:00",
        "ends_at": "2026-11-23T08:00:00+07:00",
    },
    "/api/v1/rosters/{hcode}/hub": {"hub": LOEI},
    "/api/v1/consults": {"study": "1.2.3", "to": UDON, "specialty": "neurology", "question": "?"},
    "/api/v1/consults/{number}/answer": {"thrombolysis": "no", "transfer": False},
    "/api/v1/consults/{number}/close": {"outcome": "no_stroke"},
    "/api/v1/consults/{number}/cancel": {"reason": "improved"},
    "/api/v1/consults/{number}/messages": {"text": "see"},
    "/api/v1/contacts": {"way": "email", "address": "a@b.example"},
    "/api/v1/referrals": {"study": "1.2.3", "to": LOEI, "urgency": 2},
    "/api/v1/referrals/{number}/next": {"to": LOEI},
    "/api/v1/referrals/{number}/hn": {"hn": "1"},
    "/api/v1/referrals/{number}/links": {},
    "/api/v1/referrals/{number}/complete": {"reply": "home"},
    **{
        f"/api/v1/referrals/{{number}}/{verb}": {}
        for verb in (
            "request",
            "accept",
            "receive",
            "reject",
            "depart",
            "arrive",
            "cancel",
            "fail",
            "handover",
        )
    },
    "/api/v1/hospitals/{hcode}/capabilities/{capability}": {"available": True},
    "/api/v1/hospitals/{hcode}/travel-times/{other}": {"minutes": 60},
    "/api/v1/forms/{form}": {"source": "x"},
    "/api/v1/forms/{form}/preview": {"source": "x"},
    "/api/v1/forms/{form}/put-back": {},
    "/api/v1/moph/keys/{hcode}": {"api_key": "a", "secret_key": "b"},
    "/api/v1/subscriptions": {"address": "https://his.example/hub", "topics": ["flagged"]},
    "/api/v1/cases": {"study": "1.2.3"},
    "/api/v1/datasets": {"name": "r8", "licence": "research"},
    "/api/v1/cases/quotas": {"10671": 10},
    "/api/v1/cases/suspects": {"first": 1, "second": 2, "same": True},
    "/api/v1/cases/assignment": {"readers": [{"username": "someone"}]},
    "/api/v1/cases/hand-over": {"reader": "someone"},
    "/api/v1/cases/{number}/screening": {"confirmed": {"adult": "yes"}},
    "/api/v1/models/evaluations": {},
    "/api/v1/next-cases": {"studies": ["1.2.3"]},
    "/api/v1/models/rollback": {"live": "stroke-ct-9.9.9", "hospitals": [UDON]},
    "/api/v1/models/{name}/thresholds": {"hospital": UDON, "reason": "x"},
    "/api/v1/models/{name}/thresholds/undo": {"hospital": UDON, "reason": "x"},
    **{f"/api/v1/models/{{name}}/{verb}": {} for verb in ("shadow", "promote", "retire")},
    "/api/v1/labels/{number}/draft": {},
    "/api/v1/labels/{number}": {},
    "/api/v1/adjudications/{number}": {"label": {}},
    "/api/v1/adjudications/{number}/draft": {},
    "/api/v1/peers": {"name": "p", "ae_title": "PACS", "host": "10.8.1.5", "port": 104},
    "/api/v1/peers/{name}": {"port": 104},
    "/api/v1/neighbours": {"name": "b", "url": "https://b.example", "hospitals": [LOEI]},
    "/api/v1/neighbours/{name}": {"enabled": False},
}


PARAMETERS: dict[str, object] = {
    "uid": "1.2.3",
    "n": 1,
    "username": "someone",
    "token_id": 1,
    "name": "udon-pacs",
    "hospital": UDON,
    "title": "CT1",
    "number": 1,
    "desk": "labels",
    "hcode": UDON,
    "fingerprint": "ab" * 32,
    "study": "1.2.3",
    "series": "1.2.3.1",
    "instance": "1.2.3.1.0",
    "numbers": "1",
    "tag": "7FE00010",
    "path": "index.html",
    "kind": "ImagingStudy",
    "capability": "ct",
    "other": LOEI,
    "link": 1,
    "call": 1,
    "form": "letter",
    "token": "0" * 32,
}


VENDORS_SEND = (("POST", "dicomweb"), ("POST", "dicomweb-test"))


def all_routes() -> list[tuple[str, str]]:
    return [(verb.upper(), path) for path, verbs in described_routes().items() for verb in verbs]


def fill(path: str) -> str:
    return path.replace(":path", "").format(**PARAMETERS)


def test_every_route_but_the_open_ones_asks_for_a_token(anonymous: Any) -> None:
    asked = []
    for method, path in all_routes():
        answer = anonymous.request(method, fill(path), json=BODIES.get(path))
        if path in OPEN:
            assert answer.status_code in (200, 503), path
            continue
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        spoken = "fhir" if path.startswith("/fhir/") else "problem"
        assert answer.headers["content-type"] == f"application/{spoken}+json"
        asked.append(path)
    assert len(asked) >= 14


@pytest.mark.parametrize("header", ["Bearer hub_unknown", "Bearer ", "Basic YTpi", "hub_x"])
def test_a_token_that_is_none_opens_nothing(anonymous: Any, header: str) -> None:
    answer = anonymous.get("/api/v1/studies", headers={"Authorization": header})
    assert answer.status_code == 401


def test_another_hospitals_study_is_not_found_by_any_route(
    app: FastAPI, engine: Engine, signed_in: SignIn
) -> None:
    app.state.enqueue = lambda *_: None
    with session_scope(engine) as session:
        analysed(session)
    asked = []
    for role in (Role.RADIOLOGIST, Role.SPECIALIST):
        client = signed_in(role, LOEI)
        for method, path in all_routes():
            if not {"{uid}", "{study}"} & set(path.split("/")):
                continue
            theirs = client.request(method, fill(path), json=BODIES.get(path))
            nothing = client.request(method, fill(path).replace("1.2.3", "9.9.9"), json=BODIES.get(path))
            if theirs.status_code == 403:
                continue
            if (theirs.status_code, nothing.status_code) == (204, 204):
                assert path.startswith("/dicomweb/"), path  # a search that finds nothing
                continue
            assert (theirs.status_code, nothing.status_code) == (404, 404), path
            assert theirs.json()["detail"].replace("1.2.3", "9.9.9") == nothing.json()["detail"]
            asked.append(path)
    assert len(set(asked)) >= 21


def test_a_role_without_permission_is_refused(signed_in: SignIn) -> None:
    client = signed_in(Role.VENDOR)
    refused = {
        path: client.request(method, fill(path), json=BODIES.get(path)).status_code
        for method, path in all_routes()
        if path not in OPEN and (method, path.split("/")[1]) not in VENDORS_SEND
    }
    assert refused.pop("/api/v1/me") == refused.pop("/api/v1/hospitals") == 200
    assert refused.pop("/dicomweb") == 200  # what the service can do
    for path in ("/api/v1/selftests", "/api/v1/selftests.csv"):
        assert refused.pop(path) == 200
    assert refused.pop("/api/v1/selftests/{number}") == 404  # nobody has tested anything
    assert refused.pop("/api/v1/receipts") == refused.pop("/api/v1/receipts.csv") == 200
    assert set(refused.values()) == {403}


def test_the_use_of_a_token_is_noted(engine: Engine, signed_in: SignIn) -> None:
    signed_in().get("/api/v1/me")
    with session_scope(engine, write=False) as session:
        assert session.scalars(select(Token)).one().last_used_at is not None


def test_every_read_of_a_patient_is_audited_and_names_none(
    app: FastAPI, engine: Engine, signed_in: SignIn
) -> None:
    app.state.enqueue = lambda *_: None
    with session_scope(engine) as session:
        study = analysed(session)
    client = signed_in(Role.ADMIN)
    for path in ("", "/1.2.3", "/1.2.3/result"):
        assert client.get(f"/api/v1/studies{path}").status_code == 200
    assert client.post("/api/v1/studies/1.2.3/review", json={"verdict": "agree"}).status_code == 201
    assert client.post("/api/v1/studies/1.2.3/reprocess").status_code == 202
    with session_scope(engine, write=False) as session:
        rows = [
            (each.action, each.study_id, each.detail)
            for each in session.scalars(
                select(AuditEntry).where(AuditEntry.actor == f"admin-{UDON}").order_by(AuditEntry.id)
            )
        ]
        assert verify_chain(session).broken_at is None
    assert [action for action, *_ in rows] == [
        "study.list",
        "study.read",
        "result.read",
        "study.agree",
        "study.reopen",
    ]
    assert rows[0][2] == {"studies": [study.id]}
    assert not any(word in str(rows) for word in (*NAME.split("^"), HN))


def test_a_failure_is_a_problem_without_its_cause(
    app: FastAPI, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(NAME)

    client = signed_in()
    monkeypatch.setattr("service.api.studies.worklist", fail)
    answer = client.get("/api/v1/studies")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert NAME not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/healthz", 405), ("GET", "/api/v1/studies?limit=0", 422)],
)
def test_every_error_is_a_problem(signed_in: SignIn, method: str, path: str, status: int) -> None:
    answer = signed_in().request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert set(answer.json()) >= {"type", "title", "detail", "instance"}


def test_a_bad_value_is_named_but_not_repeated(signed_in: SignIn) -> None:
    answer = signed_in().get("/api/v1/studies", params={"hospital": HN})
    assert answer.json()["errors"][0]["at"] == "query.hospital"
    assert HN not in answer.text


def test_no_cache_keeps_an_answer(anonymous: Any) -> None:
    for path in ("/healthz", "/api/v1/studies", "/docs"):
        answer = anonymous.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/api/v1/studies/1%002", "/api/v1/accounts/a%00b/tokens"])
def test_a_nul_in_a_path_is_not_found(signed_in: SignIn, path: str) -> None:
    assert signed_in(Role.ADMIN).get(path).status_code == 404
