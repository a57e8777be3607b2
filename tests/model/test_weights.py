"""A package is what it was when it was sealed, and every engine reads it alike."""

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from model.detect import Detector
from model.engine import OpenVinoEngine, open_engine
from model.export import round_weights
from model.network import StrokeNet
from model.weights import MANIFEST, SHIPPED, BadArtefact, graph_of, load_artefact, seal
from tests.model.packages import make_network


@pytest.fixture(scope="module")
def sealed(tiny_package: Path) -> tuple[Path, StrokeNet]:
    net = make_network()
    round_weights(net)  # as it is done before they are saved
    return tiny_package, net


@pytest.fixture
def package(sealed: tuple[Path, StrokeNet], tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed[0], tmp_path / "tiny-0.0.1"))


class TestLoadArtefact:
    def test_a_sealed_package_loads(self, package: Path) -> None:
        artefact = load_artefact(package)
        assert artefact.name == "tiny-0.0.1"
        assert artefact.assessed == ("any_ich", "iph")
        assert len(artefact.digest) == 64

    def test_a_changed_file_is_named_with_both_hashes(self, package: Path) -> None:
        with (package / "models" / "weights.safetensors").open("ab") as file:
            file.write(b"x")
        with pytest.raises(
            BadArtefact, match=r"weights\.safetensors has sha256 [0-9a-f]{64}, the manifest says [0-9a-f]{64}"
        ):
            load_artefact(package)

    def test_a_missing_file_is_named(self, package: Path) -> None:
        (package / "calibration.json").unlink()
        with pytest.raises(BadArtefact, match=r"calibration\.json"):
            load_artefact(package)

    def test_a_file_that_nobody_sealed_is_refused(self, package: Path) -> None:
        (package / "extra.py").write_text("print('hello')")
        with pytest.raises(BadArtefact, match=r"extra\.py"):
            load_artefact(package)

    def test_a_folder_without_manifest_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadArtefact, match=MANIFEST):
            load_artefact(tmp_path)

    def test_other_stroke_types_are_refused(self, package: Path) -> None:
        text = (package / "configs" / "metadata.json").read_text().replace('"any_ich"', '"any_bleed"')
        (package / "configs" / "metadata.json").write_text(text)
        seal(package)
        with pytest.raises(BadArtefact, match="any_bleed"):
            load_artefact(package)


class TestGolden:
    def test_a_package_that_says_other_than_it_did_is_refused(self, package: Path) -> None:
        text = (package / "golden" / "expected.json").read_text()
        first = text.split("[")[1].split(",")[0].strip()
        (package / "golden" / "expected.json").write_text(text.replace(first, "9.0", 1))
        seal(package)
        with pytest.raises(BadArtefact, match=r"does not reproduce its golden studies within 0\.01"):
            Detector(package, threads=1)


class TestExport:
    @pytest.mark.parametrize("num_slices", [2, 9, 31])
    def test_openvino_says_what_torch_says(self, sealed: tuple[Path, StrokeNet], num_slices: int) -> None:
        path, net = sealed
        rng = np.random.default_rng(num_slices)
        hu = rng.normal(30, 25, (num_slices, 64, 64)).astype(np.float32)
        z = rng.uniform(0, 1, (num_slices, 2)).astype(np.float32)
        outputs = OpenVinoEngine(graph_of(path), threads=1, bf16=False).run(hu, z)
        with torch.inference_mode():
            expected = net(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])
        found = (outputs.study, outputs.slices, outputs.attention, outputs.masks, outputs.embedding)
        for name, one, other in zip(
            ("study", "slice", "attention", "mask", "embedding"), found, expected, strict=True
        ):
            assert np.abs(one - other[0].numpy()).max() < 1e-3, name

    def test_the_graph_names_no_folder_of_the_machine(self, sealed: tuple[Path, StrokeNet]) -> None:
        graph = (sealed[0] / "models" / "model.onnx").read_bytes()
        assert str(Path(__file__).parents[2]).encode() not in graph

    def test_the_weights_read_back_into_torch(self, sealed: tuple[Path, StrokeNet]) -> None:
        path, net = sealed
        hu, z = np.full((3, 64, 64), 40, np.float32), np.full((3, 2), 0.5, np.float32)
        engine = open_engine("torch", path, graph_of(path), 1)
        with torch.inference_mode():
            expected = net(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])[0][0]
        assert np.allclose(engine.run(hu, z).study, expected.numpy(), atol=1e-5)


class TestShipped:
    def test_the_shipped_package_is_whole_and_small(self) -> None:
        artefact = load_artefact(SHIPPED)
        assert artefact.name == "stroke-ct-0.4.0"
        assert max(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 9_000_000

    def test_it_is_found_as_package_data(self) -> None:
        folder = resources.files("model") / "artefacts" / "stroke-ct-0.4.0"
        assert (folder / MANIFEST).is_file()

    def test_its_card_says_what_it_is_for(self) -> None:
        card = (SHIPPED / "model_card.md").read_text(encoding="utf-8")
        assert "Research use only" in card
        assert "Not assessed" in card
