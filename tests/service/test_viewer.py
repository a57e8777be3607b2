"""The viewer: only the package that was tried is served, fitted to its place, never set up for a demo."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from service import viewer
from service.errors import BadRequest, Unavailable
from service.viewer import WINDOWS, install_viewer, viewer_config

INDEX = (
    '<script>window.PUBLIC_URL="/"</script><link href="/assets/a.png"><script src="/app-config.js"></script>'
    '<script rel="preload" type="module" src="/init-service-worker.js"></script><a href="//x.org">'
)
FILES = {
    "package/dist/index.html": INDEX,
    "package/dist/app.bundle.0123456789abcdef.js": '__webpack_require__.p = "/";',
    "package/dist/app.bundle.css": "src:url(/a.woff2)",
    "package/dist/app-config.js": "demo",
    "package/dist/ort/model.onnx": "x",
    "package/dist/app.js.map": "x",
    "package/package.json": "{}",
}


def pack(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def expect(package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    digest = hashlib.sha512(package.read_bytes()).digest()
    monkeypatch.setattr(viewer, "INTEGRITY", base64.b64encode(digest).decode())
    return package


def test_the_package_is_fitted_to_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = expect(pack(tmp_path / "a.tgz", FILES), monkeypatch)
    for _ in range(2):  # one that is there is replaced
        assert install_viewer(tmp_path / "viewer", package=package) == 3
    folder = tmp_path / "viewer"
    assert {each.name for each in folder.iterdir() if each.suffix != ".gz"} == {
        "index.html", "app.bundle.css", "app.bundle.0123456789abcdef.js",
    }  # fmt: skip
    index = (folder / "index.html").read_text()
    assert 'PUBLIC_URL="/viewer/"' in index
    assert 'href="/viewer/assets/a.png"' in index
    assert 'href="//x.org"' in index
    assert "service-worker" not in index
    assert '.p = "/viewer/"' in (folder / "app.bundle.0123456789abcdef.js").read_text()
    assert "url(/viewer/a.woff2)" in (folder / "app.bundle.css").read_text()
    assert [each.name for each in tmp_path.glob(".viewer-*")] == []


def test_another_package_is_refused_and_what_is_served_stays(tmp_path: Path) -> None:
    (tmp_path / "viewer").mkdir()
    with pytest.raises(BadRequest, match="SHA-512"):
        install_viewer(tmp_path / "viewer", package=pack(tmp_path / "a.tgz", FILES))
    assert (tmp_path / "viewer").is_dir()


def test_a_package_cannot_write_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pack(tmp_path / "a.tgz", {"package/dist/../../../evil.txt": "x"})
    with pytest.raises(BadRequest, match="outside"):
        install_viewer(tmp_path / "viewer", package=expect(package, monkeypatch))
    assert not (tmp_path / "viewer").exists()
    assert not (tmp_path.parent / "evil.txt").exists()


def test_without_npm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="--package"):
        install_viewer(tmp_path / "viewer")


def test_the_configuration_names_this_hub_alone() -> None:
    script = viewer_config("/dicomweb")
    config = json.loads(script.partition("window.config = ")[2].partition(";\n")[0])
    [source] = config["dataSources"]
    assert source["configuration"]["qidoRoot"] == source["configuration"]["wadoRoot"] == "/dicomweb"
    assert "http" not in script
    presets = config["customizationService"][0]["cornerstone.windowLevelPresets"]["$set"]["CT"]
    assert [(each["description"], int(each["window"]), int(each["level"])) for each in presets] == list(
        WINDOWS
    )
    assert "Research use only" in script
