"""Recipes read from TOML, and nonsense is refused by name."""

from pathlib import Path

import pytest

from training.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
SHIPPED = RECIPES / "stroke-ct-0.4.0.toml"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text('name = "t-1"\ncache = "cache"\nout = "out"\n' + text, encoding="utf-8")
    return path


def test_the_shipped_recipe_loads() -> None:
    recipe = load_recipe(SHIPPED)
    assert recipe.name == "stroke-ct-0.4.0"
    assert (recipe.network.side, recipe.network.grid_mm) == (256, 0.9)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_loads_and_names_only_what_it_has(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.num_templates == 0 or recipe.templates is not None
    assert recipe.name.startswith("stroke-ct-")


def test_folders_are_relative_to_the_recipe(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "")).cache == tmp_path / "cache"


def test_the_log_copy_holds_no_paths_of_this_machine(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "")).to_json()["cache"] == "cache"


def test_every_field_is_explained() -> None:
    source = (SHIPPED.parents[1] / "recipe.py").read_text(encoding="utf-8")
    for name in Recipe.__dataclass_fields__:
        line = next(n for n, text in enumerate(source.splitlines()) if text.startswith(f"    {name}:"))
        assert source.splitlines()[line + 1].lstrip().startswith('"""'), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate = 1", "lerning_rate"),
        ("share = { phantom = 0.5 }", "sums to 0.5"),
        ("share = { brain = 1.0 }", "brain"),
        ("share = { sich = 1.0 }", "sich, their folder, is not given"),
        ('precision = "fp8"', "fp8"),
        ("held_out = [0.5, 0.5]", "too few patients"),
        ('assessed = ["flu"]', "flu"),
        ('device = "tpu"', "tpu"),
        ("share = { template = 1.0 }", "templates, their folder, is not given"),
        ("share = { infarct = 1.0 }", "infarct, its folder, is not given"),
        ("share = { real = 1.0 }", "cases, folders of imported studies"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe(write(tmp_path, text))
