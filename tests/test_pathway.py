"""From C-STORE to a result, over real sockets, with real processes, on real and simulated head CT."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pacs_gateway.headers import read_header
from tests.hub import RunningHub, real_ct, running_hub, until

REAL = ("haemorrhage-ct", "normal-ct", "infarct-ct", "contrast-ct")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


def uid_of(paths: list[Path]) -> str:
    return read_header(paths[0]).study_instance_uid


def finding(result: dict[str, Any], stroke_type: str) -> dict[str, Any]:
    return next(each for each in result["findings"] if each["stroke_type"] == stroke_type)


class TestRealHeadCt:
    def test_haemorrhage_is_flagged_and_its_duplicates_are_counted(self, hub: RunningHub) -> None:
        paths = real_ct("haemorrhage-ct")
        hub.storescu(paths)
        result = hub.result(uid_of(paths))
        assert result["state"] == "flagged"
        assert finding(result, "any_ich")["decision"] == "flag"
        study = hub.study(uid_of(paths))
        assert study is not None
        assert (study["instances"], study["duplicates"]) == (36, 17)

    def test_sloppy_headers_of_a_normal_study_are_received(self, hub: RunningHub) -> None:
        paths = real_ct("normal-ct")
        hub.storescu(paths)
        result = hub.result(uid_of(paths))
        assert result["state"] in ("clear", "review")

    def test_contrast_study_is_decoded_and_refused_with_the_reason(self, hub: RunningHub) -> None:
        paths = real_ct("contrast-ct")
        hub.storescu(paths)
        result = hub.result(uid_of(paths))
        assert result["state"] == "refused"
        assert result["reasons"] == ["contrast", "missing_slices"]
        assert "88 of 139 slices" in next(n["text"] for n in result["notes"] if n["code"] == "refused")
        assert "undecodable" not in result["reasons"]

    def test_infarct_is_not_a_bleed_and_its_geometry_is_noted(self, hub: RunningHub) -> None:
        paths = real_ct("infarct-ct")
        hub.storescu(paths)
        result = hub.result(uid_of(paths))
        assert result["state"] in ("flagged", "review", "clear")
        assert finding(result, "acute_ischaemia")["decision"] == "not_assessed"
        codes = {note["code"] for note in result["notes"]}
        assert {"uneven_spacing", "gantry_tilt"} <= codes

    def test_key_slices_are_small_pictures(self, hub: RunningHub) -> None:
        paths = real_ct("haemorrhage-ct")
        hub.storescu(paths)
        hub.result(uid_of(paths))
        picture = hub.client.get(f"/api/v1/studies/{uid_of(paths)}/key-slices/1.webp")
        assert picture.headers["content-type"] == "image/webp"
        assert 1_000 < len(picture.content) < 60_000


class TestSentTwiceAndMixed:
    def test_four_studies_interleaved_over_associations_are_four_studies(
        self, tmp_path: Path, tiny_package: Path
    ) -> None:
        studies = {name: real_ct(name) for name in REAL}
        uids = {name: uid_of(paths) for name, paths in studies.items()}
        mixed = [path for group in zip_longest_paths(list(studies.values())) for path in group]
        with running_hub(tmp_path / "hub", package=tiny_package) as hub:
            first = send_mixed(hub, mixed, uids)
            second = send_mixed(hub, mixed, uids)
            listed = hub.get("/api/v1/studies")["studies"]
        assert sorted(each["study_instance_uid"] for each in listed) == sorted(uids.values())
        for name in REAL:
            assert second[name] == first[name], name


def send_mixed(hub: RunningHub, mixed: list[Path], uids: dict[str, str]) -> dict[str, Any]:
    """Send over four associations, every study spread over all of them; what is said of each study."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hub.storescu, [mixed[start::4] for start in range(4)]))
    said = {}
    for name, uid in uids.items():
        settled(hub, uid)
        result = hub.result(uid)
        study = hub.study(uid)
        assert study is not None
        probabilities = {f["stroke_type"]: f["probability"] for f in result["findings"]}
        said[name] = (result["state"], result["reasons"], probabilities, study["instances"])
    return said


def settled(hub: RunningHub, uid: str) -> None:
    """Wait until nothing of the study is on its way."""

    def quiet() -> bool:
        study = hub.study(uid)
        return study is not None and study["state"] not in ("receiving", "ready", "analysing")

    until(quiet, seconds=60, hint=f"study {uid} at rest")


def zip_longest_paths(groups: list[list[Path]]) -> list[list[Path]]:
    longest = max(map(len, groups))
    return [[group[index] for group in groups if index < len(group)] for index in range(longest)]
