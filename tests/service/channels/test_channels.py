"""Each channel against a real server of its protocol: what it says, what is proof, what a no means."""

import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from service.channels.email import Email, Security, Server
from service.channels.line import Line
from service.channels.message import Channel, Destination, Later, Message, Refused, Unreachable
from service.channels.moph_notify import MophNotify
from service.channels.opening import open_channels
from service.channels.webhook import Webhook
from service.contacts import Way
from service.settings import Settings
from tests.hub import free_port
from tests.mail import mail_server
from tests.stand_in import stand_in

MESSAGE = Message(
    number=7,
    alert=3,
    kind="flag",
    titles=("AI สงสัยโรคหลอดเลือดสมอง", "Stroke suspected by the AI"),
    case="1A2B",
    hcode="10671",
    hospital="อุดรธานี · Udon Thani",
    link="https://hub.example/a/token",
    raised_at=datetime(2026, 11, 22, 6, 0, tzinfo=UTC),
    hop=0,
)
TEXT = (
    "AI สงสัยโรคหลอดเลือดสมอง\nStroke suspected by the AI\n"
    "1A2B · อุดรธานี · Udon Thani (10671)\nhttps://hub.example/a/token"
)


class TestEmail:
    def test_the_letter_arrives_and_the_servers_word_is_the_proof(self) -> None:
        with mail_server() as post:
            proof = self.channel(post.port).send(MESSAGE, Destination("doctor@hospital.example"))
        assert proof == "250 2.0.0 Ok: queued as 000001"
        [(to, letter)] = post.taken
        assert to == letter["To"] == "doctor@hospital.example"
        assert letter["Subject"] == "AI สงสัยโรคหลอดเลือดสมอง · 1A2B · 10671"
        assert letter.get_content().strip() == TEXT
        assert letter["Message-ID"] == "<alert-3-7@hub.example>"

    def test_an_address_that_is_none_is_refused_and_a_full_box_waits(self) -> None:
        with mail_server() as post:
            post.says = {
                "gone@x.example": "550 5.1.1 no such user",
                "full@x.example": "452 4.2.2 mailbox full",
            }
            with pytest.raises(Refused, match=r"550 5\.1\.1 no such user"):
                self.channel(post.port).send(MESSAGE, Destination("gone@x.example"))
            with pytest.raises(Later, match=r"452 4\.2\.2 mailbox full"):
                self.channel(post.port).send(MESSAGE, Destination("full@x.example"))
        assert post.taken == []

    def test_a_server_that_is_away_is_unreachable(self) -> None:
        with pytest.raises(Unreachable, match="refused"):
            self.channel(free_port()).send(MESSAGE, Destination("doctor@hospital.example"))

    def test_a_server_without_the_wanted_security_gets_nothing(self) -> None:
        with mail_server() as post:
            channel = self.channel(post.port, Security.STARTTLS)
            with pytest.raises(Unreachable, match="STARTTLS"):
                channel.send(MESSAGE, Destination("doctor@hospital.example"))
        assert post.taken == []

    def channel(self, port: int, security: Security = Security.OFF) -> Email:
        return Email(Server("127.0.0.1", port, "hub@hub.example", security=security))


class TestWebhook:
    def test_the_body_is_signed_with_its_time(self) -> None:
        with stand_in() as there:
            proof = Webhook(clock=lambda: 1_800_000_000.5).send(
                MESSAGE, Destination(there.url + "/in", "s3cret")
            )
        [posted] = there.posted
        assert proof == "HTTP 200"
        assert posted.headers["x-hub-timestamp"] == "1800000000"
        mac = hmac.new(b"s3cret", b"1800000000." + posted.body, hashlib.sha256).hexdigest()
        assert posted.headers["x-hub-signature"] == f"sha256={mac}"
        assert posted.json == {
            "id": "alert-message-7",
            "alert": 3,
            "kind": "flag",
            "title": {"th": MESSAGE.titles[0], "en": MESSAGE.titles[1]},
            "case": "1A2B",
            "hospital": "10671",
            "link": "https://hub.example/a/token",
            "raised_at": "2026-11-22T06:00:00+00:00",
            "hop": 0,
        }


class TestLine:
    def test_a_push_has_token_and_the_same_retry_key_each_time(self) -> None:
        with stand_in(lambda posted: (200, {"x-line-request-id": "r-1"}, "{}")) as there:
            for _ in range(2):
                proof = Line(there.url, "channel-token").send(MESSAGE, Destination("U" + "0" * 32))
        assert proof == "x-line-request-id r-1"
        first, second = there.posted
        assert first.path == "/v2/bot/message/push"
        assert first.headers["authorization"] == "Bearer channel-token"
        assert first.headers["x-line-retry-key"] == second.headers["x-line-retry-key"]
        assert first.json == {"to": "U" + "0" * 32, "messages": [{"type": "text", "text": TEXT}]}
        with stand_in() as there:
            other = dataclasses.replace(MESSAGE, number=8)
            Line(there.url, "channel-token").send(other, Destination("U" + "0" * 32))
        assert there.posted[0].headers["x-line-retry-key"] != first.headers["x-line-retry-key"]

    def test_taken_before_is_delivered(self) -> None:
        with stand_in(lambda posted: (409, {"x-line-accepted-request-id": "r-0"}, "{}")) as there:
            assert Line(there.url, "t").send(MESSAGE, Destination("U1")) == "HTTP 409, taken before"

    def test_a_token_that_line_refuses_concerns_all_that_waits(self) -> None:
        with stand_in(lambda posted: (401, {}, "")) as there, pytest.raises(Unreachable, match="HTTP 401"):
            Line(there.url, "t").send(MESSAGE, Destination("U1"))


def test_moph_notify_gets_the_units_keys_and_one_text() -> None:
    with stand_in(lambda posted: (200, {}, '{"status":200}')) as there:
        proof = MophNotify(there.url).send(MESSAGE, Destination("client-key-1", "secret-key-1"))
    [posted] = there.posted
    assert proof == 'HTTP 200 {"status":200}'
    assert posted.path == "/api/notify/send"
    assert (posted.headers["client-key"], posted.headers["secret-key"]) == ("client-key-1", "secret-key-1")
    assert posted.json == {"messages": [{"type": "text", "text": TEXT}]}


MAKERS: dict[str, Callable[[str], tuple[Channel, Destination]]] = {
    "webhook": lambda url: (Webhook(), Destination(url, "s")),
    "line": lambda url: (Line(url, "t"), Destination("U1")),
    "moph_notify": lambda url: (MophNotify(url), Destination("client", "secret")),
}


@pytest.mark.parametrize("name", sorted(MAKERS))
@pytest.mark.parametrize(
    ("status", "error"),
    [(500, Unreachable), (503, Unreachable), (429, Later), (400, Refused), (302, Refused)],
)
def test_what_a_no_means(name: str, status: int, error: type[Exception]) -> None:
    with stand_in(lambda posted: (status, {"Location": "http://127.0.0.1:1/"}, "why not")) as there:
        channel, to = MAKERS[name](there.url)
        with pytest.raises(error, match=f"HTTP {status} why not"):
            channel.send(MESSAGE, to)


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_nobody_at_home_is_unreachable(name: str) -> None:
    channel, to = MAKERS[name](f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="refused"):
        channel.send(MESSAGE, to)


def test_a_hub_has_the_ways_that_its_settings_open() -> None:
    assert set(open_channels(Settings())) == {Way.WEBHOOK, Way.MOPH_NOTIFY}
    whole = Settings(smtp_server="mail.example:587", line_token="t")
    assert set(open_channels(whole)) == set(Way) - {Way.IN_APP}
