"""Every page: closed to whoever is not signed in, open to the roles of its rule and to no other."""

import re

import pytest
from fastapi.routing import APIRoute

from service.accounts import Role
from service.app import PARTS
from tests.service.described import described_routes
from tests.service.factories import UDON
from tests.service.web.conftest import Enter, Person

OPEN = {
    "/login",
    "/login/with/{name}",
    "/login/from/{name}",
    "/login/out-of/{name}",
    "/preferences",
    "/static/{name:path}",
    "/docs",
    "/a/{token}",
    "/s/{token}",
    "/s/{token}/key-slices/{n}.webp",
    "/s/{token}/letter.pdf",
    "/s/{token}/slices/{n}.webp",
}
"""Pages for whoever comes; everything else needs somebody who signed in."""
SIGNED = {
    "POST /neighbour/fhir": "/neighbour/fhir",
    "GET /neighbour/fhir/Task/{number}": "/neighbour/fhir/Task/r1",
    "PUT /neighbour/fhir/Task/{number}": "/neighbour/fhir/Task/r1",
}
"""Doors for other hubs, no pages: a signature opens them, and no person, whoever they are."""

READERS = {Role.TECHNICIAN, Role.RADIOLOGIST, Role.REFERRER, Role.SPECIALIST, Role.ML, Role.ADMIN}
REVIEWERS = {Role.RADIOLOGIST, Role.SPECIALIST, Role.ADMIN}
SENDERS = {Role.VENDOR, Role.TECHNICIAN, Role.ADMIN}
ON_CALL = {Role.RADIOLOGIST, Role.REFERRER, Role.SPECIALIST, Role.ADMIN}
REFERRERS = {Role.RADIOLOGIST, Role.REFERRER, Role.SPECIALIST, Role.ADMIN}
RECEIVERS = REFERRERS - {Role.RADIOLOGIST}
EVERYBODY = set(Role)
CURATORS = {Role.ML, Role.ADMIN}
BRINGERS = {Role.TECHNICIAN, Role.ADMIN}
RULES: dict[str, set[Role]] = {
    "GET /upload": BRINGERS,
    "GET /upload/answers": BRINGERS,
    "POST /upload/answers": BRINGERS,
    "GET /studies/{uid}/offer": BRINGERS,
    "POST /studies/{uid}/offer": BRINGERS,
    "GET /": EVERYBODY,  # who has no worklist is led elsewhere
    "POST /search": READERS - {Role.ML},
    "GET /studies/{uid}": READERS,
    "GET /studies/{uid}/priors": READERS - {Role.ML},
    "POST /studies/{uid}/priors": REVIEWERS,
    "POST /studies/{uid}/review": REVIEWERS,
    "POST /studies/{uid}/undo": REVIEWERS,
    "POST /studies/{uid}/unblind": REVIEWERS,
    "POST /studies/{uid}/sign": REVIEWERS,
    "POST /studies/{uid}/report": REVIEWERS,
    "GET /consults": ON_CALL,
    "GET /studies/{uid}/consult": ON_CALL,
    "POST /studies/{uid}/consult": ON_CALL,
    "GET /consults/{number}": ON_CALL,
    "POST /consults/{number}/accept": REVIEWERS,
    "POST /consults/{number}/answer": REVIEWERS,
    "POST /consults/{number}/close": ON_CALL,
    "POST /consults/{number}/cancel": ON_CALL,
    "POST /consults/{number}/messages": ON_CALL,
    "GET /on-call": ON_CALL,
    "GET /alerts/{number}": ON_CALL,
    "POST /alerts/{number}/acknowledge": ON_CALL,
    "POST /on-call/shifts": ON_CALL,
    "POST /on-call/{hospital}/shifts/{number}/delete": ON_CALL,
    "POST /on-call/contacts": ON_CALL,
    "POST /on-call/contacts/{number}/delete": ON_CALL,
    "GET /clock": READERS,
    "POST /studies/{uid}/times": READERS - {Role.ML},
    "GET /studies/{uid}/refer": REFERRERS,
    "GET /studies/{uid}/refer/destinations": REFERRERS,
    "POST /studies/{uid}/refer": REFERRERS,
    "GET /referrals": READERS - {Role.ML},
    "POST /referrals/capabilities": RECEIVERS,
    "POST /referrals/roads": RECEIVERS,
    "GET /referrals/{number}": READERS - {Role.ML},
    "POST /referrals/{number}/next": REFERRERS,
    "POST /referrals/{number}/handover": REFERRERS,
    "POST /referrals/{number}/hn": RECEIVERS,
    "POST /referrals/{number}/reply-draft": RECEIVERS,
    "POST /referrals/{number}/links": REFERRERS,
    "POST /referrals/{number}/links/{link}/revoke": REFERRERS,
    "POST /referrals/{number}/{verb}": RECEIVERS,  # here: accept
    "GET /discordant": REVIEWERS,
    "GET /adjudicate": REVIEWERS,
    "GET /label": REVIEWERS,
    "GET /label/{number}": REVIEWERS,
    "GET /disagreements": {Role.ML, Role.ADMIN},
    "POST /disagreements/{number}/settle": {Role.ML, Role.ADMIN},
    "GET /cases": CURATORS,
    "GET /cases/{number:int}": CURATORS,
    "POST /cases/{number:int}/screening": CURATORS,
    "GET /cases/progress": CURATORS,
    "POST /cases/quotas": CURATORS,
    "GET /cases/alike": CURATORS,
    "POST /cases/alike": CURATORS,
    "GET /cases/agreement": CURATORS,
    "GET /cases/readers": CURATORS,
    "GET /datasets": CURATORS,
    "POST /datasets": CURATORS,
    "GET /datasets/{number:int}": CURATORS,
    "POST /datasets/{number:int}/objects": CURATORS,
    "POST /cases/readers/hand-over": CURATORS,
    "POST /cases/readers/give-out": CURATORS,
    "POST /views": READERS,
    "POST /views/{number}/delete": EVERYBODY,  # their own
    "POST /views/{number}/first": EVERYBODY,
    "GET /account": EVERYBODY,
    "POST /account/password": EVERYBODY,
    "GET /hospital": EVERYBODY,
    "POST /hospital": EVERYBODY,
    "POST /logout": EVERYBODY,
    "GET /receipts": SENDERS,
    "GET /selftest": SENDERS,
    "GET /console/drift": {Role.ML, Role.ADMIN},
    "GET /console/next-cases": {Role.ML, Role.ADMIN},
    "POST /console/next-cases": {Role.ML, Role.ADMIN},
    "GET /console/models": {Role.ML, Role.ADMIN},
    "GET /console/thresholds/{hcode}": {Role.ML, Role.ADMIN},
    "POST /console/thresholds/{hcode}/{verb}": {Role.ML, Role.ADMIN},
    "GET /console/models/{name}": {Role.ML, Role.ADMIN},
    "POST /console/models/register": {Role.ML, Role.ADMIN},
    "POST /console/models/rollback": {Role.ML, Role.ADMIN},
    "POST /console/models/{name}/{verb}": {Role.ML, Role.ADMIN},
    "GET /console": {Role.ADMIN},
    "POST /console/jobs/again": {Role.ADMIN},
    "GET /console/audit": {Role.ADMIN},
    "POST /console/audit": {Role.ADMIN},
    "POST /console/audit/table": {Role.ADMIN},
    "POST /console/audit/check": {Role.ADMIN},
    "GET /console/moph": {Role.ADMIN},
    "POST /console/moph/keys": {Role.ADMIN},
    "POST /console/moph/keys/{hcode}/drop": {Role.ADMIN},
    "POST /console/moph/{number}/again": {Role.ADMIN},
    "GET /console/neighbours": {Role.ADMIN},
    "POST /console/neighbours": {Role.ADMIN},
    "POST /console/neighbours/{name}/hospitals": {Role.ADMIN},
    "POST /console/neighbours/{name}/switch": {Role.ADMIN},
    "POST /console/neighbours/{name}/remove": {Role.ADMIN},
    "GET /console/subscriptions": {Role.ADMIN},
    "POST /console/subscriptions": {Role.ADMIN},
    "GET /console/subscriptions/{number}": {Role.ADMIN},
    "POST /console/subscriptions/{number}/on": {Role.ADMIN},
    "POST /console/subscriptions/{number}/off": {Role.ADMIN},
    "POST /console/subscriptions/{number}/remove": {Role.ADMIN},
    "POST /console/subscriptions/{number}/calls/{call}/again": {Role.ADMIN},
    "GET /console/forms": {Role.ADMIN},
    "GET /console/forms/{form}": {Role.ADMIN},
    "POST /console/forms/{form}": {Role.ADMIN},
    "POST /console/forms/{form}/preview": {Role.ADMIN},
    "POST /console/forms/{form}/put-back": {Role.ADMIN},
    "GET /console/accounts": {Role.ADMIN},
    "POST /console/accounts": {Role.ADMIN},
    "GET /console/accounts/{username}": {Role.ADMIN},
    "POST /console/accounts/{username}/close": {Role.ADMIN},
    "POST /console/accounts/{username}/reopen": {Role.ADMIN},
    "POST /console/accounts/{username}/password": {Role.ADMIN},
    "POST /console/accounts/{username}/tokens": {Role.ADMIN},
    "POST /console/accounts/{username}/tokens/{number}/end": {Role.ADMIN},
    "POST /console/accounts/{username}/hospitals": {Role.ADMIN},
    "POST /console/accounts/{username}/hospitals/{hcode}/end": {Role.ADMIN},
    "POST /console/accounts/{username}/link": {Role.ADMIN},
    "POST /console/accounts/{username}/unlink": {Role.ADMIN},
    "POST /console/hospitals/{hcode}/mode": {Role.ADMIN},
    "POST /console/studies/{uid}/again": {Role.ADMIN},
    "GET /viewer/{path:path}": READERS,
    "GET /viewer/adjudications/{number}/{path:path}": REVIEWERS,
    "GET /viewer/labels/{number}/{path:path}": REVIEWERS,
}
"""Who may open or send what. A page that is not here fails the test: it has no rule."""


def pages() -> list[str]:
    described = described_routes()
    routes = [route for part in PARTS for route in part.router.routes if isinstance(route, APIRoute)]
    return [
        f"{method} {route.path}"
        for route in routes
        if route.path not in described
        and route.path not in OPEN
        and route.path.rstrip("/") not in described  # the same service with a slash behind it
        for method in sorted(route.methods - {"HEAD"})
        if f"{method} {route.path}" not in SIGNED
    ]


VALUES = {
    "username": "nobody",
    "uid": "1.2.3",
    "hcode": UDON,
    "hospital": UDON,
    "path": "index.html",
    "number": "1",
    "key": "x",
    "link": "1",
    "call": "1",
    "name": "north",
    "verb": "accept",
    "form": "letter",
}


def fill(path: str) -> str:
    known = VALUES | ({"verb": "retire"} if path.startswith("/console/models") else {})
    known |= {"verb": "undo"} if path.startswith("/console/thresholds") else {}
    return re.sub(r"\{(\w+)[^}]*\}", lambda part: known[part[1]], path)


def test_every_page_has_a_rule() -> None:
    assert set(pages()) - set(RULES) == set()
    assert len(pages()) >= 14


def test_no_person_opens_a_door_for_other_hubs(enter: Enter) -> None:
    someone = enter(Role.ADMIN)
    for door, path in SIGNED.items():
        said = {"X-Hub-Neighbour": "north", "Accept": "application/fhir+json"}
        answer = someone.client.request(door.split()[0], path, headers=said, json={})
        assert answer.status_code == 401, door


def test_no_page_opens_to_who_has_not_signed_in(person: Person) -> None:
    for page in pages():
        method, path = page.split()
        answer = person.client.request(method, fill(path), follow_redirects=False)
        assert answer.status_code in (303, 401, 403), page
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login"), page


@pytest.mark.parametrize("role", list(Role))
def test_a_page_opens_to_the_roles_of_its_rule(enter: Enter, role: Role) -> None:
    someone = enter(role)
    wrong = []
    for page in pages():
        method, path = page.split()
        if page == "POST /logout":
            continue  # would end the test's own session
        values = {
            "verdict": "agree",
            "text": "no hemorrhage",
            "hospital": UDON,
            "mode": "live",
            "conclusion": "to_label",
            "to": "10710",
            "hn": "1",
            "capability": "ct",
            "available": "true",
            "username": "someone",
            "start": "2026-11-22T16:00",
            "end": "2026-11-23T08:00",
            "way": "email",
            "thrombolysis": "no",
            "transfer": "false",
            "outcome": "no_stroke",
            "address": "a@b.example",
            "milestone": "onset",
            "minutes": "60",
            "role": "ml",
            "password": "correct horse battery",
            "source": "#panic()",
            "second": "1",
            "same": "true",
            "first": "1",
            "name": "north",
            "url": "https://b.example",
            "enabled": "true",
            "api_key": "a",
            "secret_key": "b",
            "owner": "nobody",
            "peer": "udon-pacs",
            "prior": "1.2.9",
            "form": "hub",
            "reason": "other",
            "live": "north",
            "digest": "d",
            "finding": "any_ich",
        }
        answer = (
            someone.get(fill(path), follow_redirects=False)
            if method == "GET"
            else someone.post(fill(path), values)
        )
        refused = answer.status_code == 403
        if refused == (role in RULES[page]):
            wrong.append((page, answer.status_code))
    assert wrong == []
