"""From a frozen data set to trained weights by the two commands that people type."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread

from labeling.manifest import Row, freeze
from labeling.splits import Part
from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import StrokeType
from training.importers.__main__ import main as importing
from training.train import main as training

RECIPE = """
name = "frozen-0.0.1"
cache = "cache"
out = "out"
cases = ["imported"]
num_phantoms = 0
device = "cpu"
precision = "fp32"
share = { real = 1.0 }
stage1_steps = 2
stage1_batch = 2
stage2_steps = 1
stage2_batch = 1
checkpoint_every = 2

[network]
preset = "tiny"
side = 64
grid_mm = 3.5
embedding = 16
"""


def test_a_frozen_data_set_is_trained_on(tmp_path: Path) -> None:
    rows, files = [], {}
    for seed, part in enumerate([Part.TRAIN, Part.TRAIN, Part.LEFT_OUT], start=1):
        bleeds = seed % 2 == 1
        head = simulate_head(seed, lesions=["iph"] if bleeds else [], side=64, slices=16, spacing_mm=9.0)
        key = f"case-{seed:08d}"
        sent = write_series(
            head, tmp_path / "sent" / key, dialect=DIALECTS[0], patient=draw_patient(seed, 60.0), side=64
        )
        order = sorted(sent, key=lambda path: float(dcmread(path).ImagePositionPatient[2]))
        own = {f"{key}/{path.name}": path for path in order}
        mask = None
        if bleeds:
            mask = f"masks/{key}.npz"
            own[mask] = tmp_path / f"{key}.npz"
            np.savez_compressed(own[mask], iph=head.masks[StrokeType.IPH])
        files |= own
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in own.items()}
        labels = {kind: int(bleeds and kind in ("any_ich", "iph")) for kind in StrokeType}
        reason = "not diagnostic" if part is Part.LEFT_OUT else None
        row = Row(key, f"patient-{seed}", "10671", part, labels, files=hashes, exclude_reason=reason)
        rows.append(replace(row, mask_path=mask))
    about = {"name": "r8", "version": 1}
    freeze(tmp_path / "r8-v1", rows, about, files, sheet="# r8\n", picture="<svg/>\n")
    manifest, grid = str(tmp_path / "r8-v1" / "manifest.jsonl"), ["--side", "64", "--grid-mm", "3.5"]
    assert importing(["frozen", manifest, str(tmp_path / "imported"), *grid]) == 0
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    assert training([str(tmp_path / "recipe.toml"), "--weights-only"]) == 0
    assert (tmp_path / "out" / "weights.safetensors").is_file()
