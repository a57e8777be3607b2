"""A model package: a folder with graph, weights, calibration, golden studies and card, sealed by sha256.

metadata.json      name, version, shape of the network, stroke types, what it was trained on
model.onnx         hu (1, S, H, W) and z (1, S, 2) to study, slice, attention, mask, embedding
weights.pt         the same for torch, read with weights_only
calibration.json   temperature and thresholds by stroke type, with the numbers of studies behind them
ood.npz            mean and precision of the embedding, and the largest usual distance
golden/            simulated studies and what the network says of them
eval/report.json   figures, simulated and real apart
model_card.md
MANIFEST.sha256    one line per file; the digest of the package is the sha256 of this file
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.calibration import TypeCalibration
from model.stroke import StrokeType

if TYPE_CHECKING:
    from model.network import StrokeNet

FloatArray = npt.NDArray[np.float32]
MANIFEST = "MANIFEST.sha256"
SHIPPED = Path(__file__).parent / "artefacts" / "stroke-ct-0.2.0"
"""The package that comes with the hub."""


class BadArtefact(ValueError):
    """A model package is incomplete, was changed, or does not say what it said when it was made."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What embeddings of known studies look like."""

    mean: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    limit: float
    """99th percentile of the distance of held-out studies."""

    def distance(self, embedding: npt.NDArray[np.floating[Any]]) -> float:
        """Mahalanobis distance."""
        away = np.asarray(embedding, np.float64) - self.mean
        return float(np.sqrt(np.maximum(away @ self.precision @ away, 0.0)))


@dataclass(frozen=True, slots=True)
class GoldenStudy:
    """A simulated study in the network's own input, with the study logits it must give."""

    name: str
    hu: FloatArray
    z: FloatArray
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A checked model package."""

    path: Path
    name: str
    digest: str
    metadata: Mapping[str, Any]
    side: int
    grid_mm: float
    calibrations: Mapping[StrokeType, TypeCalibration]
    usual: Usual

    @property
    def onnx(self) -> Path:
        """The graph."""
        return self.path / "model.onnx"

    @property
    def assessed(self) -> tuple[StrokeType, ...]:
        """What the package answers for."""
        return tuple(kind for kind in StrokeType if self.calibrations[kind].assessed)

    def golden(self) -> list[GoldenStudy]:
        """The golden studies, read from disk."""
        expected = json.loads((self.path / "golden" / "expected.json").read_text(encoding="utf-8"))
        studies = []
        for name, logits in sorted(expected.items()):
            with np.load(self.path / "golden" / f"{name}.npz", allow_pickle=False) as arrays:
                hu, z = arrays["hu"].astype(np.float32), arrays["z"].astype(np.float32)
            studies.append(GoldenStudy(name, hu, z, tuple(logits)))
        return studies


def load_artefact(path: Path) -> Artefact:
    """Check and read a model package.

    Raises:
        BadArtefact: a file is missing, unlisted, or its sha256 differs; the text names file and hashes.
    """
    _verify(path)
    metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    if metadata["stroke_types"] != list(StrokeType):
        raise BadArtefact(f"{path.name} speaks of {metadata['stroke_types']}, this hub of {list(StrokeType)}")
    rows = json.loads((path / "calibration.json").read_text(encoding="utf-8"))
    with np.load(path / "ood.npz", allow_pickle=False) as arrays:
        usual = Usual(arrays["mean"], arrays["precision"], float(arrays["limit"]))
    return Artefact(
        path=path,
        name=metadata["name"],
        digest=digest(path),
        metadata=metadata,
        side=metadata["network"]["side"],
        grid_mm=metadata["network"]["grid_mm"],
        calibrations={kind: TypeCalibration(**rows[kind]) for kind in StrokeType},
        usual=usual,
    )


def digest(path: Path) -> str:
    """The sha256 that names a package: that of its manifest."""
    return _sha256(path / MANIFEST)


def seal(path: Path) -> str:
    """Write the manifest over all files of a package, and return its digest."""
    lines = [f"{_sha256(file)}  {file.relative_to(path).as_posix()}" for file in _files(path)]
    (path / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return digest(path)


def save_parts(
    path: Path,
    *,
    metadata: Mapping[str, Any],
    calibrations: Mapping[StrokeType, TypeCalibration],
    usual: Usual,
    report: Mapping[str, Any],
    card: str,
) -> None:
    """Write everything of a package that is not the network itself."""
    (path / "eval").mkdir(parents=True, exist_ok=True)
    _write_json(path / "metadata.json", metadata)
    _write_json(path / "calibration.json", {str(kind): asdict(row) for kind, row in calibrations.items()})
    _write_json(path / "eval" / "report.json", report)
    np.savez(path / "ood.npz", mean=usual.mean, precision=usual.precision, limit=np.float64(usual.limit))
    (path / "model_card.md").write_text(card, encoding="utf-8")


def save_golden(path: Path, studies: list[GoldenStudy]) -> None:
    """Write golden studies; HU are kept as int16."""
    folder = path / "golden"
    folder.mkdir(parents=True, exist_ok=True)
    for study in studies:
        np.savez_compressed(folder / f"{study.name}.npz", hu=study.hu.astype(np.int16), z=study.z)
    _write_json(folder / "expected.json", {study.name: list(study.logits) for study in studies})


def save_network(path: Path, net: "StrokeNet") -> None:
    """Write weights.pt and export model.onnx with a free number of slices."""
    import torch

    from model.engine import OUTPUT_NAMES

    path.mkdir(parents=True, exist_ok=True)
    net.eval()
    torch.save({name: value.contiguous() for name, value in net.state_dict().items()}, path / "weights.pt")
    side = net.shape.side
    example = (torch.zeros(1, 7, side, side), torch.zeros(1, 7, 2))
    slices = torch.export.Dim("slices", min=2, max=512)
    with warnings.catch_warnings():
        # torch's exporter warns of its own deprecated calls, and that hu and z share the name of an axis
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*axis name: slices.*", category=UserWarning)
        program = torch.onnx.export(
            net,
            example,
            dynamo=True,
            opset_version=20,
            input_names=["hu", "z"],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes={"hu": {1: slices}, "z": {1: slices}},
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, which name the folders of the machine
    program.save(path / "model.onnx", external_data=False)


def load_network(path: Path) -> "StrokeNet":
    """The network of a package in torch, ready to read studies."""
    import torch

    from model.network import NetworkShape, StrokeNet

    metadata = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    net = StrokeNet(NetworkShape(**metadata["network"]))
    net.load_state_dict(torch.load(path / "weights.pt", weights_only=True))
    return net.eval()


def _verify(path: Path) -> None:
    if not (path / MANIFEST).is_file():
        raise BadArtefact(f"{path} holds no {MANIFEST}")
    listed: dict[str, str] = {}
    for line in (path / MANIFEST).read_text(encoding="utf-8").splitlines():
        expected, _, name = line.partition("  ")
        listed[name] = expected
    for name, expected in listed.items():
        if not (path / name).is_file():
            raise BadArtefact(f"{path.name}/{name} is listed with sha256 {expected} but missing")
        found = _sha256(path / name)
        if found != expected:
            raise BadArtefact(f"{path.name}/{name} has sha256 {found}, the manifest says {expected}")
    extra = {file.relative_to(path).as_posix() for file in _files(path)} - set(listed)
    if extra:
        raise BadArtefact(f"{path.name} holds files that its manifest does not list: {sorted(extra)}")


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
