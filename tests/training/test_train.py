"""Training learns, goes on exactly where it stopped, and leaves out what nobody knows."""

import json
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from model.detect import Detector
from model.export import round_weights, save_weights
from model.network import StrokeNet
from model.weights import load_artefact
from tests.training.cases import SHAPE, small_case
from training.calibrate import shrunk_covariance
from training.data import Split
from training.ema import RunningMean
from training.journal import Journal
from training.loop import Run, has_bf16
from training.loss import label_loss, mask_loss
from training.package import write_package
from training.ranks import join
from training.recipe import Recipe
from training.train import main, train


def make_recipe(folder: Path) -> Recipe:
    return Recipe(
        name="tiny-0.0.1",
        cache=folder / "cache",
        out=folder / "out",
        network=SHAPE,
        precision="fp32",
        stage1_steps=200,
        stage1_batch=12,
        stage2_steps=4,
        stage2_batch=2,
        checkpoint_every=100,
        learning_rate=4e-3,
        positive=0.8,
    )


def make_split() -> Split:
    return Split(
        train=[small_case(seed) for seed in range(10)],
        calibration=[small_case(seed) for seed in range(10, 22)],
        test=[small_case(seed) for seed in range(22, 30)],
    )


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [row["mask"] for row in rows if row["stage"] == 1]


def test_a_tiny_network_learns_a_few_heads_and_becomes_a_package(tmp_path: Path) -> None:
    recipe, split = make_recipe(tmp_path), make_split()
    bleeding = (case for case in map(small_case, range(30, 90)) if (case.masks & 1).sum() > 400)
    split = replace(split, train=list(islice(bleeding, 4)))
    net = train(recipe, split)
    found = losses(recipe.out)
    assert sum(found[-2:]) / 2 < 0.8 * found[0]
    package = tmp_path / "package"
    digest = write_package(recipe, net, split, package)
    artefact = load_artefact(package)
    assert artefact.digest == digest
    assert Detector(package, "openvino", threads=1).engine.startswith("openvino")
    report = json.loads((package / "eval" / "report.json").read_text())
    assert {row["population"] for row in report["figures"]} == {"phantom"}
    assert (package / "model_card.md").read_text().startswith("# tiny-0.0.1")


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    recipe = replace(
        make_recipe(tmp_path), stage1_steps=8, checkpoint_every=4, stage1_batch=4, stage2_steps=2
    )
    split = make_split()
    whole = train(recipe, split).state_dict()
    stopped = replace(recipe, out=tmp_path / "stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.train.report", stop_after(6))
        with pytest.raises(KeyboardInterrupt):
            train(stopped, split)
    again = train(stopped, split).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_training_goes_on_from_the_weights_of_a_package(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "configs").mkdir(parents=True)
    (package / "models").mkdir()
    (package / "configs" / "metadata.json").write_text(json.dumps({"network": asdict(SHAPE)}))
    net = StrokeNet(SHAPE)
    round_weights(net)
    save_weights(package / "models" / "weights.safetensors", net)
    weights = net.state_dict()
    recipe = replace(make_recipe(tmp_path), stage1_steps=0, stage2_steps=0, start=package)
    found = train(recipe, make_split()).state_dict()
    assert all(torch.equal(weights[name], found[name]) for name in weights)


def stop_after(last: int):  # type: ignore[no-untyped-def]
    def report(run: object, stage: int, step: int, **losses: object) -> None:
        if stage == 1 and step == last:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_bf16_is_taken_where_the_processor_has_it_and_never_imitated(tmp_path: Path, precision: str) -> None:
    recipe, net = replace(make_recipe(tmp_path), precision=precision), StrokeNet(SHAPE)
    run = Run(recipe, join("cpu"), net, RunningMean(net, 0.9), Journal(tmp_path, silent=True), 0.0)
    with run.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    wanted = torch.bfloat16 if precision == "bf16" and has_bf16(torch.device("cpu")) else torch.float32
    assert product.dtype == wanted


def test_a_bad_recipe_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.toml").write_text("surprise = 1")
    assert main([str(tmp_path / "bad.toml")]) == 2
    assert "surprise" in capsys.readouterr().err


class TestLoss:
    def test_unknown_labels_pull_nowhere(self) -> None:
        logits = torch.zeros(3, requires_grad=True)
        label_loss(logits, torch.tensor([1.0, float("nan"), 0.0]), smoothing=0.0).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert logits.grad[1] == 0
        assert logits.grad[0] < 0 < logits.grad[2]

    def test_ignored_pixels_pull_nowhere(self) -> None:
        logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
        ignored = torch.zeros(1, 4, 4)
        ignored[0, :2] = 1
        known = torch.tensor([[1.0, 0.0]])
        mask_loss(logits, torch.zeros(1, 2, 4, 4), known, ignored).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert logits.grad[0, 0, :2].abs().sum() == 0
        assert logits.grad[0, 0, 2:].abs().sum() > 0
        assert logits.grad[0, 1].abs().sum() == 0


def test_shrunk_covariance_is_invertible_with_few_samples() -> None:
    samples = np.random.default_rng(0).normal(size=(10, 40))
    covariance = shrunk_covariance(samples)
    assert np.linalg.eigvalsh(covariance).min() > 0
    many = np.random.default_rng(0).normal(size=(20_000, 3)) * np.array([1.0, 2.0, 3.0])
    assert np.allclose(np.diag(shrunk_covariance(many)), [1, 4, 9], rtol=0.05)
