"""A form tried with a made-up patient: what an administrator sees, and a template must pass to be kept.

Nobody in it exists. It is tried full and bare, in both languages: a template that fails where a doctor left
something out would fail at night.
"""

import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from PIL import Image

from service.db import now
from service.errors import BadRequest
from service.forms import Form, check_source, shipped_template
from service.letter_fonts import letter_fonts
from service.letter_values import LABELS
from service.letters import write_files
from service.typesetting import BrokenTemplate, typeset_apart
from service.web.words import Language, Words

ONSET: Final = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)
REQUESTED: Final = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
PICTURE: Final = "key-1.webp"


class BadTemplate(BadRequest):
    """The template cannot be set; the text is the typesetter's."""

    title = "The template is broken"


def try_template(form: Form, source: str, data: Path) -> None:
    """Set a template with everything and with nothing told, in both languages.

    Args:
        form: Which form it is for.
        source: Typst.
        data: The hub's data folder, where fonts are kept.

    Raises:
        BadTemplate: it fails; the text says at what.
        BadRequest: it is too long.
    """
    for language in Language:
        for bare in (False, True):
            preview_form(form, source, data, language=language, bare=bare)


def preview_form(
    form: Form, source: str, data: Path, *, language: Language = Language.TH, bare: bool = False
) -> bytes:
    """The form of a made-up patient as a PDF; an empty source is the shipped template.

    Raises:
        BadTemplate: it cannot be set.
        BadRequest: it is too long.
    """
    source = check_source(source) or shipped_template(form).read_text("utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pictures = {} if bare else {PICTURE: _picture()}
        example = example_reply if form is Form.REPLY else example_values
        write_files(folder, example(language, bare=bare), "https://hub.example/referrals/0", pictures)
        try:
            return typeset_apart(source, folder, letter_fonts(data / "fonts"), now())
        except BrokenTemplate as error:
            told = "with nothing told" if bare else "with everything told"
            raise BadTemplate(f"{error} ({told}, {language.value})") from error


def example_values(language: Language, *, bare: bool = False) -> dict[str, Any]:
    """What a template gets of a patient who does not exist."""
    words = Words(language)
    thai = language is Language.TH
    labels = {name: words(f"letter.label.{name}") for name in LABELS}
    name = "สมมติ" if thai else "Example"
    hospital = {
        "hcode": "00000",
        "name": name,
        "full": words("letter.hospital", name=name),
        "province": "สมมติ" if thai else "Nowhere",
    }
    values: dict[str, Any] = {
        "lang": language.value,
        "labels": labels,
        "shipped_instead": False,
        "from": hospital,
        "to": hospital,
        "serial": words("referral.draft"),
        "case": "C-000000-0",
        "urgency": words("urgency.2"),
        "at": words.moment(REQUESTED),
        "printed": words.moment(now()),
        "patient": {
            "name": "–",
            "about": "",
            "hn": "–",
            "hn_there": "",
            "citizen_id": "",
            "warns": False,
            "right": "",
        },
        "texts": [],
        "told": [[words("detail.anticoagulant"), words("anticoagulant.unknown")]],
        "ai": {"words": [], "model": "", "use": words("hub.intended_use")},
        "reader": "",
        "report": "",
        "doctor": {"name": "", "licence": "", "telephone": ""},
        "key_slices": [],
    }
    return values if bare else values | _told(words)


def example_reply(language: Language, *, bare: bool = False) -> dict[str, Any]:
    """What the reply letter's template gets of the same patient."""
    words, letter = Words(language), example_values(language, bare=bare)
    values: dict[str, Any] = {
        name: letter[name]
        for name in ("lang", "labels", "shipped_instead", "from", "to", "serial", "case", "at")
    }
    values |= {"patient": letter["patient"], "draft": bare, "by": "example"}
    if bare:
        return values | {"diagnosis": "", "request": "", "times": [], "reply": "", "doctor": ""}
    return values | {
        "diagnosis": "Intracerebral hemorrhage (I61.0)",
        "request": "Neurosurgical opinion *and* \\ #bed $x$",
        "times": [[words("referral.requested"), words.moment(REQUESTED)]],
        "reply": "Craniotomy on day 1. " * 30 + "\n\nsecond paragraph",
        "doctor": letter["doctor"]["name"],
    }


def _told(words: Words) -> dict[str, Any]:
    """Everything that can be told."""
    thai = words.language is Language.TH
    told = [
        [words("detail.onset_at"), words.moment(ONSET)],
        [words("detail.bp"), "186/104 mmHg"],
        ["NIHSS", "12"],
        ["GCS", "13"],
        [words("detail.glucose"), "142"],
        ["INR", "1.1"],
        [words("detail.anticoagulant"), words("anticoagulant.warfarin")],
        [words("detail.allergies"), "penicillin"],
    ]
    return {
        "serial": "69-000000",
        "patient": {
            "name": "นางสมมติ ไม่มีตัวตน" if thai else "Example Person",
            "about": words("letter.sex.F") + " · " + words("worklist.age", years=67),
            "hn": "000000",
            "hn_there": "000001",
            "citizen_id": "0000000000000",
            "warns": True,
            "right": "UC",
        },
        "texts": [
            [words("detail.diagnosis"), "Intracerebral hemorrhage (I61.0)"],
            [words("detail.request"), "Neurosurgical opinion *and* \\ #bed $x$ " + "ยาว " * 60],
            [words("detail.history"), "Right hemiparesis, slurred speech\n\nsecond paragraph"],
            [words("detail.treatment"), "nicardipine 5 mg/h"],
        ],
        "told": told,
        "ai": {
            "words": [[words("stroke.any_ich"), words("decision.flag") + " (91%)"]],
            "model": "example-1.0",
            "use": words("hub.intended_use"),
        },
        "reader": words("verdict.agree"),
        "report": "Acute hemorrhage in the left basal ganglia. " * 8,
        "doctor": {
            "name": "พญ.สมมติ" if thai else "Dr Example",
            "licence": "00000",
            "telephone": "0-0000-0000",
        },
        "key_slices": [PICTURE],
    }


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, "WEBP")
    return buffer.getvalue()
