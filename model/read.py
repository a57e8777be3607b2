"""Read head CT in any form with a model package: `python -m model.read PACKAGE INPUT...`

An input is a NIfTI file (Hounsfield units or 8 bit), a folder of 8-bit pictures of one study, or a folder of
DICOM; with --each, every entry of the given folders is such an input. One line of JSON is printed for each:

    study        name of the file or folder
    decision     flag, review, clear; or refused, with `refusals`, where the hub would not have assessed it
    answer       flag, review or clear whatever the refusals; null where the pixels could not be read
    probabilities  by stroke type that the package is proven for, calibrated
    unproven       by other stroke type, for research
    slices       name, height in mm, scores and the box of the suspected bleed in fractions of the picture
    notes        what was unusual, assumed or estimated

The window of 8-bit pictures is recognised over all inputs of one folder together unless --window gives it.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from model import eightbit
from model.detect import Detector
from model.engine import Outputs
from model.forms import Wanted, brain_greys, form_of, load_study
from model.stroke import Prediction, StrokeType
from model.transforms import ModelInput
from model.volume import UnreadableStudy
from model.weights import BadArtefact

STUDIES_FOR_WINDOW = 12
"""So many studies of a folder are looked at to recognise their window."""


class OpenDetector(Detector):
    """A detector that keeps the bare outputs of its last study: `detect` is silent on what is not proven."""

    last: Outputs

    def run(self, shown: ModelInput) -> Outputs:
        """The network's bare outputs, kept."""
        self.last = super().run(shown)
        return self.last


def read(detector: OpenDetector, path: Path, wanted: Wanted | None = None) -> dict[str, Any]:
    """Read one study in any form; what cannot be read is said, not raised."""
    row: dict[str, Any] = {"study": path.name, "model": detector.artefact.name}
    try:
        study = load_study(path, wanted)
    except UnreadableStudy as error:
        refusals, text = [str(refusal) for refusal in error.refusals], str(error)
        return {**row, "decision": "refused", "answer": None, "refusals": refusals, "text": text}
    except (ValueError, OSError) as error:
        return {**row, "decision": "refused", "answer": None, "refusals": ["unreadable"], "text": str(error)}
    prediction = detector.detect(study.volume)
    refusals = [str(refusal) for refusal in study.refusals]
    return {
        **row,
        "form": study.form,
        "decision": "refused" if refusals else str(prediction.decision),
        "answer": str(prediction.decision),
        "refusals": refusals,
        **_probabilities(detector, prediction),
        "pixel_mm": round(study.volume.spacing_mm[1], 4),
        "slice_mm": round(study.volume.spacing_mm[0], 3),
        "window": study.window,
        "slices": [
            {
                "name": each.sop_instance_uid,
                "z_mm": round(each.z_mm, 1),
                "scores": {str(kind): round(value, 4) for kind, value in each.probabilities.items()},
                "box": None if each.box is None else [round(edge, 4) for edge in each.box],
            }
            for each in prediction.slices
        ],
        "notes": [{"code": note.code, "text": note.text} for note in prediction.notes],
    }


def _probabilities(detector: OpenDetector, prediction: Prediction) -> dict[str, Any]:
    calibrations = detector.artefact.calibrations
    proven = {
        str(s.stroke_type): round(s.probability, 5) for s in prediction.scores if s.probability is not None
    }
    bare = zip(StrokeType, detector.last.study, strict=True)
    unproven = {str(kind): round(calibrations[kind].probability(float(logit)), 5) for kind, logit in bare}
    return {
        "probabilities": proven,
        "unproven": {kind: value for kind, value in unproven.items() if kind not in proven},
    }


def recognise(paths: Iterable[Path]) -> dict[Path, eightbit.Window]:
    """The window of each folder of pictures, recognised over those that lie side by side."""
    beside: dict[Path, list[Path]] = {}
    for path in paths:
        if form_of(path) == "pictures":
            beside.setdefault(path.parent, []).append(path)
    windows = {}
    for folders in beside.values():
        brains = []
        for folder in folders[:: max(1, len(folders) // STUDIES_FOR_WINDOW)]:
            try:
                brains.append(brain_greys(folder))
            except (ValueError, OSError):
                continue  # it is read again, and its line then says what is wrong
        windows.update(dict.fromkeys(folders, eightbit.recognise_window(brains)))
    return windows


def read_all(detector: OpenDetector, paths: Sequence[Path], wanted: Wanted) -> Iterable[dict[str, Any]]:
    """Read studies one after the other."""
    windows = {} if wanted.window else recognise(paths)
    for path in paths:
        known = Wanted(windows.get(path, wanted.window), wanted.pixel_mm, wanted.slice_mm)
        yield read(detector, path, known)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a study; exit code 0, 1 if a study could not be read at all, 2 without a model."""
    parser = argparse.ArgumentParser(
        prog="python -m model.read", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+", metavar="INPUT")
    parser.add_argument("--each", action="store_true", help="the inputs are folders of studies")
    parser.add_argument("--window", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of 8-bit pictures")
    parser.add_argument("--pixel-mm", type=float, help="pixel size of pictures")
    parser.add_argument("--slice-mm", type=float, help="distance of their slices")
    parser.add_argument("--engine", choices=("auto", "openvino", "onnxruntime", "torch"), default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    missing = [path for path in options.inputs if not path.exists()]
    if missing:
        print(f"no such input: {missing[0]}", file=sys.stderr)
        return 2
    try:
        detector = OpenDetector(options.package, options.engine, threads=options.threads)
    except (OSError, BadArtefact) as error:
        print(f"cannot read with {options.package}: {error}", file=sys.stderr)
        return 2
    paths = [each for path in options.inputs for each in (sorted(path.iterdir()) if options.each else [path])]
    window = None if options.window is None else (options.window[0], options.window[1])
    failed = False
    for row in read_all(detector, paths, Wanted(window, options.pixel_mm, options.slice_mm)):
        print(json.dumps(row), flush=True)
        failed |= row["answer"] is None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
