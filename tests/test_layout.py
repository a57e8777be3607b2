"""The import table of docs/design: who may import whom, and who may use which third party."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "pacs_gateway": set(),
    "labeling": {"model.stroke"},
    "training": {"model", "labeling"},
    "service": {"model", "pacs_gateway", "labeling"},
}

ONLY_IN: dict[str, set[str]] = {
    "sqlalchemy": {"service"},
    "fastapi": {"service"},
    "starlette": {"service"},
    "dbos": {"service"},
    "pynetdicom": {"pacs_gateway"},
    "torch": {"model", "training"},
    "monai": {"model", "training"},
}

FOLDERS = sorted(MAY_IMPORT)


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def allowed(folder: str, name: str) -> bool:
    top = name.partition(".")[0]
    if top == folder or top not in MAY_IMPORT:
        return True
    return any(name == grant or name.startswith(grant + ".") for grant in MAY_IMPORT[folder])


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_imports_only_the_siblings_it_may(folder: str) -> None:
    wrong = [
        (path.name, name)
        for path in modules(folder)
        for name in imported_names(path)
        if not allowed(folder, name)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_third_party_stays_in_its_folder(folder: str) -> None:
    wrong = [
        (path.name, name)
        for path in modules(folder)
        for name in imported_names(path)
        if folder not in ONLY_IN.get(name.partition(".")[0], {folder})
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_module_is_at_most_300_lines(folder: str) -> None:
    long = [
        (path.name, lines)
        for path in modules(folder)
        if "versions" not in path.parts and (lines := len(path.read_text("utf-8").splitlines())) > 300
    ]
    assert long == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_module_opens_with_a_sentence(folder: str) -> None:
    silent = [
        path.name
        for path in modules(folder)
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []
