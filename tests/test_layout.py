"""The floors of the package: arrows go down only, nothing goes in circles, private names stay at home."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("jiff.base",),
    ("jiff.options",),
    ("jiff.run", "jiff.assets"),
    ("jiff.geometry", "jiff.ops"),
    ("jiff.metrics", "jiff.render"),
    ("jiff.body", "jiff.models"),
    ("jiff.perception", "jiff.synthetic"),
    ("jiff.face",),
    ("jiff.photo",),
    ("jiff.data",),
    ("jiff.training", "jiff.inference", "jiff.check", "jiff.report"),
    ("jiff.pipelines",),
    ("jiff.api",),
    ("jiff_cli",),
)
BESIDE = {("jiff.metrics", "jiff.render"), ("jiff.report", "jiff.check")}
"""Packages of one floor of which the first may use the second."""
FACE_ORDER = ("jiff.face.detect", "jiff.face.fit", "jiff.face.models")
"""Inside ``jiff.face`` each of these may use those before it; what they share lies beside them."""
MOST_LINES = 350


class Import(NamedTuple):
    """One imported name: by which module, from which module, and whether it runs on import."""

    by: str
    module: str
    name: str | None
    line: int


def _modules() -> dict[str, Path]:
    found = {}
    for top in ("jiff", "jiff_cli"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


@cache
def _imports() -> tuple[Import, ...]:
    found = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    inner = full in MODULES
                    found.append(
                        Import(
                            module, full if inner else node.module, None if inner else alias.name, node.lineno
                        )
                    )
            elif isinstance(node, ast.Import):
                found.extend(Import(module, alias.name, None, node.lineno) for alias in node.names)
    return tuple(item for item in found if item.module.split(".")[0] in ("jiff", "jiff_cli"))


def _package(module: str) -> str:
    return (
        module
        if module == "jiff"
        else "jiff_cli"
        if module.startswith("jiff_cli")
        else ".".join(module.split(".")[:2])
    )


def _floor(package: str) -> int | None:
    return next((number for number, packages in enumerate(FLOORS) if package in packages), None)


def test_every_package_has_its_floor() -> None:
    homeless = {_package(module) for module in MODULES if _floor(_package(module)) is None} - {"jiff"}
    assert not homeless
    assert [path.name for path in (ROOT / "jiff").glob("*.py")] == ["__init__.py"]


def test_arrows_go_down() -> None:
    wrong = []
    for item in _imports():
        above, below = _package(item.by), _package(item.module)
        if above == below or below == "jiff" or above == "jiff":
            continue
        high, low = _floor(above), _floor(below)
        assert high is not None and low is not None
        if high < low or (high == low and (above, below) not in BESIDE):
            wrong.append(f"{item.by}:{item.line} imports {item.module}")
    assert not wrong, "\n".join(wrong)


def test_face_models_use_fits_and_fits_use_detection() -> None:
    wrong = []
    for item in _imports():
        inside = [
            next((i for i, p in enumerate(FACE_ORDER) if m.startswith(p + ".")), None)
            for m in (item.by, item.module)
        ]
        shared = item.by.startswith("jiff.face.") and inside[0] is None and inside[1] is not None
        if shared or (inside[0] is not None and inside[1] is not None and inside[0] < inside[1]):
            wrong.append(f"{item.by}:{item.line} imports {item.module}")
    assert not wrong, "\n".join(wrong)


def test_nothing_goes_in_circles() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for item in _imports():
        if item.module in MODULES and item.module != item.by and item.by not in (item.module, "jiff"):
            graph[item.by].add(item.module)
    state: dict[str, int] = {}
    circles: list[str] = []

    def visit(module: str, path: list[str]) -> None:
        state[module] = 1
        for other in sorted(graph[module]):
            if state.get(other) == 1:
                circles.append(" -> ".join([*path[path.index(other) :], other]))
            elif other not in state:
                visit(other, [*path, other])
        state[module] = 2

    for module in MODULES:
        if module not in state:
            visit(module, [module])
    assert not circles, "\n".join(circles)


def test_private_names_stay_at_home() -> None:
    wrong = [
        f"{item.by}:{item.line} imports {item.module}.{item.name}"
        for item in _imports()
        if item.name is not None and item.name.startswith("_") and item.name != "__version__"
    ]
    assert not wrong, "\n".join(wrong)


def test_pipelines_import_at_their_top() -> None:
    lazy = []
    for module, path in MODULES.items():
        if not module.startswith("jiff.pipelines"):
            continue
        for outer in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lazy += [
                    f"{module}:{node.lineno}"
                    for node in ast.walk(outer)
                    if isinstance(node, (ast.Import, ast.ImportFrom))
                ]
    assert not lazy, "\n".join(lazy)


@pytest.mark.parametrize("start", ["jiff.base", "jiff.options"])
def test_lower_floors_import_no_arrays(start: str) -> None:
    names = [m for m in MODULES if m == start or m.startswith(start + ".")]
    if start == "jiff.base":
        # The one reader of pickles builds arrays.
        names.remove("jiff.base.restricted_pickle")
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint([n for n in ('torch', 'numpy', 'cv2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_geometry_needs_no_torch() -> None:
    names = [
        m
        for m in MODULES
        if m.startswith(("jiff.geometry", "jiff.render", "jiff.face", "jiff.photo", "jiff.run"))
    ]
    names = [m for m in names if m != "jiff.face.models.coeff_net" and m != "jiff.face.models.coeff_fit"]
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


def test_files_are_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in MODULES.values()
    }
    tests = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "tests").glob("*.py")
    }
    assert not {name: length for name, length in {**lengths, **tests}.items() if length > MOST_LINES}
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] <= 150


def test_every_file_of_the_package_is_installed_with_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    patterns = re.findall(r'"([^"]+)"', text.split("[tool.setuptools.package-data]")[1].split("[tool.")[0])
    for package in ("jiff", "jiff_cli"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                name = path.relative_to(ROOT / package).as_posix()
                assert any(fnmatch.fnmatch(name, pattern.removeprefix("**/")) for pattern in patterns), path
