"""Events: what in the audit log is one, whom it concerns, and that nobody who follows misses any."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Engine

from model.stroke import StrokeType
from service import audit, event_feed
from service.accounts import Role, Viewer
from service.db import session_scope
from service.event_feed import EventFeed
from service.events import Event, events_after, head_of
from service.reviews import review_finding
from service.signatures import sign_review
from service.verdicts import Verdict
from tests.service.factories import HN, LOEI, NAME, UDON, analysed

READER = Viewer("reader", Role.RADIOLOGIST, UDON)


def found(engine: Engine, after: int = 0) -> Sequence[Event]:
    with session_scope(engine, write=False) as session:
        return events_after(session, after, limit=1000)[0]


def test_what_changes_a_study_is_an_event_and_looking_at_it_is_none(engine: Engine) -> None:
    with session_scope(engine) as session:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        audit.record(session, "reader", "study.read", study_id=study.id)
        review_finding(session, study, READER, Verdict.AGREE)
        sign_review(session, study, READER)
        audit.record(session, "reader", "token.issue")
    assert [(each.kind, each.what) for each in found(engine)] == [
        ("study", "reopen"),
        ("study", "flagged"),
        ("review", "agree"),
        ("review", "signed"),
    ]


def test_an_event_concerns_the_hospitals_of_its_study_and_of_its_detail(engine: Engine) -> None:
    with session_scope(engine) as session:
        study = analysed(session)
        detail: audit.Detail = {"referral": 7, "from": UDON, "to": LOEI}
        audit.record(session, "doctor", "referral.requested", study_id=study.id, detail=detail)
    last = found(engine)[-1]
    assert (last.kind, last.what, last.ids, last.hospitals) == (
        "referral",
        "requested",
        {"referral": 7},
        {UDON, LOEI},
    )
    assert last.seen_by(Viewer("x", Role.REFERRER, LOEI))
    assert not last.seen_by(Viewer("x", Role.REFERRER, "10710"))
    assert last.seen_by(Viewer("x", Role.ADMIN, None))


def test_an_event_names_no_patient(engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session)
    told = str([each.told() for each in found(engine)])
    assert "1.2.3" in told
    assert HN not in told
    assert NAME not in told


def test_who_follows_misses_nothing_however_far_behind(engine: Engine) -> None:
    """More events than are kept, entries that are none in between, and followers from three places."""

    def happen(first: int, count: int) -> None:
        with session_scope(engine) as session:
            for number in range(first, first + count):
                audit.record(session, "x", "account.password")
                audit.record(session, "x", "alert.raised", detail={"alert": number, "hcode": UDON})

    async def collect(feed: EventFeed, after: int | None, wanted: int) -> list[int]:
        numbers: list[int] = []
        async for batch in feed.follow(after):
            numbers += [each.ids["alert"] for each in batch]
            if len(numbers) >= wanted:
                break
        return numbers

    async def scene() -> list[list[int]]:
        feed = EventFeed(engine, seconds=0.01)
        early = asyncio.create_task(collect(feed, 0, 660))
        late = asyncio.create_task(collect(feed, None, 650))
        while feed.followers < 2:
            await asyncio.sleep(0)
        for start in range(10, 660, 130):
            await asyncio.to_thread(happen, start, 130)
        return [await asyncio.wait_for(task, 60) for task in (early, late)] + [
            await asyncio.wait_for(collect(feed, 1310, 5), 60)
        ]

    happen(0, 10)
    early, late, behind = asyncio.run(scene())
    assert early == list(range(660))
    assert late == list(range(10, 660))
    assert behind == list(range(655, 660))
    assert event_feed.KEPT < 660
    with session_scope(engine, write=False) as session:
        assert head_of(session) == 1320
