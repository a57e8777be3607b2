"""`hub cases` as a person types it."""

import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from labeling.manifest import read_data_set
from service.accounts import Role, add_account
from service.assignments import next_case
from service.case_images import images_of
from service.case_keys import open_research_key
from service.cases import Case
from service.db import make_engine, session_scope, upgrade
from service.hospitals import seed_hospitals
from service.reads import save_label
from service.settings import Settings
from service.storage import FolderStorage
from tests.service.labelling import NORMAL, entered, reader, with_images
from tests.shell import run_hub

pytestmark = pytest.mark.one_database  # the commands call verbs, whose tests are beside them


class TestRoster:
    def roster(self, tmp_path: Path, text: str, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "roster.csv"
        path.write_text("reader,hcode,case_from,case_to\n" + text, encoding="utf-8")
        done = run_hub("cases", "roster", str(path), *words, environment=dict(os.environ))
        return done.returncode, done.stdout, done.stderr

    def test_flaws_are_told_in_words_and_end_with_status_1(self, tmp_path: Path) -> None:
        status, out, _ = self.roster(tmp_path, "R01,10671,1,27\nR02,10671,27,54\nR02,10671,55,81\n")
        assert status == 1
        assert out.splitlines()[0] == "3 ranges, 2 readers, 5 flaws"
        assert "- Case 27 is given to more than one reader: R01, R02." in out
        assert "- Reader R02 holds 2 ranges, 27-54 and 55-81: 55 cases." in out
        _, thai, _ = self.roster(tmp_path, "R01,10671,1,27\nR02,10671,27,54\n", "--thai")
        assert "กรณีที่ 27 มอบให้ผู้อ่านมากกว่าหนึ่งคน" in thai

    def test_a_row_that_is_none_is_one_line(self, tmp_path: Path) -> None:
        status, _, error = self.roster(tmp_path, "R01,10671,1,x\n")
        assert (status, error.count("\n")) == (1, 1)
        assert "line 2" in error


def test_a_campaign_from_giving_out_to_a_frozen_set(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    environment = {**os.environ, "HUB_DATA": str(settings.data), "HUB_HTTP_PORT": "1"}
    environment.pop("HUB_TEST_DATABASE_URL", None)

    def hub(*words: str) -> str:
        done = run_hub("cases", *words, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    engine = make_engine(settings.database)
    upgrade(engine)
    storage = FolderStorage(settings.storage_folder)
    with session_scope(engine) as session:
        seed_hospitals(session)
        for n in (1, 2):
            with_images(session, storage, tmp_path / "sent", n)
        add_account(session, "r1", Role.RADIOLOGIST)
    given = hub("assign", "r1", "--common", "0", "--double-share", "0", "--rereads", "0", "--test-reads", "1")
    assert "r1                       2 to read" in given
    with session_scope(engine) as session:
        while turn := next_case(session, reader("r1")):
            case = session.get_one(Case, turn.case_id)
            images = images_of(session, case, storage, open_research_key(settings))
            save_label(session, reader("r1"), turn.id, entered(NORMAL), images)
    assert "any_ich            gwet_ac1 undefined (no_overlap), 0 cases" in hub("agreement")
    flow = hub("flow", "--svg", str(tmp_path / "flow.svg"))
    assert "Eligible: 2" in flow
    assert (tmp_path / "flow.svg").read_text().startswith("<svg")
    made = hub("freeze", "r8", str(tmp_path), "--licence", "research only")
    assert f"digest {read_data_set(tmp_path / 'r8-v1').digest}" in made
    hub("export", "1", str(tmp_path / "labels.csv"), "--as", "csv")
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 3
    hub("export", "1", str(tmp_path / "objects.zip"), "--as", "dicom")
    with ZipFile(tmp_path / "objects.zip") as archive:
        assert len(archive.namelist()) == 4  # of each study what was agreed and what r1 said; nobody painted
    refused = run_hub("cases", "agreement", "age", environment=environment)
    assert (refused.returncode, "'age' is not asked" in refused.stderr) == (1, True)
    engine.dispose()
