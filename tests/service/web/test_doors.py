"""Signing in at a real OpenID provider in a real browser, and everything that must not let anybody in."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, select

from service.account_hospitals import hospitals_of
from service.accounts import OPERATOR, Role, add_account, find_account
from service.app import create_app
from service.audit import AuditEntry
from service.db import session_scope
from service.errors import NotFound
from service.identities import account_of, follow_hospitals, link_identity, note_stranger
from service.oidc import Person
from service.settings import BadSetting, Settings
from service.sign_in_attempts import ADDRESS_LIMIT
from service.sign_in_doors import read_doors
from tests.oidc import openid_provider
from tests.service.factories import LOEI, UDON
from tests.service.web.conftest import Person as Visitor
from tests.service.web.days import chromium

LIST = """
[[provider]]
name = "hospital"
label_th = "บัญชีโรงพยาบาล"
label_en = "Hospital account"
issuer = "{issuer}"
client_id = "imaging-hub"
client_secret_file = "secret"
"""


@dataclass
class Scene:
    """A hub with a door to a real provider, and a browser before it."""

    page: Page
    engine: Engine
    stop_provider: object

    def go_through(self, name: str) -> None:
        """Press the button, and sign in at the provider under a name."""
        self.page.goto("/login")
        self.page.click("a[href^='/login/with/hospital']")
        self.page.fill("input[name=login]", name)
        self.page.fill("input[name=password]", "anything")
        self.page.click("button[type=submit]")
        self.page.click("button[type=submit]")  # consent


@pytest.fixture
def scene(settings: Settings, engine: Engine, tmp_path: Path) -> Iterator[Scene]:
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with openid_provider(f"{address}/login/from/hospital") as (issuer, process):
        (tmp_path / "secret").write_text("a secret of the tests\n", encoding="utf-8")
        listed = tmp_path / "providers.toml"
        listed.write_text(LIST.format(issuer=issuer), encoding="utf-8")
        app = create_app(replace(settings, providers=str(listed)), engine=engine)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        with chromium() as browser:
            yield Scene(browser.new_page(base_url=address), engine, process.kill)
        server.should_exit = True
        thread.join()


def audited(engine: Engine) -> list[tuple[str, str, str]]:
    with session_scope(engine, write=False) as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.action == "session.login"))
        return [(row.actor, row.detail["method"], row.detail.get("reason", "")) for row in rows]


def test_a_stranger_gets_a_code_and_once_linked_goes_in(scene: Scene) -> None:
    with session_scope(scene.engine) as session:
        add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON)
    scene.go_through("somchai")
    code = scene.page.locator(".alarm .code").inner_text()
    expect(scene.page.locator(".whoami")).to_have_count(0)
    with session_scope(scene.engine) as session:
        link_identity(session, find_account(session, "reader"), code, OPERATOR.username)
    scene.page.context.clear_cookies()
    scene.go_through("somchai")
    expect(scene.page.locator(".whoami")).to_contain_text("reader")
    # the way back leads nowhere a second time: the cookie that bound it is gone
    scene.page.goto("/login/from/hospital?code=x&state=y")
    expect(scene.page.locator(".alarm")).to_be_visible()
    assert audited(scene.engine) == [
        ("unknown", "hospital", "stranger"),
        ("reader", "hospital", ""),
        ("unknown", "hospital", "NotSignedIn"),
    ]


def test_signing_out_offers_to_sign_out_at_the_provider_too(scene: Scene) -> None:
    with session_scope(scene.engine) as session:
        account = add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON)
    scene.go_through("somchai")
    code = scene.page.locator(".alarm .code").inner_text()
    with session_scope(scene.engine) as session:
        link_identity(session, find_account(session, account.username), code, OPERATOR.username)
    scene.page.click("a[href^='/login/with/hospital']")  # the provider still knows the person
    expect(scene.page.locator(".whoami")).to_contain_text("reader")
    scene.page.click("form[action='/logout'] button")
    scene.page.click("a[href='/login/out-of/hospital']")
    scene.page.click("button[name=logout]")
    scene.page.wait_for_url("**/login")
    scene.page.click("a[href^='/login/with/hospital']")
    expect(scene.page.locator("input[name=login]")).to_be_visible()


def test_a_way_out_is_offered_to_those_alone_who_came_by_a_provider(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    health = 'health_client_id = "a"\nhealth_client_secret = "b"\nclient_id = "c"\nsecret_key = "d"'
    listed = tmp_path / "providers.toml"
    listed.write_text(f'[[provider]]\nname = "moph"\nkind = "provider_id"\n{health}', encoding="utf-8")
    person = Visitor(create_app(replace(settings, providers=str(listed)), engine=engine))
    assert "/login/out-of/moph" in person.get("/login?left=moph").text
    assert "/login/out-of" not in person.get("/login?left=elsewhere").text
    answer = person.get("/login/out-of/moph")
    assert answer.status_code == 200
    assert "ปิดหน้าต่างเบราว์เซอร์ทั้งหมด" in answer.text
    assert person.get("/login/out-of/elsewhere").status_code == 404


def test_another_state_lets_nobody_in_and_local_accounts_go_on_without_the_provider(scene: Scene) -> None:
    scene.page.goto("/login")
    scene.page.click("a[href^='/login/with/hospital']")
    scene.page.wait_for_selector("input[name=login]")
    scene.page.goto("/login/from/hospital?code=stolen&state=guessed")
    expect(scene.page.locator(".alarm")).to_be_visible()
    scene.stop_provider()  # type: ignore[operator]
    with session_scope(scene.engine) as session:
        add_account(session, "local", Role.RADIOLOGIST, hcode=UDON, password="correct horse battery")
    scene.page.fill("input[name=username]", "local")
    scene.page.fill("input[name=password]", "correct horse battery")
    scene.page.press("input[name=password]", "Enter")
    expect(scene.page.locator(".whoami")).to_contain_text("local")


def test_a_code_links_once_within_a_day_and_a_closed_account_stays_closed(engine: Engine) -> None:
    person = Person("https://login.example", "1")
    with session_scope(engine) as session:
        account = add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON)
        code = note_stranger(session, person)
        assert code is not None
        assert note_stranger(session, person) == code
        link_identity(session, account, f" {code.lower()} ", "admin")
        with pytest.raises(NotFound):
            link_identity(session, account, code, "admin")
        assert account_of(session, person) is account
        assert account_of(session, Person("https://other.example", "1")) is None
        account.active = False
        session.flush()
        assert account_of(session, person) is None
        assert note_stranger(session, person) is None


def test_the_provider_says_for_which_further_hospitals_somebody_works(engine: Engine) -> None:
    with session_scope(engine) as session:
        account = add_account(session, "reader", Role.RADIOLOGIST, hcode=UDON)
        follow_hospitals(session, account, Person("i", "s", [LOEI, UDON, "99999"]))
        assert hospitals_of(session, account) == (UDON, LOEI)
        follow_hospitals(session, account, Person("i", "s", None))
        assert hospitals_of(session, account) == (UDON, LOEI)
        follow_hospitals(session, account, Person("i", "s", [UDON]))
        assert hospitals_of(session, account) == (UDON,)
        changes = session.scalars(select(AuditEntry).where(AuditEntry.action == "account.hospitals"))
        assert [row.detail["hospitals"] for row in changes] == [f"{UDON} {LOEI}", UDON]


def test_answers_made_up_are_limited_by_address(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    listed = tmp_path / "providers.toml"
    listed.write_text(LIST.format(issuer="http://127.0.0.1:9"), encoding="utf-8")
    person = Visitor(create_app(replace(settings, providers=str(listed)), engine=engine))
    answers = [person.get(f"/login/from/hospital?code=c&state={n}").status_code for n in range(62)]
    assert answers == [401] * ADDRESS_LIMIT + [429] * (62 - ADDRESS_LIMIT)
    assert len(audited(engine)) == ADDRESS_LIMIT  # what is turned away by the limit leaves no row


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[[provider]", "TOML"),
        ('[[provider]]\nname = "a b"', "name"),
        ('[[provider]]\nname = "a"\nkind = "saml"', "kind"),
        ('[[provider]]\nname = "a"\nissuer = "x"', "client_id"),
        ('[[provider]]\nname = "a"\ncolour = "red"', "colour"),
        ('[[provider]]\nname = "a"\nclient_secret_file = "absent"', "absent"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_with_its_fault(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadSetting, match=word):
        read_doors(path)
