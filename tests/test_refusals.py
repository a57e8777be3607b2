"""Bad input, sent to a whole hub: each ends in a stated refusal, and its neighbours are assessed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from model.phantom import Fault, simulate_head
from model.phantom_dicom import DIALECTS, write_series
from model.phantom_vendors import draw_patient
from tests.hub import RunningHub, running_hub, until

SIDE = 256
SPARE_MB = 1500
"""Of the disk, until it is called full: other tests fill and empty it meanwhile."""
REFUSED = {
    Fault.CHILD: "under_18",
    Fault.CONTRAST: "contrast",
    Fault.MISSING_SLICES: "missing_slices",
    Fault.MR: "not_ct",
    Fault.CHEST: "not_head",
    Fault.TRUNCATED_PIXELS: "undecodable",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub"), package=tiny_package) as running:
        yield running


def written(folder: Path, *faults: Fault, slices: int = 28) -> tuple[str, list[Path]]:
    """A study on disk: its Study Instance UID and its files."""
    uid = str(generate_uid())
    head = simulate_head(7, side=SIDE, slices=slices, faults=faults)
    age = 12.0 if Fault.CHILD in faults else 60.0
    return uid, write_series(
        head, folder, dialect=DIALECTS[0], patient=draw_patient(7, age=age), study_uid=uid
    )


@pytest.mark.parametrize("fault", list(REFUSED), ids=lambda fault: fault.value)
def test_study_is_refused_with_the_reason(hub: RunningHub, tmp_path: Path, fault: Fault) -> None:
    uid, paths = written(tmp_path, fault)
    hub.send(paths)
    result = hub.result(uid)
    assert result["state"] == "refused"
    assert REFUSED[fault] in result["reasons"]


def test_study_of_one_slice_is_refused(hub: RunningHub, tmp_path: Path) -> None:
    uid, paths = written(tmp_path)
    hub.storescu(paths[14:15])
    result = hub.result(uid)
    assert (result["state"], result["reasons"]) == ("refused", ["too_few_slices"])


def test_text_and_truncated_files_do_not_harm_their_neighbours(hub: RunningHub, tmp_path: Path) -> None:
    uid, paths = written(tmp_path / "whole")
    text = tmp_path / "letter.dcm"
    text.write_text("Dear colleague, please find enclosed")
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(paths[0].read_bytes()[:700])
    sent = hub.send([*paths[:5], text, cut, *paths[5:]])
    assert sent.returncode == 1
    assert "letter.dcm" in sent.stderr
    assert "cut.dcm" in sent.stderr
    assert hub.result(uid)["state"] in ("flagged", "clear", "review")
    study = hub.study(uid)
    assert study is not None
    assert study["instances"] == len(paths)


def test_unknown_caller_is_rejected(hub: RunningHub, tmp_path: Path) -> None:
    uid, paths = written(tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        hub.storescu(paths, calling="STRANGER")
    assert b"Calling AE Title Not Recognized" in refused.value.stderr
    assert hub.study(uid) is None


def test_child_and_adult_at_once_are_told_apart(hub: RunningHub, tmp_path: Path) -> None:
    child, child_paths = written(tmp_path / "child", Fault.CHILD)
    adult, adult_paths = written(tmp_path / "adult")
    hub.storescu([path for pair in zip(child_paths, adult_paths, strict=True) for path in pair])
    assert hub.result(child)["reasons"] == ["under_18"]
    assert hub.result(adult)["state"] in ("flagged", "clear", "review")


def test_full_disk_refuses_and_loses_nothing(tmp_path: Path, tiny_package: Path) -> None:
    uid, paths = written(tmp_path / "study")
    reserve = max(1, shutil.disk_usage(tmp_path).free // 1_000_000 - SPARE_MB)
    with running_hub(tmp_path / "hub", package=tiny_package, HUB_DISK_RESERVE_MB=str(reserve)) as hub:
        hub.storescu(paths[:10])
        until(lambda: hub.study(uid), seconds=20, hint="the study is shown")
        filler = tmp_path / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * SPARE_MB * 1_000_000)
        sent = hub.send(paths[10:])
        assert sent.returncode == 1
        assert "status A700" in sent.stderr
        assert hub.client.get("/readyz").json()["parts"]["disk"] == "failing"
        filler.unlink()
        assert hub.client.get("/readyz").json()["parts"]["disk"] == "ok"
        hub.storescu(paths)

        def whole() -> bool:
            study = hub.study(uid)
            return study is not None and study["instances"] == len(paths)

        until(whole, seconds=30, hint="all slices are in the hub")
        assert hub.result(uid)["state"] in ("flagged", "clear", "review")
