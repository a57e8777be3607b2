"""A package is taken in whole and proven, or refused with nothing left behind."""

import io
import shutil
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from model.weights import digest, seal
from service.accounts import Role, add_account, issue_token
from service.app import create_app
from service.db import session_scope
from service.errors import BadRequest
from service.model_packages import take_in
from service.settings import Settings
from tests.model.packages import make_package
from tests.service.api.conftest import TestClient
from tests.service.factories import UDON

pytestmark = pytest.mark.one_database  # the registry is tested beside it


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    for seed in range(2):
        make_package(place / f"tiny-0.{seed}.0", name=f"tiny-0.{seed}.0", seed=seed)
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()
    }


def test_every_file_is_copied_and_the_copy_is_proven(packages: Path, tmp_path: Path) -> None:
    package = packages / "tiny-0.1.0"
    taken = take_in(package, tmp_path, threads=1)
    assert (taken.name, taken.digest) == ("tiny-0.1.0", digest(package))
    assert taken.folder == f"models/tiny-0.1.0+{taken.digest[:8]}"
    assert files(tmp_path / taken.folder) == files(package)
    assert taken.golden_off_by < 0.01
    assert take_in(package, tmp_path, threads=1) == taken
    assert len(list((tmp_path / "models").iterdir())) == 1


def test_one_whose_golden_studies_do_not_reproduce_is_refused_with_the_figure(
    packages: Path, tmp_path: Path
) -> None:
    lies = tmp_path / "lies"
    shutil.copytree(packages / "tiny-0.1.0", lies)
    shutil.copy(packages / "tiny-0.0.0" / "golden" / "expected.json", lies / "golden")
    seal(lies)
    with pytest.raises(BadRequest, match=r"golden studies within 0\.01: .*off by 0\.\d+"):
        take_in(lies, tmp_path / "data", threads=1)
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_a_folder_that_is_no_package_or_was_changed_is_refused(packages: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"holds no MANIFEST\.sha256"):
        take_in(packages, tmp_path)
    changed = tmp_path / "changed"
    shutil.copytree(packages / "tiny-0.1.0", changed)
    (changed / "notes.txt").write_text("x")
    with pytest.raises(BadRequest, match=r"does not list: \['notes\.txt'\]"):
        take_in(changed, tmp_path)
    make_package(tmp_path / "odd", name="../../odd")
    with pytest.raises(BadRequest, match="one part of a path"):
        take_in(tmp_path / "odd", tmp_path)
    assert not (tmp_path / "models").exists()


def zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for each in folder.rglob("*"):
            archive.write(each, each.relative_to(folder.parent))
    return packed.getvalue()


def test_one_sent_over_http_is_proven_apart_and_registered_or_refused_with_nothing_left(
    packages: Path, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    with session_scope(engine) as session:
        key = issue_token(session, add_account(session, "team", Role.ML))
        near = issue_token(session, add_account(session, "near", Role.ML, hcode=UDON))
    client = TestClient(create_app(settings, engine=engine), headers={"Authorization": f"Bearer {key}"})
    package, kind = packages / "tiny-0.1.0", {"Content-Type": "application/zip"}
    theirs = kind | {"Authorization": f"Bearer {near}"}
    assert client.post("/api/v1/models", content=b"PK", headers=theirs).status_code == 403
    made = client.post("/api/v1/models", content=zipped(package), headers=kind)
    assert made.status_code == 201, made.text
    said = made.json()
    assert (said["name"], said["digest"], said["state"]) == ("tiny-0.1.0", digest(package), "candidate")
    kept = settings.data / "models" / f"tiny-0.1.0+{said['digest'][:8]}"
    assert files(kept) == files(package)

    other = tmp_path / "other"
    shutil.copytree(packages / "tiny-0.0.0", other)
    (other / "model_card.md").write_text("proven for everything")
    refused = client.post("/api/v1/models", content=zipped(other), headers=kind)
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("the package is refused: other/model_card.md has sha256 ")
    assert client.post("/api/v1/models", json={}).status_code == 415
    assert [each["name"] for each in client.get("/api/v1/models").json()] == ["tiny-0.1.0"]
    assert sorted(each.name for each in kept.parent.iterdir()) == [".arriving.lock", kept.name]
