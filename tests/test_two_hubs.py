"""Two hubs side by side, each with listener, API and worker: referred out and in, images, reply."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from service.accounts import Role, add_account
from service.callers import add_caller, publish_callers
from service.db import make_engine, session_scope, upgrade
from service.hospitals import seed_hospitals
from service.neighbours import add_neighbour
from service.peers import add_peer, publish_peers
from service.settings import Settings
from tests.hub import RunningHub, free_port, running_hub, until
from tests.pacs import make_slice
from tests.service.factories import UDON
from tests.service.referring import SMALL, details

pytestmark = pytest.mark.one_database  # each hub has a SQLite of its own

SECRET = "s" * 40
SECONDS = 90.0
IMAGES = 6


def prepare(data: Path, own: str, away: str, *, http: int, dicom: int) -> None:
    """Rows as the commands make them: who may call, and the other hub with its archive."""
    settings = Settings(data=data)
    engine = make_engine(settings.database)
    upgrade(engine)
    with session_scope(engine) as session:
        seed_hospitals(session)
        for title in ("CT", "IMAGINGHUB"):
            add_caller(session, title, own, ["127.0.0.1/32"])
        publish_callers(session, settings)
        add_account(session, "tester", Role.ADMIN)
        add_neighbour(session, "pair", f"http://127.0.0.1:{http}", [away], secret=SECRET)
        at: dict[str, Any] = {"ae_title": "IMAGINGHUB", "host": "127.0.0.1", "port": dicom}
        add_peer(session, "other-hub", **at, hcode=away)
        publish_peers(session, settings)
    engine.dispose()


@pytest.fixture
def hubs(tmp_path: Path, tiny_package: Path) -> Iterator[tuple[RunningHub, RunningHub]]:
    """A, where the small hospital lives, and B, where Udon does."""
    names, own = ("a", "b"), (SMALL, UDON)
    http, dicom = [free_port() for _ in names], [free_port() for _ in names]
    for n, name in enumerate(names):
        prepare(tmp_path / name, own[n], own[1 - n], http=http[1 - n], dicom=dicom[1 - n])
    with ExitStack() as stack:
        a, b = (
            stack.enter_context(
                running_hub(
                    tmp_path / name,
                    package=tiny_package,
                    HUB_HTTP_PORT=str(http[n]),
                    HUB_DICOM_PORT=str(dicom[n]),
                )
            )
            for n, name in enumerate(names)
        )
        yield a, b


def scan(hub: RunningHub, folder: Path, uid: str) -> None:
    """A small CT, sent to its own hub."""
    folder.mkdir()
    paths = [folder / f"{n}.dcm" for n in range(IMAGES)]
    for number, path in enumerate(paths, start=1):
        make_slice(study=uid, number=number, PatientID="HOME-1").save_as(path, enforce_file_format=True)
    hub.storescu(paths, calling="CT")
    hub.result(uid)


def post(hub: RunningHub, path: str, **body: Any) -> dict[str, Any]:
    answer = hub.client.post(f"/api/v1/referrals{path}", json=body)
    assert answer.is_success, (path, answer.status_code, answer.text)
    made: dict[str, Any] = answer.json()
    return made


def shared(hub: RunningHub, uid: str, **wanted: str) -> dict[str, Any]:
    """The referral of a study at a hub, once it is as wanted there."""

    def found() -> dict[str, Any] | None:
        rows = hub.get("/api/v1/referrals")["referrals"]
        return next((each for each in rows if each["study"] == uid and wanted.items() <= each.items()), None)

    row = until(found, seconds=SECONDS, hint=f"the referral of {uid} with {wanted} at {hub.address}")
    assert row is not None
    return row


def whole_way(home: RunningHub, away: RunningHub, uid: str, to: str, hn: str) -> None:
    """From a request at one hub to the reply that the other writes."""
    made = post(home, "", study=uid, to=to, urgency=1, details=details().model_dump(mode="json"))
    here = made["number"]
    post(home, f"/{here}/request")
    there = shared(away, uid, state="requested")["number"]
    post(away, f"/{there}/accept", hn=hn, note="bed 4")
    assert shared(home, uid, state="accepted")["receiver_hn"] == hn

    def images() -> bool:
        found = away.client.get(
            "/dicomweb/instances", params={"StudyInstanceUID": uid, "PatientID": hn, "Modality": "CT"}
        )
        return found.status_code == 200 and len(found.json()) == IMAGES

    until(images, seconds=SECONDS, hint=f"the images of {uid} under {hn} at {away.address}")
    post(home, f"/{here}/depart")
    shared(away, uid, state="departed")
    post(away, f"/{there}/arrive")
    post(away, f"/{there}/complete", reply="operated, awake")
    last = shared(home, uid, state="completed")
    assert last["reply"] == "operated, awake"
    verbs = [each["verb"] for each in last["steps"]]
    assert verbs == [each["verb"] for each in shared(away, uid)["steps"]]
    assert verbs == ["request", "accept", "depart", "arrive", "complete"]
    assert home.client.get(f"/api/v1/referrals/{here}/reply.pdf").content.startswith(b"%PDF-")


def test_referred_out_and_in_between_two_hubs(hubs: tuple[RunningHub, RunningHub], tmp_path: Path) -> None:
    a, b = hubs
    ways = ((a, b, "1.2.826.1", UDON, "UD-77"), (b, a, "1.2.826.2", SMALL, "SM-5"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda way: scan(way[0], tmp_path / way[2], way[2]), ways))
        list(pool.map(lambda way: whole_way(*way), ways))
    for hub in hubs:
        (neighbour,) = hub.get("/api/v1/neighbours")
        assert (neighbour["waiting"], neighbour["last_error"]) == (0, "")
