"""The texts: the same keys in both languages, dates as the reader writes them, static files small."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from service.web.assets import load_assets
from service.web.page import NAVIGATION, TEMPLATES
from service.web.words import Language, Words, texts


def test_both_languages_have_the_same_keys_and_places() -> None:
    thai, english = texts(Language.TH), texts(Language.EN)
    assert thai.keys() == english.keys()
    places = re.compile(r"\{\w+\}")
    differing = [key for key in thai if set(places.findall(thai[key])) != set(places.findall(english[key]))]
    assert differing == []


def test_every_text_that_a_template_names_is_there() -> None:
    known = texts(Language.TH)
    named = {
        (path.name, key)
        for path in Path(TEMPLATES).glob("*.html")
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']\s*[),]""", path.read_text(encoding="utf-8"))
    }
    assert {each for each in named if each[1] not in known} == set()
    assert {f"nav.{entry.key}" for entry in NAVIGATION} <= known.keys()


def test_dates_are_in_the_readers_calendar() -> None:
    thai, english = Words(Language.TH), Words(Language.EN)
    assert (thai.day(date(2026, 11, 22)), english.day(date(2026, 11, 22))) == ("22 พ.ย. 2569", "22 Nov 2026")
    moment = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
    assert english.moment(moment) == "23 Nov 2026 01:30"
    assert english.since(moment, moment + timedelta(hours=2, minutes=5)) == "2 h 05"


def test_the_pages_own_files_are_small() -> None:
    sizes = {name: len(asset.content) for name, asset in load_assets().items()}
    for name, limit in (
        ("label.js", 18_000),
        ("ohif.js", 9_000),
        ("brush.js", 7_000),
        ("tus.min.js", 90_000),
    ):
        assert sizes.pop(name) < limit  # of one page alone
    assert sum(sizes.values()) < 170_000
