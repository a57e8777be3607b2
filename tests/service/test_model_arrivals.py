"""A package's zip: within its limits, and nothing in it that leads elsewhere."""

import stat
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service import model_arrivals
from service.db import session_scope
from service.errors import AlreadyExists, BadRequest, Busy, TooLarge
from service.model_arrivals import Packed, landing, register_taken, unpack
from tests.service.modelling import INTENDED, ML, registered_model

pytestmark = pytest.mark.one_database  # no rows but a name that is there


def zipped(path: Path, names: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in names.items():
            archive.writestr(name, text)
    return path


def test_the_package_is_found_at_the_top_or_in_the_one_folder_there(tmp_path: Path) -> None:
    for number, prefix in enumerate(("", "tiny-0.1.0/")):
        packed = zipped(
            tmp_path / f"{number}.zip", {f"{prefix}MANIFEST.sha256": "x", f"{prefix}a/b.json": "y"}
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        found = unpack(packed, folder)
        assert found == folder / prefix
        assert (found / "a" / "b.json").read_text() == "y"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/out", "a\\..\\out"])
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(BadRequest, match="leads elsewhere"):
        unpack(zipped(tmp_path / "a.zip", {"MANIFEST.sha256": "x", name: "y"}), folder)
    assert list(folder.iterdir()) == []


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("weights")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadRequest, match="'weights', which leads elsewhere"):
        unpack(tmp_path / "a.zip", tmp_path)


def test_what_is_no_zip_or_no_package_or_grows_too_large_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.zip").write_bytes(b"no zip")
    with pytest.raises(BadRequest, match="no zip that can be read"):
        unpack(tmp_path / "none.zip", tmp_path)
    packed = zipped(tmp_path / "a.zip", {"readme": "x" * 1000, "b": ""})
    with pytest.raises(BadRequest, match=r"holds no MANIFEST\.sha256"):
        unpack(packed, tmp_path)
    monkeypatch.setattr(model_arrivals, "LARGEST_UNPACKED", 999)
    with pytest.raises(BadRequest, match="unpacks to 1000 bytes; 999 is the most"):
        unpack(packed, tmp_path)
    monkeypatch.setattr(model_arrivals, "MOST_FILES", 1)
    with pytest.raises(BadRequest, match="holds 2 files; 1 is the most"):
        unpack(packed, tmp_path)


def test_one_at_a_time_no_more_than_fits_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_arrivals, "LARGEST", 10)
    with landing(tmp_path) as place:
        with pytest.raises(Busy), landing(tmp_path):
            pass
        with Packed(place / "package.zip", tmp_path, 0) as packed:
            packed.write(b"x" * 10)
            with pytest.raises(TooLarge, match="more than 10 bytes"):
                packed.write(b"x")
    assert [each.name for each in (tmp_path / "models").iterdir()] == [".arriving.lock"]
    full = Packed(tmp_path / "full.zip", tmp_path, 1 << 62)
    with full, pytest.raises(TooLarge, match="more than 0 bytes"):
        full.write(b"x")


@pytest.mark.parametrize("known", [False, True])
def test_a_package_whose_name_is_taken_does_not_stay(engine: Engine, tmp_path: Path, known: bool) -> None:
    with session_scope(engine) as session:
        there = registered_model(session, "stroke-ct-0.5.0")
        digest, folder = there.digest, there.folder
    for place in (folder, "models/other"):
        (tmp_path / place).mkdir(parents=True)
    sent = {
        "name": "stroke-ct-0.5.0", "digest": digest if known else "f" * 64,
        "folder": folder if known else "models/other", "assessed": INTENDED, "engine": "openvino-fp32",
        "golden_off_by": 0.0,
    }  # fmt: skip
    if known:
        assert register_taken(engine, ML, tmp_path, sent).digest == digest
    else:
        with pytest.raises(AlreadyExists, match="a version of its own"):
            register_taken(engine, ML, tmp_path, sent)
    assert (tmp_path / folder).is_dir()
    assert (tmp_path / "models/other").is_dir() is known
