"""Every route of the API and every role: who is let in, by a table; a new route without a rule fails."""

import pytest
from fastapi import FastAPI

from service.roles import Role
from tests.service.api.conftest import SignIn
from tests.service.api.test_access import BODIES, OPEN, all_routes, fill

pytestmark = pytest.mark.one_database  # routes and roles: what they read is tested with its verbs

EVERYBODY = frozenset(Role)
READERS = EVERYBODY - {Role.VENDOR}
NAMED = READERS - {Role.ML}
"""Those who work with patients' names."""
SENDERS = frozenset({Role.VENDOR, Role.TECHNICIAN, Role.ADMIN})
REVIEWERS = frozenset({Role.RADIOLOGIST, Role.SPECIALIST, Role.ADMIN})
DOCTORS = REVIEWERS | {Role.REFERRER}
OFFERERS = frozenset({Role.TECHNICIAN, Role.ML, Role.ADMIN})
RECEIVERS = DOCTORS - {Role.RADIOLOGIST}
BLIND = "/api/v1/{desk}/{number}/dicomweb/studies"
BLIND_SERIES = "{study}/series/{series}"
BLIND_PLACES = (
    "{study}/metadata",
    "{study}/series",
    f"{BLIND_SERIES}/instances",
    f"{BLIND_SERIES}/instances/{{instance}}/frames/{{numbers}}",
    f"{BLIND_SERIES}/instances/{{instance}}/metadata",
    f"{BLIND_SERIES}/metadata",
)

TABLE: tuple[tuple[frozenset[Role], tuple[str, ...]], ...] = (
    (
        EVERYBODY,
        (
            "GET /api/v1/hospitals",
            "GET /api/v1/me",
            "OPTIONS /api/v1/uploads",
            "OPTIONS /dicomweb",
        ),
    ),
    (
        READERS,
        (
            "GET /api/v1/capabilities",
            "GET /api/v1/clock",
            "GET /api/v1/clock.csv",
            "GET /api/v1/deliveries",
            "GET /api/v1/deliveries/{number}",
            "GET /api/v1/events",
            "GET /api/v1/hospitals/{hcode}/alert-budget",
            "GET /api/v1/hospitals/{hcode}/travel-times",
            "GET /api/v1/studies",
            "GET /api/v1/studies/{uid}",
            "GET /api/v1/studies/{uid}/key-slices/{n}.webp",
            "GET /api/v1/studies/{uid}/result",
            "GET /api/v1/studies/{uid}/timeline",
            "GET /api/v1/subscriptions",
            "POST /api/v1/subscriptions",
            "GET /api/v1/subscriptions/{number}",
            "DELETE /api/v1/subscriptions/{number}",
            "GET /api/v1/subscriptions/{number}/notifications",
            "POST /api/v1/subscriptions/{number}/notifications/{call}/retry",
            "POST /api/v1/subscriptions/{number}/off",
            "POST /api/v1/subscriptions/{number}/on",
            "GET /dicomweb/instances",
            "GET /dicomweb/series",
            "GET /dicomweb/studies",
            "GET /dicomweb/studies/{study}/instances",
            "GET /dicomweb/studies/{study}/metadata",
            "GET /dicomweb/studies/{study}/series",
            "GET /dicomweb/studies/{study}/series/{series}/instances",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{number}/rendered",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail",
            "GET /dicomweb/studies/{study}/series/{series}/metadata",
            "GET /dicomweb/studies/{study}/series/{series}/thumbnail",
            "GET /viewer/{path}",
        ),
    ),
    (
        NAMED,
        (
            "GET /api/v1/destinations",
            "GET /api/v1/hospitals/{hcode}/43-files.zip",
            "GET /api/v1/moph/messages",
            "GET /api/v1/referrals",
            "GET /api/v1/referrals/{number}",
            "GET /api/v1/referrals/{number}/43-files.zip",
            "GET /api/v1/referrals/{number}/letter.pdf",
            "GET /api/v1/referrals/{number}/links",
            "GET /api/v1/referrals/{number}/package.zip",
            "GET /api/v1/referrals/{number}/stroke-sheet.pdf",
            "GET /api/v1/referrals/{number}/reply.pdf",
            "GET /api/v1/studies/{uid}/priors",
            "GET /api/v1/studies/{uid}/reports",
            "POST /api/v1/studies/{uid}/times",
            "GET /dicomweb/studies/{study}",
            "GET /dicomweb/studies/{study}/series/{series}",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}",
            "GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag}",
            "POST /fhir",
            "GET /fhir/Patient/{number}/$everything",
            "POST /fhir/ServiceRequest",
            "POST /fhir/Subscription",
            "DELETE /fhir/Subscription/{number}",
            "PUT /fhir/Subscription/{number}",
            "POST /fhir/Task",
            "PUT /fhir/Task/{number}",
            "GET /fhir/{kind}",
            "POST /fhir/{kind}/_search",
            "GET /fhir/{kind}/{number}",
        ),
    ),
    (
        SENDERS,
        (
            "GET /api/v1/receipts",
            "GET /api/v1/receipts.csv",
            "GET /api/v1/selftests",
            "GET /api/v1/selftests.csv",
            "GET /api/v1/selftests/{number}",
            "POST /dicomweb-test/studies",
            "POST /dicomweb/studies",
            "POST /dicomweb/studies/{study}",
        ),
    ),
    (
        OFFERERS,
        (
            "GET /api/v1/cases",
            "POST /api/v1/cases",
            "GET /api/v1/cases/flow",
            "GET /api/v1/cases/flow.svg",
            "GET /api/v1/cases/standings",
            "GET /api/v1/cases/{number}",
        ),
    ),
    (
        REVIEWERS,
        (
            "GET /api/v1/adjudications",
            "GET /api/v1/adjudications/{number}",
            "POST /api/v1/adjudications/{number}",
            "PUT /api/v1/adjudications/{number}/draft",
            "GET /api/v1/adjudications/{number}/masks/{name}.png",
            "GET /api/v1/adjudications/{number}/slices/{n}.webp",
            "GET /api/v1/labels/{number}/slices/{n}.webp",
            f"GET {BLIND}",
            *(f"GET {BLIND}/{place}" for place in BLIND_PLACES),
            "GET /viewer/adjudications/{number}/{path}",
            "GET /viewer/labels/{number}/{path}",
            "GET /api/v1/labels/next",
            "POST /api/v1/labels/{number}/masks",
            "POST /api/v1/adjudications/{number}/masks",
            "GET /api/v1/labels/{number}/masks/{name}.png",
            "GET /api/v1/labels/{number}",
            "POST /api/v1/labels/{number}",
            "PUT /api/v1/labels/{number}/draft",
            "POST /api/v1/consults/{number}/accept",
            "POST /api/v1/consults/{number}/answer",
            "GET /api/v1/discordant-reports",
            "POST /api/v1/studies/{uid}/priors",
            "POST /api/v1/studies/{uid}/report",
            "POST /api/v1/studies/{uid}/review",
            "POST /api/v1/studies/{uid}/review/withdraw",
            "POST /api/v1/studies/{uid}/sign",
        ),
    ),
    (
        DOCTORS,
        (
            "GET /api/v1/alerts",
            "GET /api/v1/alerts/{number}",
            "POST /api/v1/alerts/{number}/acknowledge",
            "GET /api/v1/consults",
            "POST /api/v1/consults",
            "GET /api/v1/consults.csv",
            "GET /api/v1/consults/{number}",
            "POST /api/v1/consults/{number}/cancel",
            "POST /api/v1/consults/{number}/close",
            "POST /api/v1/consults/{number}/messages",
            "GET /api/v1/contacts",
            "POST /api/v1/contacts",
            "DELETE /api/v1/contacts/{number}",
            "POST /api/v1/referrals",
            "POST /api/v1/referrals/{number}/cancel",
            "POST /api/v1/referrals/{number}/depart",
            "POST /api/v1/referrals/{number}/fail",
            "POST /api/v1/referrals/{number}/handover",
            "POST /api/v1/referrals/{number}/links",
            "POST /api/v1/referrals/{number}/links/{link}/revoke",
            "POST /api/v1/referrals/{number}/next",
            "POST /api/v1/referrals/{number}/request",
            "GET /api/v1/rosters/{hcode}",
            "POST /api/v1/rosters/{hcode}/shifts",
            "DELETE /api/v1/rosters/{hcode}/shifts/{number}",
        ),
    ),
    (
        RECEIVERS,
        (
            "PUT /api/v1/hospitals/{hcode}/capabilities/{capability}",
            "PUT /api/v1/hospitals/{hcode}/travel-times/{other}",
            "POST /api/v1/referrals/{number}/accept",
            "POST /api/v1/referrals/{number}/arrive",
            "POST /api/v1/referrals/{number}/complete",
            "POST /api/v1/referrals/{number}/hn",
            "POST /api/v1/referrals/{number}/receive",
            "POST /api/v1/referrals/{number}/reject",
        ),
    ),
    (
        frozenset({Role.TECHNICIAN, Role.ADMIN}),
        (
            "GET /api/v1/cases/batch.csv",
            "POST /api/v1/cases/batch",
            "GET /api/v1/uploads",
            "POST /api/v1/uploads",
            "DELETE /api/v1/uploads/{token}",
            "HEAD /api/v1/uploads/{token}",
            "PATCH /api/v1/uploads/{token}",
            "GET /api/v1/uploads/{token}/files",
        ),
    ),
    (
        frozenset({Role.RADIOLOGIST, Role.ML, Role.ADMIN}),
        ("POST /api/v1/studies/{uid}/reprocess",),
    ),
    (
        frozenset({Role.ML, Role.ADMIN}),
        (
            "GET /api/v1/cases/agreement",
            "GET /api/v1/cases/agreement/readers",
            "PUT /api/v1/cases/quotas",
            "POST /api/v1/cases/assignment",
            "POST /api/v1/cases/hand-over",
            "GET /api/v1/cases/progress",
            "GET /api/v1/cases/suspects",
            "POST /api/v1/cases/suspects",
            "POST /api/v1/cases/{number}/screening",
            "GET /api/v1/cases/{number}/slices/{n}.webp",
            "GET /api/v1/datasets",
            "POST /api/v1/datasets",
            "GET /api/v1/datasets/orders",
            "GET /api/v1/datasets/orders/{number}",
            "GET /api/v1/datasets/{number}/labels.csv",
            "GET /api/v1/datasets/{number}/export.zip",
            "POST /api/v1/datasets/{number}/objects",
            "GET /api/v1/datasets/{number}/objects.zip",
            "GET /api/v1/datasets/{number}",
            "GET /api/v1/datasets/{number}/datasheet.md",
            "GET /api/v1/datasets/{number}/flow.svg",
            "GET /api/v1/disagreements",
            "POST /api/v1/disagreements/{number}/settlement",
            "GET /api/v1/drift",
            "GET /api/v1/next-cases",
            "POST /api/v1/next-cases",
            "GET /api/v1/models",
            "POST /api/v1/models",
            "POST /api/v1/models/evaluations",
            "POST /api/v1/models/rollback",
            "GET /api/v1/models/{name}/gates",
            "GET /api/v1/models/{name}",
            "POST /api/v1/models/{name}/promote",
            "POST /api/v1/models/{name}/retire",
            "POST /api/v1/models/{name}/shadow",
            "GET /api/v1/models/{name}/thresholds",
            "POST /api/v1/models/{name}/thresholds",
            "POST /api/v1/models/{name}/thresholds/undo",
        ),
    ),
    (
        frozenset({Role.ADMIN}),
        (
            "GET /api/v1/accounts",
            "POST /api/v1/accounts",
            "PATCH /api/v1/accounts/{username}",
            "GET /api/v1/accounts/{username}/tokens",
            "POST /api/v1/accounts/{username}/tokens",
            "DELETE /api/v1/accounts/{username}/tokens/{token_id}",
            "GET /api/v1/audit",
            "GET /api/v1/audit/chain",
            "GET /api/v1/callers",
            "POST /api/v1/callers",
            "DELETE /api/v1/callers/{hospital}/{title}",
            "POST /api/v1/callers/{hospital}/{title}/certificates",
            "GET /api/v1/certificates",
            "POST /api/v1/certificates",
            "POST /api/v1/certificates/trusted",
            "DELETE /api/v1/certificates/{fingerprint}",
            "POST /api/v1/deliveries",
            "GET /api/v1/deliveries/circuits",
            "POST /api/v1/deliveries/{number}/retry",
            "POST /api/v1/hospitals/{hcode}/mode",
            "GET /api/v1/jobs/failed",
            "POST /api/v1/jobs/failed/retry",
            "GET /api/v1/forms",
            "GET /api/v1/forms/{form}",
            "POST /api/v1/forms/{form}",
            "POST /api/v1/forms/{form}/preview",
            "POST /api/v1/forms/{form}/put-back",
            "GET /api/v1/forms/{form}/versions",
            "GET /api/v1/forms/{form}/versions/{number}",
            "GET /api/v1/moph/keys",
            "PUT /api/v1/moph/keys/{hcode}",
            "DELETE /api/v1/moph/keys/{hcode}",
            "POST /api/v1/moph/messages/{number}/retry",
            "GET /api/v1/neighbours",
            "POST /api/v1/neighbours",
            "PATCH /api/v1/neighbours/{name}",
            "DELETE /api/v1/neighbours/{name}",
            "GET /api/v1/peers",
            "POST /api/v1/peers",
            "DELETE /api/v1/peers/{name}",
            "GET /api/v1/peers/{name}",
            "PATCH /api/v1/peers/{name}",
            "POST /api/v1/peers/{name}/echo",
            "PUT /api/v1/rosters/{hcode}/hub",
        ),
    ),
)
"""Who is let in, and where. What another hospital has is not found by any of them: see `test_access`."""

RULES = {rule: roles for roles, rules in TABLE for rule in rules}


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    known = {f"{method} {path}" for method, path in all_routes() if path not in OPEN}
    assert known - set(RULES) == set()
    assert set(RULES) - known == set()
    assert len(RULES) == sum(len(rules) for _, rules in TABLE)


@pytest.mark.parametrize("role", list(Role))
def test_a_route_lets_in_the_roles_of_its_rule_and_no_other(
    app: FastAPI, signed_in: SignIn, role: Role
) -> None:
    app.state.enqueue = lambda *_: None
    client = signed_in(role)
    wrong = {}
    for rule, roles in RULES.items():
        method, path = rule.split()
        if path == "/api/v1/events":
            continue  # a stream without an end: its own tests open it
        status = client.request(method, fill(path), json=BODIES.get(path)).status_code
        if (status == 403) == (role in roles):
            wrong[rule] = status
    assert wrong == {}
