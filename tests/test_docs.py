"""The README says what the code does: every setting, every command, every folder."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from service.__main__ import COMMANDS, build_app
from service.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [item.name for item in fields(Settings)])
def test_readme_names_setting(name: str) -> None:
    assert f"`HUB_{name.upper()}`" in README


def test_readme_names_no_setting_that_does_not_exist() -> None:
    known = {f"HUB_{item.name.upper()}" for item in fields(Settings)}
    of_tests = {"HUB_TEST_DATA", "HUB_TEST_DATABASE_URL", "HUB_TEST_PROCESSES", "HUB_TEST_RANDOM"}
    assert set(re.findall(r"HUB_[A-Z_]+", README)) <= known | of_tests


def test_every_command_is_known_by_its_name() -> None:
    assert set(get_command(build_app()).commands) == set(COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_readme_names_command(command: str) -> None:
    assert f"hub {command}" in README


def test_readme_names_every_folder() -> None:
    for folder in ("service", "model", "pacs_gateway", "labeling", "training", "benchmarks", "tests"):
        assert f"`{folder}" in README


def test_links_of_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
