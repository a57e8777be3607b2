"""The fence: which addresses are called, and that a name cannot lead elsewhere than was checked."""

import socket
from typing import Any

import pytest

from service.channels.fence import Fence, read_fence
from service.channels.message import Refused, Unreachable
from service.channels.posting import Poster
from tests.stand_in import stand_in

OPEN = read_fence("127.0.0.0/8, 10.8.0.0/16")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://x.example/", "no http"),
        ("https:///path", "no http"),
        ("https://x.example:0/", "no http"),
        ("https://x.example:99999/", "no http"),
        ("https://[::1", "no http"),
        (f"https://x.example/{'a' * 500}", "500"),
        ("https://โรงพยาบาล.example/", "no http"),
        ("https://x.example/a b", "no space"),
        ("https://user:word@x.example/", "password"),
        ("https://x.example/#part", "fragment"),
        ("http://x.example/", "only https"),
        ("http://1.1.1.1/", "only https"),
        ("https://127.0.0.1/", "outside"),
        ("https://10.8.1.5/", "outside"),
        ("https://169.254.169.254/latest/meta-data", "outside"),
        ("https://[::1]/", "outside"),
        ("https://[::ffff:127.0.0.1]/", "outside"),
        ("https://224.0.0.1/", "outside"),
        ("https://0.0.0.0/", "outside"),
    ],
)
def test_what_is_not_public_https_is_refused_with_words(address: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        Fence().check(address)


def test_open_networks_may_be_called_by_http_and_nothing_beyond_them() -> None:
    for address in (
        "http://127.0.0.1:8080/x",
        "https://10.8.1.5/",
        "http://[::ffff:10.8.1.5]/",
        "https://1.1.1.1/",
    ):
        OPEN.check(address)
    for address in ("http://10.9.0.1/", "http://1.1.1.1/", "https://192.168.0.1/", "https://[fe80::1]/"):
        with pytest.raises(Refused, match="outside"):
            OPEN.check(address)
    with pytest.raises(ValueError, match="bits"):
        read_fence("10.8.0.1/16")


def test_a_name_is_looked_up_and_the_machine_that_was_checked_is_called() -> None:
    with stand_in() as there:
        opened = OPEN.open(f"http://localhost:{there.port}/in?x=1")
        assert opened.url.startswith(f"http://127.0.0.1:{there.port}/in")
        Poster(ours=False).post(opened.url, b"{}", {"Host": opened.host}, name=opened.name)
        assert there.posted[0].headers["host"] == f"localhost:{there.port}"
        assert there.posted[0].path == "/in?x=1"
    with pytest.raises(Refused, match="localhost is outside"):
        read_fence("10.8.0.0/16").open("https://localhost/")
    for numbers in ("127.1", "2130706433", "0x7f.1"):  # what a resolver takes for a number is looked up too
        with pytest.raises(Refused, match="outside"):
            Fence().open(f"https://{numbers}/")
    with pytest.raises(Refused, match="no name"):
        Fence().open(f"https://{'a' * 64}.example/")


def test_a_name_that_leads_nowhere_may_lead_somewhere_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Unreachable, match="not known"):
        OPEN.open("https://x.example/")


def test_of_several_machines_of_a_name_one_inside_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (number, 443)) for number in ("192.168.0.9", "2606:4700::1", "10.8.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert Fence().open("https://x.example/a").url == "https://[2606:4700::1]/a"
    assert read_fence("10.8.0.0/16").open("http://x.example:81/a").url == "http://10.8.0.1:81/a"
