"""Forms: every version kept, each letter with the one it was issued with, nothing broken ever kept."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from service.accounts import OPERATOR
from service.audit import verify_chain
from service.db import now
from service.errors import BadRequest, Changed, NotFound
from service.form_trials import BadTemplate, preview_form, try_template
from service.forms import (
    LONGEST_SOURCE,
    Form,
    find_version,
    newest_version,
    save_version,
    source_of,
    version_at,
    versions_of,
)
from service.letters import TEMPLATE, referral_letter
from service.storage import FolderStorage, Storage
from service.web.words import Language
from tests.service.factories import HN
from tests.service.referring import draft, requested, small_study

ADDRESS = "https://hub.example.go.th"
PLAIN = '#let d = json("letter.json")\n#d.serial #d.patient.hn'
OTHER = PLAIN + " other"
FAILS_LATER = f'{PLAIN}\n#assert(d.patient.hn != "{HN}")'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all: making the fonts takes a second."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "storage")


class TestVersions:
    def test_the_newest_counts_and_the_older_stay(self, session: Session) -> None:
        assert newest_version(session, Form.LETTER) is None
        first = save_version(session, OPERATOR, Form.LETTER, PLAIN, note="ours")
        second = save_version(session, OPERATOR, Form.LETTER, OTHER, seen=first.id)
        assert newest_version(session, Form.LETTER) is second
        assert versions_of(session, Form.LETTER) == [second, first]
        assert newest_version(session, Form.STROKE) is None
        assert (first.note, first.made_by, first.source) == ("ours", "operator", PLAIN)
        assert verify_chain(session).broken_at is None

    def test_the_shipped_one_is_put_back_as_a_version_of_its_own(self, session: Session) -> None:
        first = save_version(session, OPERATOR, Form.LETTER, PLAIN)
        back = save_version(session, OPERATOR, Form.LETTER, "")
        assert source_of(back, Form.LETTER) == source_of(None, Form.LETTER)
        assert 'json("letter.json")' in source_of(back, Form.LETTER)
        assert find_version(session, Form.LETTER, first.id).source == PLAIN
        with pytest.raises(NotFound):
            find_version(session, Form.STROKE, first.id)

    def test_two_who_change_at_once_get_one_winner(self, session: Session) -> None:
        save_version(session, OPERATOR, Form.LETTER, PLAIN, seen=0)
        with pytest.raises(Changed, match="operator has changed the form"):
            save_version(session, OPERATOR, Form.LETTER, OTHER, seen=0)

    def test_what_is_too_long(self, session: Session) -> None:
        with pytest.raises(BadRequest, match=str(LONGEST_SOURCE)):
            save_version(session, OPERATOR, Form.LETTER, "x" * (LONGEST_SOURCE + 1))
        with pytest.raises(BadRequest, match="note of 201"):
            save_version(session, OPERATOR, Form.LETTER, PLAIN, note="x" * 201)


class TestTrials:
    @pytest.mark.parametrize("form", list(Form))
    def test_the_shipped_templates_pass(self, form: Form, data: Path) -> None:
        try_template(form, "", data)

    def test_languages_differ_and_the_patient_is_made_up(self, data: Path) -> None:
        thai, english = (preview_form(Form.LETTER, "", data, language=each) for each in Language)
        assert thai.startswith(b"%PDF-")
        assert english.startswith(b"%PDF-")
        assert thai != english

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("#let x = (", "with everything told, th"),
            ('#image(json("letter.json").key_slices.at(0))', "with nothing told, th"),
            ('#assert(json("letter.json").lang == "th")', "with everything told, en"),
        ],
    )
    def test_a_template_that_fails_somewhere_is_refused(self, source: str, why: str, data: Path) -> None:
        with pytest.raises(BadTemplate, match=why):
            try_template(Form.LETTER, source, data)


class TestLetters:
    def test_a_letter_keeps_the_template_it_was_issued_with(
        self, session: Session, storage: Storage, data: Path
    ) -> None:
        at = now() + timedelta(minutes=1)
        first = save_version(session, OPERATOR, Form.LETTER, PLAIN)
        referral = requested(session)

        def letter() -> bytes:
            return referral_letter(session, referral, storage, data=data, address=ADDRESS, at=at)

        issued = letter()
        save_version(session, OPERATOR, Form.LETTER, OTHER)
        assert letter() == issued
        assert version_at(session, Form.LETTER, first.made_at) is first
        later = requested(session, small_study(session, "1.2.4"))
        other = referral_letter(session, later, storage, data=data, address=ADDRESS, at=at)
        assert len(other) != len(issued)

    def test_a_template_that_fails_for_one_patient_stops_no_referral_and_says_so(
        self, session: Session, storage: Storage, data: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        try_template(Form.LETTER, FAILS_LATER, data)  # nobody made up has this number
        referral = draft(session)
        at = now() + timedelta(minutes=1)
        shipped = referral_letter(session, referral, storage, data=data, address=ADDRESS, at=at)
        save_version(session, OPERATOR, Form.LETTER, FAILS_LATER)
        with caplog.at_level(logging.ERROR):
            instead = referral_letter(session, referral, storage, data=data, address=ADDRESS, at=at)
        assert "template is broken" in caplog.text
        assert HN not in caplog.text
        assert instead.startswith(b"%PDF-")
        assert len(instead) > len(shipped)  # the line that says which form this is

    def test_an_administrators_version_goes_before_the_operators_file(
        self, session: Session, storage: Storage, data: Path
    ) -> None:
        referral = draft(session)
        at = now() + timedelta(minutes=1)
        own_file = data / TEMPLATE
        own_file.write_text(PLAIN)
        own = referral_letter(session, referral, storage, data=data, address=ADDRESS, at=at)
        save_version(session, OPERATOR, Form.LETTER, OTHER)
        changed = referral_letter(session, referral, storage, data=data, address=ADDRESS, at=at)
        own_file.unlink()
        assert changed != own

    @pytest.mark.parametrize("language", list(Language))
    @pytest.mark.parametrize("form", [Form.LETTER, Form.STROKE])
    def test_every_form_in_every_language(
        self, session: Session, storage: Storage, data: Path, form: Form, language: Language
    ) -> None:
        pdf = referral_letter(
            session, draft(session), storage, data=data, address=ADDRESS, form=form, language=language
        )
        assert b"<rdf:li>%b-TH" % language.value.encode() in pdf
