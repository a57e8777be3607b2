"""A frozen data set: whole or not there, never changed, hashed to the last byte, and leaking nothing."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from labeling.agreement import gwet_ac1
from labeling.answers import Criterion
from labeling.datasheet import datasheet
from labeling.flow import Flow, count_reasons, flow_svg, flow_text
from labeling.manifest import AlreadyFrozen, BadDataSet, Row, canonical, freeze, read_data_set
from labeling.splits import Leak, Part, Shares
from model.stroke import StrokeType

ABOUT = {"name": "r8", "version": 1, "licence": "research only"}
FLOW = Flow(
    uploaded=10, waiting=1, excluded=3, reasons={Criterion.ADULT: 2, Criterion.REPORT: 2}, eligible=6,
    assigned=6, read=5, agreed=3, adjudicated=1, left_out={"patient held out": 1},
    parts={Part.TRAIN: 2, Part.TEST: 1},
)  # fmt: skip


def row(name: str = "s1", patient: str = "p1", part: Part = Part.TRAIN, **changes: Any) -> Row:
    return replace(Row(name, patient, "10671", part, {StrokeType.ANY_ICH: 1}), **changes)


def with_file(folder: Path, name: str, content: bytes) -> tuple[dict[str, str], dict[str, Path]]:
    path = folder / name.replace("/", "-")
    path.write_bytes(content)
    return {name: hashlib.sha256(content).hexdigest()}, {name: path}


def frozen(tmp_path: Path, *rows: Row, files: dict[str, Path] | None = None, **about: Any) -> str:
    return freeze(tmp_path / "v1", rows, {**ABOUT, **about}, files or {}, sheet="# r8\n", picture="<svg/>\n")


class TestFreeze:
    def test_what_is_frozen_is_read_back_equal(self, tmp_path: Path) -> None:
        hashes, files = with_file(tmp_path, "s1/1.dcm", b"pixels")
        first = row(
            files=hashes,
            soft_labels={StrokeType.ANY_ICH: 0.75},
            slice_ranges={StrokeType.IPH: [("1.2", "1.3")]},
            readers=({"id": "r1", "round": 1},),
            onset_to_ct_h=3.5,
        )
        digest = frozen(tmp_path, first, row("s2", "p2", Part.TEST), files=files)
        found = read_data_set(tmp_path / "v1")
        assert (found.digest, found.name, found.version) == (digest, "r8", 1)
        assert found.rows[0].files == hashes
        assert canonical([list(found.rows[0].readers)]) == canonical([[{"id": "r1", "round": 1}]])
        assert (found.rows[0].slice_ranges, found.rows[0].onset_to_ct_h) == (first.slice_ranges, 3.5)
        assert [each.split for each in found.rows] == [Part.TRAIN, Part.TEST]

    def test_the_same_again_changes_nothing_and_another_is_refused(self, tmp_path: Path) -> None:
        first, second = row(), row("s2", "p2")
        digest = frozen(tmp_path, first, second)
        assert frozen(tmp_path, second, first) == digest
        with pytest.raises(AlreadyFrozen, match="a frozen data set is never changed"):
            frozen(tmp_path, first)
        assert read_data_set(tmp_path / "v1").digest == digest

    @pytest.mark.parametrize("name", ["manifest.jsonl", "DATASHEET.md", "flow.svg", "s1/1.dcm"])
    def test_a_changed_byte_is_found(self, tmp_path: Path, name: str) -> None:
        hashes, files = with_file(tmp_path, "s1/1.dcm", b"pixels")
        frozen(tmp_path, row(files=hashes), files=files)
        path = tmp_path / "v1" / name
        assert path.stat().st_mode & 0o222 == 0
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(BadDataSet, match="as it was frozen"):
            read_data_set(tmp_path / "v1")

    def test_the_digest_stands_for_every_byte(self, tmp_path: Path) -> None:
        digests = set()
        for number, changes in enumerate(({}, {"labels": {}}, {"onset_to_ct_h": 1.0}, {"patient_key": "p9"})):
            (tmp_path / str(number)).mkdir()
            digests.add(frozen(tmp_path / str(number), row(**changes)))
        assert len(digests) == 4

    def test_a_file_that_is_not_what_its_row_says_leaves_nothing_behind(self, tmp_path: Path) -> None:
        hashes, files = with_file(tmp_path, "s1/1.dcm", b"pixels")
        files["s1/1.dcm"].write_bytes(b"others")
        with pytest.raises(BadDataSet, match="as it was frozen"):
            frozen(tmp_path, row(files=hashes), files=files)
        assert not (tmp_path / "v1").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["s1-1.dcm"]

    @pytest.mark.parametrize(
        ("rows", "says"),
        [
            ([], "nothing to freeze"),
            ([row(), row()], "'s1' is there twice"),
            ([row(source="dreamt")], "source 'dreamt'"),
            ([row(exclude_reason="operated")], "train with reason 'operated'"),
            ([row(part=Part.LEFT_OUT)], "left_out with reason None"),
            ([row(files={"../out": "0" * 64})], "leads out of the data set"),
            ([row(files={"s1/2": "0" * 64})], "nothing is given for 's1/2'"),
        ],
    )
    def test_rows_that_make_no_sense_are_refused(self, tmp_path: Path, rows: list[Row], says: str) -> None:
        with pytest.raises(BadDataSet, match=says):
            frozen(tmp_path, *rows, files={"../out": tmp_path / "none"})

    def test_planted_duplicates_are_found(self, tmp_path: Path) -> None:
        with pytest.raises(Leak, match="1 patients are in more than one part"):
            frozen(tmp_path, row(), row("s2", "p1", Part.TEST))
        twice = {"s1/1": "0" * 64}
        with pytest.raises(Leak, match="s2 holds a file of another patient"):
            frozen(tmp_path, row(files=twice), row("s2", "p2", files={"s2/1": "0" * 64}))
        with pytest.raises(Leak, match="held-out hospitals"):
            frozen(tmp_path, row(), row("s2", "p2", Part.EXTERNAL))

    def test_what_is_no_data_set_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadDataSet, match="cannot be read as a data set"):
            read_data_set(tmp_path)


class TestFlow:
    def test_the_flow_counts_and_says_why(self) -> None:
        text = flow_text(FLOW)
        assert "Uploaded: 10" in text
        assert "Under 18 years: 2" in text
        assert "a case may have several reasons" in text
        assert "Left out of the data set (patient held out): 1" in text
        assert "อายุต่ำกว่า 18 ปี: 2" in flow_text(FLOW, "th")

    def test_numbers_that_do_not_add_up_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"10 uploaded are not 0 \+ 3 \+ 6"):
            replace(FLOW, waiting=0)
        with pytest.raises(ValueError, match="do not fall"):
            replace(FLOW, read=7)

    def test_the_picture_is_well_formed_and_holds_every_line(self) -> None:
        for language in ("en", "th"):
            root = ElementTree.fromstring(flow_svg(FLOW, language))
            texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
            assert "n = 10" in texts
            assert len([text for text in texts if text]) == len(texts)
            height = float(root.attrib["height"])
            lows = [float(element.attrib["y"]) for element in root.iter("{http://www.w3.org/2000/svg}text")]
            assert max(lows) < height

    def test_reasons_are_counted_by_case(self) -> None:
        counts = count_reasons([[Criterion.REPORT, Criterion.ADULT], [Criterion.REPORT]])
        assert list(counts.items()) == [(Criterion.ADULT, 1), (Criterion.REPORT, 2)]


class TestDatasheet:
    def test_it_says_what_is_in_it_and_what_it_cannot_show(self) -> None:
        rows = [
            row(readers=({"id": "a", "round": 1},)),
            row("s2", "p2", Part.TEST, labels={StrokeType.ANY_ICH: 0, StrokeType.ACUTE_ISCHAEMIA: 0}),
            row("s3", "p3", Part.LEFT_OUT, exclude_reason="patient held out"),
        ]
        shown = [("any_ich", gwet_ac1(["aa", "ap"], "ap")), ("edh", gwet_ac1([], "ap"))]
        text = datasheet("r8", 1, rows, FLOW, Shares(), licence="research only", agreements=shown, suspects=2)
        assert "2 studies of 2 patients from 1 hospitals: 2 real" in text
        assert "**Licence:** research only" in text
        assert "| edh | gwet_ac1 | undefined: no_overlap | 0 |  |" in text
        assert "| any_ich | 1 / 0 / 0 | 0 / 1 / 0 |" in text
        assert "| 10671 | 1 | 0 | 1 | 0 | 0 | 1 |" in text
        assert "kept in one part: 2" in text
        assert "1 studies have neither blood nor an acute infarct" in text
        assert "test: fewer than 30 studies with any_ich" in text
