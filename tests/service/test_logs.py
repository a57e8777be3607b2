"""Logs: one JSON object a line, ids as fields, no quoted values of DICOM elements."""

import json
import logging
import subprocess
import sys

from service.logs import JsonLines


def line_of(**extra: object) -> dict[str, object]:
    record = logging.makeLogRecord({"msg": "study admitted", "levelno": 20, "levelname": "INFO", **extra})
    line: dict[str, object] = json.loads(JsonLines().format(record))
    return line


def test_extra_becomes_fields() -> None:
    assert line_of(study=7)["study"] == 7
    assert line_of(study=7)["said"] == "study admitted"


def test_what_json_cannot_say_is_said_in_words() -> None:
    assert line_of(path={1})["path"] == "{1}"


def test_pydicom_does_not_quote_a_patients_name() -> None:
    script = (
        "from service import logs; logs.configure('DEBUG'); from pydicom import Dataset; "
        "ds = Dataset(); ds.StudyInstanceUID = 'SECRET^NAME'; ds.PatientID = 'SECRET' * 20"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "SECRET" not in done.stdout + done.stderr
