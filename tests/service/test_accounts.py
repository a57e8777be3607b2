"""Accounts: who may enter, as what, and what they see."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import accounts
from service.accounts import (
    OPERATOR,
    PERMISSIONS,
    Permission,
    Role,
    Token,
    Viewer,
    add_account,
    enter_by_token,
    find_account,
    issue_token,
    list_accounts,
    list_tokens,
    note_use,
    revoke_token,
    sign_in,
    visible_to,
)
from service.db import now
from service.errors import AlreadyExists, BadRequest, NotFound, NotSignedIn
from service.studies import Study
from tests.service.factories import LOEI, UDON, registered

PASSWORD = "twelve letters"


class TestAddAccount:
    def test_the_password_is_kept_as_argon2id_only(self, session: Session) -> None:
        account = add_account(session, "somchai", Role.RADIOLOGIST, hcode=UDON, password=PASSWORD)
        assert account.password_hash is not None
        assert account.password_hash.startswith("$argon2id$")
        assert PASSWORD not in account.password_hash

    def test_a_name_that_is_taken_is_refused(self, session: Session) -> None:
        add_account(session, "somchai", Role.ADMIN)
        with pytest.raises(AlreadyExists, match="somchai"):
            add_account(session, "somchai", Role.ADMIN)

    @pytest.mark.parametrize("username", ["", "a", " somchai", "som\0chai", "x" * 101])
    def test_a_name_that_is_none_is_refused(self, session: Session, username: str) -> None:
        with pytest.raises(BadRequest, match="2 to 100"):
            add_account(session, username, Role.ADMIN)

    def test_a_short_password_is_refused(self, session: Session) -> None:
        with pytest.raises(BadRequest, match="11 characters"):
            add_account(session, "somchai", Role.ADMIN, password="x" * 11)

    @pytest.mark.parametrize("role", [Role.VENDOR, Role.TECHNICIAN, Role.REFERRER])
    def test_a_role_that_works_for_a_hospital_needs_one(self, session: Session, role: Role) -> None:
        with pytest.raises(BadRequest, match="needs a hospital"):
            add_account(session, "somchai", role)

    def test_an_unknown_hospital_is_refused(self, session: Session) -> None:
        with pytest.raises(NotFound, match="99999"):
            add_account(session, "somchai", Role.VENDOR, hcode="99999")

    def test_accounts_are_listed_by_name(self, session: Session) -> None:
        for username in ("bb", "aa"):
            add_account(session, username, Role.ADMIN)
        assert [each.username for each in list_accounts(session)] == ["aa", "bb"]
        assert find_account(session, "aa").username == "aa"
        with pytest.raises(NotFound, match="cc"):
            find_account(session, "cc")


class TestSignIn:
    def test_the_right_password_opens(self, session: Session) -> None:
        account = add_account(session, "somchai", Role.ADMIN, password=PASSWORD)
        assert sign_in(session, "somchai", PASSWORD) is account

    def test_every_refusal_sounds_the_same(self, session: Session) -> None:
        add_account(session, "somchai", Role.ADMIN, password=PASSWORD)
        add_account(session, "machine", Role.ADMIN)
        add_account(session, "closed", Role.ADMIN, password=PASSWORD).active = False
        session.flush()
        said = set()
        for username, password in [
            ("somchai", "wrong"),
            ("nobody", PASSWORD),
            ("machine", ""),
            ("closed", PASSWORD),
        ]:
            with pytest.raises(NotSignedIn) as refusal:
                sign_in(session, username, password)
            said.add(str(refusal.value))
        assert len(said) == 1


class TestTokens:
    def test_the_key_opens_and_is_kept_as_a_hash_only(self, session: Session) -> None:
        account = add_account(session, "ris", Role.REFERRER, hcode=UDON)
        key = issue_token(session, account, label="RIS")
        assert enter_by_token(session, key) == (Viewer("ris", Role.REFERRER, UDON), True)
        kept = session.scalars(select(Token)).one()
        assert key not in (kept.digest, kept.label)
        assert len(key) > 43

    def test_keys_differ(self, session: Session) -> None:
        account = add_account(session, "ris", Role.ADMIN)
        assert issue_token(session, account) != issue_token(session, account)
        assert len(list_tokens(session, account)) == 2

    def test_the_use_is_due_to_be_noted_once_a_minute(
        self, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = issue_token(session, add_account(session, "ris", Role.ADMIN))
        start = now()
        due = []
        for seconds in (0, 30, 61):
            moment = start + timedelta(seconds=seconds)
            monkeypatch.setattr(accounts, "now", lambda moment=moment: moment)
            due.append(enter_by_token(session, key)[1])
            if due[-1]:
                note_use(session, key)
        assert due == [True, False, True]
        assert session.scalar(select(Token.last_used_at)) == moment

    def test_every_refusal_sounds_the_same(self, session: Session) -> None:
        account = add_account(session, "ris", Role.ADMIN)
        expired = issue_token(session, account, days=-1)
        revoked = issue_token(session, account)
        revoke_token(session, account, list_tokens(session, account)[0].id)
        closed = add_account(session, "closed", Role.ADMIN)
        closed.active = False
        said = set()
        for key in ("hub_unknown", "", expired, revoked, issue_token(session, closed)):
            with pytest.raises(NotSignedIn) as refusal:
                enter_by_token(session, key)
            said.add(str(refusal.value))
        assert len(said) == 1

    def test_one_without_end_never_expires(self, session: Session) -> None:
        account = add_account(session, "ris", Role.ADMIN)
        assert enter_by_token(session, issue_token(session, account, days=None))

    def test_another_accounts_token_cannot_be_revoked(self, session: Session) -> None:
        mine, other = (add_account(session, name, Role.ADMIN) for name in ("mine", "other"))
        issue_token(session, other)
        with pytest.raises(NotFound, match="mine"):
            revoke_token(session, mine, list_tokens(session, other)[0].id)


class TestVisibleTo:
    @pytest.mark.parametrize(
        ("viewer", "seen"),
        [
            (OPERATOR, {"1", "2", "3"}),
            (Viewer("a", Role.ADMIN, UDON), {"1", "2", "3"}),
            (Viewer("r", Role.RADIOLOGIST, None), {"1", "2", "3"}),
            (Viewer("r", Role.RADIOLOGIST, UDON), {"1"}),
            (Viewer("t", Role.TECHNICIAN, LOEI), {"2"}),
            (Viewer("t", Role.TECHNICIAN, None), set()),
            (Viewer("v", Role.VENDOR, None), set()),
        ],
    )
    def test_only_the_region_or_ones_own_hospital(
        self, session: Session, viewer: Viewer, seen: set[str]
    ) -> None:
        for uid, hcode in (("1", UDON), ("2", LOEI), ("3", None)):
            registered(session, uid, hcode=hcode)
        found = session.scalars(select(Study.study_instance_uid).where(visible_to(viewer, Study.hcode))).all()
        assert set(found) == seen


def test_every_role_has_permissions_and_only_the_admin_has_all() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert [role for role in Role if PERMISSIONS[role] == set(Permission)] == [Role.ADMIN]


def test_a_vendor_and_the_ml_team_never_read_identities() -> None:
    blind = [role for role in Role if Permission.READ_IDENTITY not in PERMISSIONS[role]]
    assert blind == [Role.VENDOR, Role.ML]
