"""Settings: defaults that work, values that are refused by name."""

from dataclasses import fields
from pathlib import Path

import pytest

from service.settings import BadSetting, Settings, read_settings


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read_settings({"HUB_HTTP_PORT": " "}) == Settings()


def test_every_kind_of_value_is_read() -> None:
    settings = read_settings(
        {"HUB_DATA": "/srv/hub", "HUB_HTTP_PORT": "81", "HUB_LEARN_CALLERS": "yes", "HUB_AE_TITLE": "HUB R8"}
    )
    assert (settings.data, settings.http_port) == (Path("/srv/hub"), 81)
    assert (settings.learn_callers, settings.ae_title) == (True, "HUB R8")


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("HUB_HTTP_PORT", "70000", "1 to 65535"),
        ("HUB_HTTP_PORT", "http", "a whole number"),
        ("HUB_WORKERS", "-1", "0 to 64"),
        ("HUB_LEARN_CALLERS", "maybe", "one of"),
        ("HUB_AE_TITLE", "SEVENTEEN_LETTERS", "1 to 16"),
        ("HUB_AE_TITLE", "A\\B", "1 to 16"),
        ("HUB_LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("HUB_NREFER_URL", "http://refer.moph.go.th/api/his", "https://"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_limit(name: str, value: str, limit: str) -> None:
    with pytest.raises(BadSetting) as refusal:
        read_settings({name: value})
    assert name in str(refusal.value)
    assert repr(value) in str(refusal.value)
    assert limit in str(refusal.value)


def test_a_bad_database_address_does_not_show_its_password() -> None:
    with pytest.raises(BadSetting, match="HUB_DATABASE_URL") as refusal:
        read_settings({"HUB_DATABASE_URL": "mysql://hub:secret@db/hub"})
    assert "secret" not in str(refusal.value)


def test_postgresql_holds_the_jobs_too() -> None:
    settings = read_settings({"HUB_DATABASE_URL": "postgresql://hub@db/hub"})
    assert settings.database == settings.jobs_database == "postgresql+psycopg://hub@db/hub"


def test_places_follow_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert settings.database == f"sqlite:///{tmp_path}/hub.sqlite"
    assert settings.jobs_database == f"sqlite:///{tmp_path}/jobs.sqlite"
    assert settings.inbox == tmp_path / "inbox"
    assert settings.callers == tmp_path / "callers.json"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().http_port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    source = Path("service/settings.py").read_text("utf-8").splitlines()
    for item in fields(Settings):
        at = next(n for n, line in enumerate(source) if line.startswith(f"    {item.name}: "))
        assert source[at + 1].startswith('    """'), item.name
