"""Transparent materials of an MTL: left out and said, unless that would take the person away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from jiff.check.scan import check_scan
from jiff.geometry.io.mesh_io import read_surface


def _scan(folder: Path, lens: str, body: str = "d 1") -> Path:
    ball = trimesh.creation.icosphere(subdivisions=4)
    shell = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
    lines = [f"v {x} {y} {z}" for x, y, z in [*ball.vertices, *(shell.vertices + [0, 0, 3])]]
    lines += ["mtllib a.mtl", "usemtl body"] + [f"f {a} {b} {c}" for a, b, c in ball.faces + 1]
    lines += ["usemtl lens"] + [f"f {a} {b} {c}" for a, b, c in shell.faces + 1 + len(ball.vertices)]
    (folder / "a.obj").write_text("\n".join(lines) + "\n")
    (folder / "a.mtl").write_text(f"newmtl body\nKd 0.8 0.5 0.4\n{body}\nnewmtl lens\nKd 1 1 1\n{lens}\n")
    return folder / "a.obj"


@pytest.mark.parametrize("written", ["d 0.1", "d -halo 0.1", "Tr 0.9", "D 0", "Tr 0\nd 0.2"])
def test_a_clear_part_is_left_out_and_said(tmp_path: Path, written: str) -> None:
    surface = read_surface(_scan(tmp_path, written))
    assert len(surface.notes) == 1 and "lens" in surface.notes[0]
    assert surface.data.positions[:, 2].max() < 1.5


@pytest.mark.parametrize("written", ["d 1", "d 0.9", "Tr 0", "Tr 1\nd 1", "d 1\nTr 1", "d x"])
def test_a_solid_part_stays_without_a_word(tmp_path: Path, written: str) -> None:
    surface = read_surface(_scan(tmp_path, written))
    assert surface.notes == () and surface.data.positions[:, 2].max() > 3


def test_a_person_said_to_be_clear_stays(tmp_path: Path) -> None:
    surface = read_surface(_scan(tmp_path, "d 0", "d 0"))
    assert "not believed" in surface.notes[0] and surface.data.positions[:, 2].max() > 3


def test_open_sheets_around_a_closed_body_are_no_reason_to_reject(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    lines = [f"v {x} {y} {z} 0.5 0.4 0.3" for x, y, z in ball.vertices * [0.3, 0.9, 0.2]]
    faces = [f"f {a} {b} {c}" for a, b, c in ball.faces + 1]
    rng = np.random.default_rng(0)
    for start in rng.uniform(-0.1, 0.1, (900, 3)) + [0, 0.8, 0]:
        count = len(lines)
        lines += [f"v {x} {y} {z} 0.1 0.1 0.1" for x, y, z in start + rng.uniform(-0.02, 0.02, (3, 3))]
        faces.append(f"f {count + 1} {count + 2} {count + 3}")
    path = tmp_path / "a.obj"
    path.write_text("\n".join(lines + faces) + "\n")
    item = check_scan("a", path)
    assert item.facts["open_edges"] > 0.1
    assert not any("open" in reason for reason in item.problems if "sheets" not in reason)
    assert any("sheets" in reason for reason in item.problems)
    # The body itself open: no use.
    path.write_text("\n".join(lines + faces[::2]) + "\n")
    assert any("close the surface" in reason for reason in check_scan("a", path).problems)
