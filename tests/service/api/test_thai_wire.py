"""Thai as hospitals really write it, sent by dcmtk over a socket and looked at where it is seen.

Every row of what Thai systems are known to declare and to write; the patient is the same in all of them.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from service.accounts import Role
from service.intake import Intake
from service.orders import Orders
from service.settings import Settings
from service.storage import FolderStorage
from tests.pacs import DEADLINE_SECONDS, await_condition, write_slice
from tests.service.api.conftest import SignIn
from tests.service.factories import UDON

pytestmark = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not on this machine")

NAME = "สมชาย^ใจดี"
ESCAPE = b"\x1b-T"
TIS = NAME.encode("tis-620")
ISO_2022 = b"^".join(ESCAPE + part.encode("tis-620") for part in NAME.split("^"))
LATIN = "Somchai^Jaidee"
PLACE = "Q" * 62
"""Stands in the file where the name's bytes go; made shorter by blanks, which DICOM ignores at the end."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the file declares, the bytes of PatientName, and what must be seen."""

    declared: str
    raw: bytes
    seen: str = NAME
    repaired: bool = False


ROWS = {
    "ISO_IR 166": Row("ISO_IR 166", TIS),
    "ISO 2022 IR 166": Row("\\ISO 2022 IR 166", ISO_2022),
    "ISO 2022, second escape missing": Row("\\ISO 2022 IR 166", ESCAPE + TIS),
    "ISO_IR 192": Row("ISO_IR 192", NAME.encode("utf-8")),
    "misspelt TIS-620": Row("TIS-620", TIS),
    "misspelt ISO_IR_166": Row("ISO_IR_166", TIS),
    "misspelt ISO-IR 166": Row("ISO-IR 166", TIS),
    "absent": Row("", TIS, repaired=True),
    "absent, UTF-8 bytes": Row("", NAME.encode("utf-8"), repaired=True),
    "ISO_IR 100, Thai bytes": Row("ISO_IR 100", TIS, repaired=True),
    "ISO_IR 166, UTF-8 bytes": Row("ISO_IR 166", NAME.encode("utf-8"), repaired=True),
    "ISO_IR 192, TIS bytes": Row("ISO_IR 192", TIS, repaired=True),
    "no-break space": Row("ISO_IR 166", TIS.replace(b"^", b"\xa0^"), "สมชาย\xa0^ใจดี"),
    "sara am": Row("ISO_IR 166", "อำนาจ^น้ำใส".encode("tis-620"), "อำนาจ^น้ำใส"),
    "three groups": Row(
        "\\ISO 2022 IR 166", b"=".join((LATIN.encode(), ISO_2022, b"somchai")), f"{LATIN}={NAME}=somchai"
    ),
    "three groups, UTF-8": Row("ISO_IR 192", f"{LATIN}={NAME}=somchai".encode(), f"{LATIN}={NAME}=somchai"),
}
UIDS = {name: f"1.2.3.{number}" for number, name in enumerate(ROWS, start=1)}


def write_row(folder: Path, name: str, row: Row) -> Path:
    """A file with the row's bytes, put in place of an ASCII name of the same length."""
    path = write_slice(
        folder, study=UIDS[name], PatientName=PLACE, SpecificCharacterSet=["", "ISO 2022 IR 166"],
        StudyDate="25690314", PatientBirthDate="25010314", PatientID="HN0042",
    )  # fmt: skip
    assert len(row.raw) <= len(PLACE)
    data = path.read_bytes().replace(PLACE.encode(), row.raw.ljust(len(PLACE)))
    declared = row.declared.encode().ljust(len("\\ISO 2022 IR 166"))
    path.write_bytes(data.replace(b"\\ISO 2022 IR 166", declared))
    return path


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    yield inbox
    inbox.close()


@pytest.fixture
def arrived(settings: Settings, engine: Engine, inbox: Inbox, tmp_path: Path) -> None:
    """Every row sent by storescu to a listener, and taken into the hub."""
    settings.callers.write_text(
        json.dumps({"callers": [{"ae": "UDON_CT1", "addresses": ["127.0.0.1"], "hcode": UDON}]})
    )
    listener = Listener(inbox, Callers(settings.callers), host="127.0.0.1", port=0)
    listener.start()
    try:
        paths = [write_row(tmp_path / "sent", name, row) for name, row in ROWS.items()]
        subprocess.run(
            ["storescu", "-R", "-aet", "UDON_CT1", "-aec", "IMAGINGHUB", "127.0.0.1", str(listener.port),
             *map(str, paths)],
            check=True, capture_output=True, timeout=DEADLINE_SECONDS * 3,
        )  # fmt: skip
        await_condition(
            lambda: [each for each in inbox.receipts() if each.closed_at], "the association ended"
        )
    finally:
        listener.stop()
    orders = Orders(engine, f"sqlite:///{settings.data / 'jobs.sqlite'}")
    storage = FolderStorage(settings.storage_folder)
    intake = Intake(engine, storage, inbox, orders, settings.data / "intake.lock")
    assert intake.round(datetime.now(UTC) + timedelta(minutes=2)) == len(ROWS)


@pytest.mark.usefixtures("arrived")
def test_every_row_is_seen_as_it_was_meant(app: FastAPI, signed_in: SignIn) -> None:
    client = signed_in(Role.RADIOLOGIST, UDON)
    wrong = {}
    for name, row in ROWS.items():
        study = client.get(f"/api/v1/studies/{UIDS[name]}").json()
        patient = study["patient"]
        repairs = [each for each in study["repairs"] if each.startswith("charset: PatientName")]
        if (patient["name"], bool(repairs)) != (row.seen, row.repaired):
            wrong[name] = (patient["name"], repairs)
        assert patient["hn"] == "HN0042"
        assert (study["study_date"], patient["birth_date"]) == ("2026-03-14", "1958-03-14")
        assert {"buddhist_date: StudyDate", "buddhist_date: PatientBirthDate"} <= set(study["repairs"])
    assert wrong == {}


@pytest.mark.usefixtures("arrived")
def test_viewers_are_given_utf8_and_find_the_thai_group(app: FastAPI, signed_in: SignIn) -> None:
    client = signed_in(Role.RADIOLOGIST, UDON)

    def search(**query: str) -> dict[str, dict[str, Any]]:
        answer = client.get("/dicomweb/studies", params=query)
        found = answer.json() if answer.status_code == 200 else []
        return {each["0020000D"]["Value"][0]: each for each in found}

    everything = search(limit="100")
    assert everything.keys() == set(UIDS.values())
    for name, row in ROWS.items():
        shown = everything[UIDS[name]]["00100010"]["Value"][0]
        groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), row.seen.split("="), strict=False))
        assert shown == groups, name
        assert everything[UIDS[name]]["00080020"]["Value"] == ["20260314"]
        [instance] = client.get(f"/dicomweb/studies/{UIDS[name]}/metadata").json()
        assert instance["00100010"]["Value"] == [groups], name
    named = {UIDS[name] for name, row in ROWS.items() if re.search("สมชาย", row.seen)}
    assert search(PatientName="สมชาย*", limit="100").keys() == named
    assert search(PatientName="Somchai*", limit="100").keys() == {
        UIDS["three groups"], UIDS["three groups, UTF-8"],
    }  # fmt: skip
