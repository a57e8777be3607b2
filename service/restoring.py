"""The mark of a restore under way: while it is there, nothing of the hub starts on that data."""

from pathlib import Path

from service.settings import BadSetting


def mark(data: Path) -> Path:
    """The file in HUB_DATA that is there while a backup is being put back."""
    return data / "restoring.json"


def assert_restored(data: Path) -> None:
    """Refuse data that was half put back.

    Raises:
        BadSetting: the mark is there.
    """
    if mark(data).exists():
        limit = "restored whole; a restore into it was cut off: empty it, and restore again"
        raise BadSetting("data", data, limit)
