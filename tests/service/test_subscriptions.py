"""Subscriptions: who is called for what, over real sockets; the dead delay nobody and are given up."""

import hashlib
import hmac
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from model.stroke import StrokeType
from pacs_gateway.inbox import Inbox
from service.accounts import Account, Role, Viewer, add_account
from service.alerts import AlertKind, raise_alert
from service.audit import AuditEntry
from service.channels.fence import read_fence
from service.consult_details import ConsultDetails
from service.consults import ask
from service.db import now, session_scope
from service.dispatch import Dispatch
from service.errors import BadRequest, NotFound, NotReady
from service.happenings import Topic
from service.heralds import Herald
from service.hospital_modes import Mode, switch_mode
from service.notifications import (
    Notification,
    NotificationState,
    notifications_of,
    send_again,
    settle_notification,
)
from service.notifiers import Notifier
from service.orders import Orders
from service.referral_states import Verb
from service.referral_steps import move_referral, request_referral
from service.referrals import find_referral
from service.reviews import review_finding
from service.signatures import sign_review
from service.specialties import Specialty
from service.studies import Study
from service.subscriptions import (
    MOST,
    Form,
    Subscription,
    SubscriptionState,
    find_subscription,
    list_subscriptions,
    remove_subscription,
    subscribe,
    switch_off,
    switch_on,
)
from service.verdicts import Verdict
from tests.hub import free_port
from tests.service.factories import HN, LOEI, NAME, UDON, analysed
from tests.service.referring import RECEIVER, SENDER, SMALL, draft, small_study
from tests.stand_in import StandIn, stand_in

FENCE = read_fence("127.0.0.0/8")
ADMIN = Viewer("admin", Role.ADMIN, None)
OWNER = Viewer("his", Role.REFERRER, SMALL)
THERE = Viewer("his-udon", Role.SPECIALIST, UDON)


class Office:
    """The hub's side: its rows, its herald and its notifier, with a clock that the test turns."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.at = engine, now()
        self.wakes: dict[int, datetime | None] = {}
        self.herald = Herald(engine, clock=lambda: self.at)
        self.notifier = Notifier(
            engine,
            fence=FENCE,
            address="https://hub.example",
            wake=lambda number, at: self.wakes.update({number: at}),
            clock=lambda: self.at,
        )
        with session_scope(engine) as session:
            for each in (OWNER, THERE, ADMIN):
                add_account(session, each.username, each.role, hcode=each.hcode)

    def subscribe(
        self, address: str, *topics: Topic, viewer: Viewer = OWNER, criteria: str = "", **more: Any
    ) -> int:
        form = Form.FHIR if criteria else Form.HUB
        with session_scope(self.engine) as session:
            made = subscribe(
                session, viewer, form, address=address, fence=FENCE, topics=topics, criteria=criteria, **more
            )
            return made.id

    def run(self) -> None:
        """All that is due now."""
        self.herald.look()
        with session_scope(self.engine, write=False) as session:
            numbers = [each.id for each in session.scalars(select(Subscription).order_by(Subscription.id))]
        for each in numbers:
            self.notifier.notify({"subscription": each})

    def due(self, number: int) -> datetime:
        """When a subscription is looked at again."""
        moment = self.wakes[number]
        assert moment is not None
        return moment

    def subscription(self, number: int) -> Subscription:
        with session_scope(self.engine, write=False) as session:
            return session.get_one(Subscription, number)

    def notifications(self, number: int) -> list[Notification]:
        with session_scope(self.engine, write=False) as session:
            return list(reversed(notifications_of(session, session.get_one(Subscription, number), limit=200)))

    def flag(self, uid: str = "1.2.3", hcode: str = SMALL) -> None:
        with session_scope(self.engine) as session:
            analysed(session, uid, StrokeType.IPH, hcode=hcode)


@pytest.fixture
def office(engine: Engine) -> Office:
    return Office(engine)


def told(there: StandIn) -> list[tuple[str, str]]:
    return [(each.json["kind"], each.json["what"]) for each in there.posted]


class TestHerald:
    def test_tells_each_what_they_asked_for_with_ids_alone_and_signed(self, office: Office) -> None:
        with stand_in() as there:
            number = office.subscribe(there.url + "/in", Topic.FLAGGED, headers=["Authorization: Bearer abc"])
            office.flag()
            office.run()
            office.run()
            [posted] = there.posted
        body = posted.json
        assert body == {
            "id": "notification-1",
            "subscription": number,
            "event": body["event"],
            "kind": "study",
            "what": "flagged",
            "at": body["at"],
            "study": "1.2.3",
            "case": "00001-8",
            "revision": 1,
            "link": "https://hub.example/api/v1/studies/1.2.3",
        }
        assert (posted.path, posted.headers["authorization"]) == ("/in", "Bearer abc")
        assert not any(word in posted.body.decode() for word in (*NAME.split("^"), HN))
        stamp, secret = posted.headers["x-hub-timestamp"], office.subscription(number).secret
        mac = hmac.new(secret.encode(), f"{stamp}.".encode() + posted.body, hashlib.sha256).hexdigest()
        assert posted.headers["x-hub-signature"] == f"sha256={mac}"
        [row] = office.notifications(number)
        assert (row.state, row.proof, row.attempts) == (NotificationState.DELIVERED, "HTTP 200", 1)

    def test_only_what_the_owner_may_see_is_told(self, office: Office) -> None:
        every = tuple(Topic)
        with stand_in() as here, stand_in() as there, stand_in() as region:
            office.subscribe(here.url, *every)
            office.subscribe(there.url, *every, viewer=THERE)
            office.subscribe(region.url, *every, viewer=ADMIN)
            with session_scope(office.engine) as session:
                study = small_study(session)
                review_finding(session, study, Viewer("r", Role.RADIOLOGIST, SMALL), Verdict.AGREE)
                sign_review(session, study, Viewer("r", Role.RADIOLOGIST, SMALL))
                draft(session, study)
            office.run()
            assert told(there) == []
            assert ("referral", "draft") in told(here)
            assert told(here) == told(region) != []
            with session_scope(office.engine) as session:
                request_referral(session, find_referral(session, 1, SENDER), SENDER, version=None)
            office.run()
            assert ("referral", "requested") in told(there)
            assert {each.json["study"] for each in there.posted} == {"1.2.3"}
            assert all("draft" not in each.json["what"] for each in there.posted)

    def test_who_was_told_of_an_alert_but_sees_no_study_gets_none(self, office: Office) -> None:
        with stand_in() as there:
            office.subscribe(there.url, Topic.ALERT, viewer=THERE)
            with session_scope(office.engine) as session:
                study = small_study(session)
                raise_alert(
                    session, AlertKind.FLAG, hcode=UDON, study_id=study.id, path="/studies/1.2.3", key="x"
                )
            office.run()
            [posted] = there.posted
        assert (posted.json["study"], posted.json["case"], posted.json["link"][-9:]) == (
            None,
            None,
            "/alerts/1",
        )

    def test_a_hospital_at_which_the_ai_only_watches_hears_no_result(self, office: Office) -> None:
        with stand_in() as there:
            office.subscribe(there.url, Topic.RESULT, Topic.FLAGGED)
            with session_scope(office.engine) as session:
                switch_mode(session, ADMIN, SMALL, Mode.SILENT)
            office.flag()
            office.run()
            assert there.posted == []

    def test_what_was_before_is_not_told_and_what_happened_while_off_neither(self, office: Office) -> None:
        with stand_in() as there:
            office.flag("1.1")
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag("1.2")
            office.run()
            with session_scope(office.engine) as session:
                switch_off(session, OWNER, find_subscription(session, number, OWNER))
            office.flag("1.3")
            office.run()
            with session_scope(office.engine) as session:
                switch_on(session, OWNER, find_subscription(session, number, OWNER))
            office.flag("1.4")
            office.run()
            assert [each.json["study"] for each in there.posted] == ["1.2", "1.4"]

    def test_a_closed_account_and_an_end_that_has_come_hear_nothing(self, office: Office) -> None:
        with stand_in() as there:
            closed = office.subscribe(there.url, Topic.FLAGGED)
            ending = office.subscribe(
                there.url, Topic.FLAGGED, viewer=ADMIN, ends_at=office.at + timedelta(hours=1)
            )
            with session_scope(office.engine) as session:
                session.scalars(select(Account).where(Account.username == "his")).one().active = False
            office.flag()
            office.at += timedelta(hours=1)
            office.run()
            assert there.posted == []
        assert office.subscription(closed).state is SubscriptionState.ERROR
        assert "account behind it was closed" in office.subscription(closed).error
        assert office.subscription(ending).state is SubscriptionState.OFF

    def test_two_that_look_at_once_tell_once(self, office: Office) -> None:
        with stand_in() as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            plan = [(1, {"path": "/x"})]
            heard = office.subscription(number).heard
            office.herald.look()
            office.herald._write({number: (heard, plan)}, heard + 1)  # the other process, a moment late
            assert len(office.notifications(number)) == 1


class TestFhir:
    def test_an_empty_call_says_that_a_search_would_find_something(self, office: Office) -> None:
        with stand_in() as asked, stand_in() as gone, stand_in() as report:
            office.subscribe(
                asked.url, viewer=THERE, criteria=f"Task?status=requested&owner=Organization/{UDON}"
            )
            office.subscribe(gone.url, viewer=THERE, criteria="ServiceRequest?status=revoked")
            office.subscribe(report.url, criteria="DiagnosticReport?status=final")
            with session_scope(office.engine) as session:
                study = small_study(session)
                referral = draft(session, study)
                request_referral(session, referral, SENDER, version=None)
            office.run()
            [posted] = asked.posted
            assert (posted.body, posted.headers["x-hub-notification"]) == (b"", "notification-1")
            assert "x-hub-signature" in posted.headers
            with session_scope(office.engine) as session:
                move_referral(
                    session,
                    find_referral(session, 1, RECEIVER, lock=True),
                    RECEIVER,
                    Verb.RECEIVE,
                    version=None,
                )
                review_finding(
                    session, session.get_one(Study, 1), Viewer("r", Role.RADIOLOGIST, SMALL), Verdict.AGREE
                )
            office.run()
            assert (len(asked.posted), len(gone.posted), len(report.posted)) == (1, 0, 0)
            with session_scope(office.engine) as session:
                sign_review(session, session.get_one(Study, 1), Viewer("r", Role.RADIOLOGIST, SMALL))
            office.run()
            assert len(report.posted) == 1

    def test_consults_are_tasks_too_and_ids_narrow(self, office: Office) -> None:
        with stand_in() as one, stand_in() as other, stand_in() as image:
            office.subscribe(one.url, viewer=THERE, criteria="Task?_id=c1&code=11429006")
            office.subscribe(other.url, viewer=THERE, criteria="Task?_id=c2")
            office.subscribe(image.url, criteria="ImagingStudy?modality=CT")
            with session_scope(office.engine) as session:
                ask(
                    session, SENDER, small_study(session), to_hcode=UDON, specialty=Specialty.NEUROLOGY,
                    question="?", details=ConsultDetails(),
                )  # fmt: skip
            office.run()
            assert (len(one.posted), len(other.posted)) == (1, 0)
            assert image.posted


class TestForget:
    def test_what_arrived_goes_after_90_days_and_what_failed_after_400(
        self, office: Office, tmp_path: Path
    ) -> None:
        with stand_in() as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            office.run()
        office.subscribe("http://127.0.0.1:9/in", Topic.FLAGGED)
        office.flag("1.2.9")
        office.herald.look()
        with session_scope(office.engine) as session:
            [*_, kept] = notifications_of(session, session.get_one(Subscription, number + 1))
            settle_notification(kept, NotificationState.EXPIRED, "refused", office.at)
            [waits, _] = notifications_of(session, session.get_one(Subscription, number))
            assert waits.state is NotificationState.WAITING
        orders = Orders(office.engine, f"sqlite:///{tmp_path}/jobs.sqlite")
        inbox = Inbox(tmp_path / "inbox", reserve_bytes=0)
        dispatch = Dispatch(office.engine, orders, inbox, lambda: office.at)
        start, gone = office.at, []
        for days in (0, 89, 91, 399, 401):
            office.at = start + timedelta(days=days)
            gone += [dispatch.forget(), dispatch.forget()]
        assert gone == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
        assert [each.id for each in office.notifications(number)] == [waits.id]


class TestDeadReceiver:
    def test_delays_no_other_is_knocked_at_ever_less_often_and_gets_all_once_it_is_back(
        self, office: Office
    ) -> None:
        port = free_port()
        dead = office.subscribe(f"http://127.0.0.1:{port}/in", Topic.FLAGGED)
        with stand_in() as alive:
            office.subscribe(alive.url, Topic.FLAGGED)
            for n in range(3):
                office.flag(f"1.2.{n}")
            office.run()
            assert len(alive.posted) == 3
        waits = []
        for _ in range(6):
            waits.append((office.due(dead) - office.at).total_seconds())
            office.at = office.due(dead)
            office.notifier.notify({"subscription": dead})
        assert all(later > earlier * 1.5 for earlier, later in pairwise(waits))
        assert office.subscription(dead).failing_since is not None
        assert "refused" in office.notifications(dead)[0].proof
        office.at = office.due(dead)
        with stand_in() as back:
            with session_scope(office.engine) as session:
                session.get_one(Subscription, dead).address = back.url
            office.notifier.notify({"subscription": dead})
            assert [each.json["study"] for each in back.posted] == ["1.2.0", "1.2.1", "1.2.2"]
        assert office.subscription(dead).failing_since is None

    def test_what_was_given_up_is_sent_again_by_hand_and_has_a_new_day(self, office: Office) -> None:
        with stand_in(lambda _: (500, {}, "broken")) as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            office.run()
            office.at += timedelta(hours=25)
            office.run()
        [row] = office.notifications(number)
        assert (row.state, "HTTP 500" in row.proof) == (NotificationState.EXPIRED, True)
        with session_scope(office.engine) as session:
            found = find_subscription(session, number, ADMIN)
            switch_off(session, ADMIN, found)
            with pytest.raises(NotReady, match="switch it on first"):
                send_again(session, ADMIN, found, row.id, office.at)
        with stand_in() as back:
            with session_scope(office.engine) as session:
                found = find_subscription(session, number, ADMIN)
                found.address = back.url
                switch_on(session, ADMIN, found)
                send_again(session, ADMIN, found, row.id, office.at)
                with pytest.raises(NotFound):
                    send_again(session, ADMIN, found, 99, office.at)
            office.run()
            assert [each.json["id"] for each in back.posted] == [f"notification-{row.id}"]
        [row] = office.notifications(number)
        assert (row.state, row.attempts) == (NotificationState.DELIVERED, 1)
        with session_scope(office.engine) as session, pytest.raises(NotReady, match="has taken"):
            send_again(session, ADMIN, find_subscription(session, number, ADMIN), row.id, office.at)

    def test_is_switched_off_after_a_day_with_the_reason(self, office: Office) -> None:
        with stand_in(lambda _: (500, {}, "broken")) as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            office.run()
            office.at += timedelta(hours=23)
            office.flag("1.2.4")
            office.run()
            assert office.subscription(number).state is SubscriptionState.ACTIVE
            office.at += timedelta(hours=1, seconds=1)
            office.run()
        found = office.subscription(number)
        assert (found.state, found.error) == (
            SubscriptionState.ERROR,
            "no call has succeeded for 24 hours; the last one: HTTP 500 broken",
        )
        assert {each.state for each in office.notifications(number)} == {
            NotificationState.EXPIRED,
            NotificationState.WITHDRAWN,
        }
        with session_scope(office.engine, write=False) as session:
            assert "subscription.error" in session.scalars(select(AuditEntry.action)).all()

    def test_one_that_is_gone_is_not_called_again(self, office: Office) -> None:
        with stand_in(lambda _: (410, {}, "")) as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            office.flag("1.2.4")
            office.run()
            office.run()
            assert len(there.posted) == 1
        assert office.subscription(number).error == "the receiver says that it is gone: HTTP 410"

    def test_any_other_no_is_tried_again_and_a_redirect_leads_nowhere(self, office: Office) -> None:
        with stand_in() as inside, stand_in() as there:
            number = office.subscribe(there.url, Topic.FLAGGED)
            office.flag()
            for status in (404, 302, 429, 401):
                there.answer = lambda _, status=status: (status, {"Location": inside.url}, "")  # type: ignore[misc]
                office.run()
                [row] = office.notifications(number)
                assert (row.state, row.proof) == (NotificationState.WAITING, f"HTTP {status}")
                office.at = row.next_at
            assert inside.posted == []
            there.answer = lambda _: (204, {}, "")
            office.run()
        [row] = office.notifications(number)
        assert (row.proof, row.attempts) == ("HTTP 204", 5)


class TestOwner:
    def test_sees_and_changes_their_own_and_an_administrator_all(self, office: Office) -> None:
        mine = office.subscribe("http://127.0.0.1:9/", Topic.RESULT)
        with session_scope(office.engine) as session:
            for stranger in (THERE, Viewer("his", Role.REFERRER, LOEI)):
                with pytest.raises(NotFound):
                    find_subscription(session, mine, stranger)
            assert [each.id for each in list_subscriptions(session, ADMIN)] == [mine]
            remove_subscription(session, OWNER, find_subscription(session, mine, OWNER))
            with pytest.raises(NotFound):
                find_subscription(session, mine, OWNER)
        with stand_in():
            office.flag()
            office.run()
        assert office.notifications(mine) == []

    def test_what_the_hub_does_not_call_or_send_is_refused(self, office: Office) -> None:
        for changes, words in (
            ({"address": "http://10.1.1.1/"}, "outside"),
            ({"address": "file:///etc/passwd"}, "no http"),
            ({"headers": ["Host: other"]}, "'Host' is not sent"),
            ({"headers": ["X-Hub-Signature: forged"]}, "not sent"),
            ({"headers": ["X-Key: a\r\nHost: b"]}, "'X-Key' is not sent"),
            ({"headers": ["X-Key: a"] * 6}, "6 headers"),
        ):
            values: dict[str, Any] = {"address": "http://127.0.0.1:9/", **changes}
            with pytest.raises(BadRequest, match=words):
                office.subscribe(values.pop("address"), Topic.RESULT, **values)

    def test_has_a_limit(self, office: Office) -> None:
        for _ in range(MOST):
            office.subscribe("http://127.0.0.1:9/", Topic.RESULT)
        with pytest.raises(BadRequest, match=f"{MOST} subscriptions"):
            office.subscribe("http://127.0.0.1:9/", Topic.RESULT)


def test_the_dispatch_puts_a_job_in_line_for_who_is_due(office: Office, tmp_path: Path) -> None:
    orders = Orders(office.engine, f"sqlite:///{tmp_path}/jobs.sqlite")
    number = office.subscribe("http://127.0.0.1:9/", Topic.FLAGGED)
    dispatch = Dispatch(office.engine, orders, Inbox(tmp_path / "inbox", reserve_bytes=0), lambda: office.at)
    assert dispatch.notify() == []
    office.flag()
    for _ in range(3):
        assert dispatch.notify() == [number]
    assert orders.waiting()["calling"] == 1  # once in two seconds is enough
