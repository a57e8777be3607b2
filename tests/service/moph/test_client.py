"""The client against a server that speaks MOPH Refer's protocol over a real socket."""

from datetime import UTC, datetime

import pytest

from service.channels.message import Later, Refused, Unreachable
from service.moph.client import HISTORY, INVESTIGATION, Keys, NotLetIn, NRefer
from tests.service.moph.nrefer import API_KEY, SECRET_KEY, Ministry, ministry
from tests.stand_in import stand_in

KEYS = Keys("11014", API_KEY, SECRET_KEY)
ROW = {"REFERID": "69-000001", "DATETIME_REFER": datetime(2026, 11, 28, 1, 30, tzinfo=UTC), "AN": None}


def client(peer: Ministry) -> NRefer:
    return NRefer(peer.url + "/", provider="imaging-hub")


def test_it_signs_in_once_and_posts_records_as_text_in_json() -> None:
    with ministry() as peer:
        nrefer = client(peer)
        assert nrefer.save(HISTORY, ROW, KEYS) == "statusCode 200"
        nrefer.save(INVESTIGATION, [ROW], KEYS)
        assert peer.logins == ["11014"]
        said = {"REFERID": "69-000001", "DATETIME_REFER": "2026-11-28 08:30:00", "AN": None}
        assert [data for _, _, data in peer.saved] == [said, [said]]
        envelope = peer.envelopes[-1]
        assert (envelope["hospcode"], envelope["hisProvider"]) == ("11014", "imaging-hub")
        assert isinstance(envelope["data"], str)
        assert peer.server.posted[-1].headers["source-agent"].startswith("ImagingHub-")


def test_a_token_that_ended_is_renewed_and_the_record_sent() -> None:
    with ministry() as peer:
        nrefer = client(peer)
        nrefer.save(HISTORY, ROW, KEYS)
        peer.tokens.clear()
        nrefer.save(HISTORY, ROW, KEYS)
        assert (len(peer.logins), len(peer.saved)) == (2, 2)


def test_a_fresh_token_that_is_not_taken_is_no_endless_circle() -> None:
    with ministry() as peer:
        peer.judge = lambda path, data: (401, {"statusCode": 401, "message": "no"})
        with pytest.raises(NotLetIn, match="401"):
            client(peer).save(HISTORY, ROW, KEYS)
        assert len(peer.logins) == 1


def test_wrong_keys_are_told_apart_and_never_shown() -> None:
    with ministry() as peer, pytest.raises(NotLetIn, match="invalid key") as caught:
        client(peer).save(HISTORY, ROW, Keys("11014", "wrong-api-key", SECRET_KEY))
    assert "wrong-api-key" not in f"{caught.value} {KEYS!r}"
    assert API_KEY not in repr(KEYS)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, {"statusCode": 400, "message": "REFERID missing"}, Refused),
        (400, {"statusCode": 400, "message": "bad"}, Refused),
        (404, {}, Refused),
        (200, {"statusCode": 500, "message": "ER_DUP"}, Later),
        (200, {"statusCode": "what"}, Later),
        (429, {"statusCode": 429}, Later),
        (503, {}, Unreachable),
        (200, {}, Unreachable),
    ],
)
def test_what_an_answer_means(status: int, body: dict[str, object], error: type[Exception]) -> None:
    with ministry() as peer:
        peer.judge = lambda path, data: (status, body)
        with pytest.raises(error):
            client(peer).save(HISTORY, ROW, KEYS)


def test_a_page_of_some_proxy_is_no_receipt() -> None:
    with (
        stand_in(
            lambda posted: (200, {"Content-Type": "text/html"}, "<h1>Sign in to the network</h1>")
        ) as proxy,
        pytest.raises(Unreachable, match="none of MOPH Refer"),
    ):
        NRefer(proxy.url, provider="x").save(HISTORY, ROW, KEYS)


def test_nobody_there() -> None:
    with stand_in() as gone:
        url = gone.url
    with pytest.raises(Unreachable):
        NRefer(url, provider="x").save(HISTORY, ROW, KEYS)
