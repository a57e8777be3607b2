"""Scores that were made elsewhere are read back as they were written."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from training.scores import read_scores


def row(part: str, case: str) -> dict[str, Any]:
    return {
        "part": part,
        "case": case,
        "source": "sich",
        "patient": case,
        "labels": {"any_ich": 1},
        "logits": [0.5] * 11,
        "embedding": [0.1, 0.2],
        "hits": [True],
    }


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path


PARTS = [row("train", "a"), row("calibration", "b"), row("test", "c")]


def test_counts_come_from_the_rows(tmp_path: Path) -> None:
    scores = read_scores(write(tmp_path / "scores.jsonl", *PARTS))
    assert scores.sources["train"] == Counter({"sich": 1})
    assert scores.held_out == {"calibration": ["b"], "test": ["c"]}


def test_a_first_row_tells_of_more_cases_than_were_scored(tmp_path: Path) -> None:
    told = {"cases": {"sich": 66, "simulated": 4000}}
    scores = read_scores(write(tmp_path / "scores.jsonl", told, *PARTS))
    assert scores.sources["train"] == {"sich": 66, "simulated": 4000}
    assert scores.sources["test"] == Counter({"sich": 1})
    assert [len(scores.calibration), len(scores.test), len(scores.embeddings)] == [1, 1, 1]


def test_a_row_of_no_part_names_what_is_missing(tmp_path: Path) -> None:
    broken = {key: value for key, value in row("test", "c").items() if key != "logits"}
    with pytest.raises(KeyError, match="logits"):
        read_scores(write(tmp_path / "scores.jsonl", row("train", "a"), broken))
