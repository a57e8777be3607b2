"""The words of the pages in Thai and English, and dates as the reader writes them.

Thai dates count in the Buddhist era. Thailand has one time, UTC+7, without daylight saving.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from service.thai_time import BUDDHIST_ERA, THAILAND

TEXT = Path(__file__).parent / "text"

_MONTHS = {
    "th": ["ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค."],
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
}


class Language(StrEnum):
    """What the pages speak; Thai comes first."""

    TH = "th"
    EN = "en"


@cache
def texts(language: Language) -> Mapping[str, str]:
    """Every text by its dotted key, such as `worklist.title`."""
    found: dict[str, str] = {}
    _flatten(tomllib.loads((TEXT / f"{language.value}.toml").read_text(encoding="utf-8")), "", found)
    return found


class Words:
    """One reader's language: `words("worklist.title")`, and the texts' {places} filled by keyword."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._texts = texts(language)

    def __call__(self, key: str, /, **values: object) -> str:
        """The text; a key that is missing is a programmer's error and raises KeyError."""
        text = self._texts[key]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return key in self._texts

    def day(self, value: date | None) -> str:
        """22 พ.ย. 2569, or 22 Nov 2026."""
        if value is None:
            return ""
        year = value.year + (BUDDHIST_ERA if self.language is Language.TH else 0)
        return f"{value.day} {_MONTHS[self.language.value][value.month - 1]} {year}"

    def month(self, value: date) -> str:
        """พ.ย. 2569, or Nov 2026."""
        year = value.year + (BUDDHIST_ERA if self.language is Language.TH else 0)
        return f"{_MONTHS[self.language.value][value.month - 1]} {year}"

    def clock(self, value: datetime | None) -> str:
        """13:05, in Thailand."""
        return "" if value is None else value.astimezone(THAILAND).strftime("%H:%M")

    def moment(self, value: datetime | None) -> str:
        """Day and time of day."""
        return "" if value is None else f"{self.day(value.astimezone(THAILAND).date())} {self.clock(value)}"

    def since(self, value: datetime, moment: datetime | None = None) -> str:
        """How long ago: 4 min, 2 h 05, 3 d."""
        minutes = max(0, int(((moment or datetime.now(UTC)) - value).total_seconds()) // 60)
        if minutes < 60:
            return self("time.minutes", n=minutes)
        if minutes < 48 * 60:
            return self("time.hours", h=minutes // 60, m=f"{minutes % 60:02d}")
        return self("time.days", n=minutes // 1440)


def _flatten(table: Mapping[str, Any], prefix: str, found: dict[str, str]) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", found)
        else:
            found[f"{prefix}{key}"] = str(value)
