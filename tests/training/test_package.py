"""Packages: weights once in fp16, the same answers from every file, nothing sealed that is derived."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from model.calibration import sigmoid
from model.engine import OpenVinoEngine, open_engine
from model.export import round_weights, tensor_places
from model.network import StrokeNet
from model.stroke import StrokeType
from model.weights import (
    SHIPPED,
    BadArtefact,
    graph_of,
    load_artefact,
    load_network,
    read_metadata,
    save_network,
)
from tests.model.packages import SHAPE
from training.package import MOST_ROUNDED, build, main, write_network
from training.recipe import Recipe
from training.scores import read_scores


@pytest.fixture(scope="module")
def package(tiny_package: Path) -> Path:
    return tiny_package


def test_the_graph_holds_no_weights_of_its_own(package: Path) -> None:
    weights = package / "models" / "weights.safetensors"
    assert graph_of(package).stat().st_size < 120_000
    places = tensor_places(weights)
    end = max(offset + length for _, offset, length in places.values())
    assert end == weights.stat().st_size
    halves = sum(length for dtype, _, length in places.values() if dtype == "F16")
    assert halves > 0.9 * sum(length for _, _, length in places.values())


@pytest.mark.parametrize("kind", ["openvino-fp32", "onnxruntime"])
def test_every_runtime_says_what_the_weights_say(package: Path, kind: str) -> None:
    hu = np.random.default_rng(1).normal(30, 20, (5, 64, 64)).astype(np.float32)
    z = np.full((5, 2), 0.4, np.float32)
    found = open_engine(kind, package, graph_of(package), 1).run(hu, z).study
    with torch.inference_mode():
        said = load_network(package)(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])[0][0].numpy()
    assert np.abs(found - said).max() < 1e-4


def test_another_network_of_the_shape_has_the_same_graph_and_its_own_answers(
    package: Path, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    net = StrokeNet(SHAPE)
    save_network(tmp_path, net)
    assert graph_of(tmp_path).read_bytes() == graph_of(package).read_bytes()
    hu = np.random.default_rng(1).normal(30, 20, (5, 64, 64)).astype(np.float32)
    z = np.full((5, 2), 0.4, np.float32)
    found, other = (
        open_engine("onnxruntime", at, graph_of(at), 1).run(hu, z).study for at in (tmp_path, package)
    )
    with torch.inference_mode():
        said = net(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])[0][0].numpy()
    assert np.abs(found - said).max() < 1e-4
    assert np.abs(other - said).max() > 1e-2


def test_rounding_to_half_precision_moves_no_golden_probability_by_a_thousandth(tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = StrokeNet(SHAPE).eval()
    moved = write_network(Recipe("tiny-0.0.1", tmp_path, tmp_path, network=SHAPE), net, tmp_path / "p")
    assert 0 < moved < MOST_ROUNDED


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(5)
    net = StrokeNet(SHAPE).eval()
    with torch.no_grad():
        net.study_head.weight.mul_(3000.0).add_(70_000.0)  # beyond fp16's largest number
    with pytest.raises(ValueError, match="fp16 weights move a probability"):
        write_network(Recipe("tiny-0.0.1", tmp_path, tmp_path, network=SHAPE), net, tmp_path / "p")


def test_rounding_twice_changes_nothing(package: Path) -> None:
    net = load_network(package)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    round_weights(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_shipped_package_lost_less_than_a_thousandth_by_rounding() -> None:
    assert read_metadata(SHIPPED)["rounding"]["largest_probability_difference"] < MOST_ROUNDED


def test_bf16_stays_within_a_hundredth_of_fp32_on_the_shipped_golden_studies() -> None:
    graph = graph_of(SHIPPED)
    half, full = (OpenVinoEngine(graph, threads=1, bf16=bf16) for bf16 in (True, False))
    if half.name != "openvino-bf16":
        pytest.skip("this processor has no bf16")
    for study in load_artefact(SHIPPED).golden():
        one, other = (sigmoid(engine.run(study.hu, study.z).study) for engine in (half, full))
        assert np.abs(one - other).max() < 0.01


def test_the_program_is_derived_and_says_the_same(package: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(package, tmp_path / "tiny-0.0.1"))
    metadata = mine / "configs" / "metadata.json"
    assert "model.pt2" not in (mine / "MANIFEST.sha256").read_text()
    assert main(["export", str(mine), "--out", str(tmp_path / "model.pt2")]) == 0
    program = torch.export.load(tmp_path / "model.pt2").module()
    net = load_network(mine)
    for slices in (3, 7):
        hu, z = torch.randn(1, slices, 64, 64) * 20 + 30, torch.full((1, slices, 2), 0.4)
        with torch.inference_mode():
            assert torch.allclose(program(hu, z)[0], net(hu, z)[0], atol=1e-4)
    # only what the metadata names as derived may lie there unsealed
    shutil.copyfile(tmp_path / "model.pt2", mine / "models" / "model.pt2")
    with pytest.raises(BadArtefact, match=r"model\.pt2"):
        load_artefact(mine)
    text = json.loads(metadata.read_text()) | {"derived": {"models/model.pt2": "a command"}}
    metadata.write_text(json.dumps(text))
    from model.weights import seal

    seal(mine)
    assert load_artefact(mine).name == "tiny-0.0.1"


def write_scores(path: Path, count: int = 40) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        positive = number % 2
        rows.append(
            {
                "part": "test" if number % 4 > 1 else "calibration",
                "case": f"sich-{number}",
                "source": "sich" if positive else "clean",
                "patient": f"p{number // 2}",
                "labels": {"any_ich": positive, "iph": positive},
                "logits": [float(v) for v in rng.normal(3 if positive else -3, 2, len(StrokeType))],
                "embedding": [float(v) for v in rng.normal(0, 1, SHAPE.embedding)],
                "hits": [True] * positive,
            }
        )
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_weights_and_scores_from_elsewhere_become_a_sealed_package(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = StrokeNet(SHAPE)
    torch.save({"ema": net.state_dict()}, tmp_path / "stage2.pt")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "tiny-0.0.9"\ncache = "cache"\nout = "out"\n'
        '[network]\npreset = "tiny"\nside = 64\ngrid_mm = 3.5\nembedding = 16\n'
    )
    scores = write_scores(tmp_path / "scores.jsonl")
    digest = build(recipe, tmp_path / "stage2.pt", tmp_path / "tiny-0.0.9", scores)
    artefact = load_artefact(tmp_path / "tiny-0.0.9")
    assert artefact.digest == digest
    assert artefact.calibrations[StrokeType.ANY_ICH].num_positive == 10
    assert artefact.metadata["held_out"]["test"] == sorted({f"p{n // 2}" for n in range(40) if n % 4 > 1})
    assert set(read_scores(scores).sources["test"]) == {"sich", "clean"}
    shipped = load_network(tmp_path / "tiny-0.0.9").state_dict()
    assert all(
        torch.allclose(value.float(), net.state_dict()[name].float(), atol=1e-3)
        for name, value in shipped.items()
    )


def test_what_cannot_be_built_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path / "absent")]) == 2
    assert "absent holds no MANIFEST" in capsys.readouterr().err
