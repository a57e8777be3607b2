"""The cage: what a template that somebody typed cannot do."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service import typesetting
from service.typesetting import BrokenTemplate, typeset, typeset_apart

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


@pytest.fixture
def fonts(tmp_path: Path) -> Path:
    """None but those that the typesetter has in itself."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    return folder


def test_in_the_cage_the_same_bytes_come_out(tmp_path: Path, fonts: Path) -> None:
    source = "Hello"
    template = tmp_path / "own.typ"
    template.write_text(source, encoding="utf-8")
    assert typeset(template, tmp_path, fonts, AT) == typeset_apart(source, tmp_path, fonts, AT)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("a\n#unknown", "line 2: unknown variable"),
        ("#let x = (", "unclosed delimiter"),
        ('#read("/../../../../../../etc/passwd")', "escape the project root"),
        ('#read("/etc/passwd")', "not found"),
        ('#import "@preview/cetz:0.3.0": *', "packages from the net are not taken"),
        ('#include "@local/secret:1.0.0"', "packages from the net are not taken"),
    ],
)
def test_what_is_refused(tmp_path: Path, fonts: Path, source: str, why: str) -> None:
    with pytest.raises(BrokenTemplate, match=why):
        typeset_apart(source, tmp_path, fonts, AT)


def test_a_package_named_in_pieces_reaches_no_server(
    tmp_path: Path, fonts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "*")
        with pytest.raises(BrokenTemplate, match="failed to download"):
            typeset_apart('#let p = "@pre" + "view/cetz:0.3.0"\n#import (p): *', tmp_path, fonts, AT)
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


def test_a_template_without_an_end_is_stopped(
    tmp_path: Path, fonts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typesetting, "WALL_SECONDS", 1.0)
    with pytest.raises(BrokenTemplate, match="not set within 1 s"):
        typeset_apart(
            "#for i in range(100000) { for j in range(100000) { let x = i * j } }", tmp_path, fonts, AT
        )


def test_a_template_that_eats_memory_is_stopped(tmp_path: Path, fonts: Path) -> None:
    with pytest.raises(BrokenTemplate, match="stopped at a limit"):
        typeset_apart("#range(1000000000).len()", tmp_path, fonts, AT)
