"""Putting the parts of a made person together into one mesh with one atlas."""

from __future__ import annotations

import numpy as np

from jiff.synthetic import atlas
from jiff.synthetic.layers import Layered
from jiff.synthetic.slices import Shell
from jiff.synthetic.template import Template


class Assembly:
    """A person's mesh, part by part: layered body and clothes first, then shells, caps and fans."""

    def __init__(self, layered: Layered, template: Template) -> None:
        self.vertices = [layered.vertices]
        self.count = len(layered.vertices)
        self.uv = [template.uv]
        self.uv_count = len(template.uv)
        outside = layered.face_kind == 0
        self.faces = [layered.faces[outside]]
        self.faces_uv = [template.faces_uv[layered.face_source[outside]]]
        for kind in (1, 2):
            for layer in np.unique(layered.face_label[layered.face_kind == kind]):
                chosen = (layered.face_kind == kind) & (layered.face_label == layer)
                chart = atlas.swatch(int(layer) + (8 if kind == 2 else 0))
                self._swatch(layered.faces[chosen], chart)

    def _swatch(self, faces: np.ndarray, chart: atlas.Chart) -> None:
        self.faces.append(faces)
        self.faces_uv.append(np.tile(np.arange(3) + self.uv_count, (len(faces), 1)))
        self.uv.append(chart.place(np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.7]])))
        self.uv_count += 3

    def add_shell(self, shell: Shell, chart: atlas.Chart) -> None:
        """Add a surface of its own, textured by a chart."""
        self.vertices.append(shell.vertices)
        self.faces.append(shell.faces + self.count)
        self.faces_uv.append(shell.faces_uv + self.uv_count)
        # A margin keeps what lies beside the chart out of the filter.
        self.uv.append(chart.place(0.015 + 0.97 * shell.uv))
        self.count += len(shell.vertices)
        self.uv_count += len(shell.uv)

    def add_cap(self, loop: np.ndarray, shell: Shell, chart: atlas.Chart) -> None:
        """Close an open border, whose vertices ``loop`` names, by a surface that begins with them."""
        index = np.concatenate([loop, self.count + np.arange(len(shell.vertices) - len(loop))])
        self.vertices.append(shell.vertices[len(loop) :])
        self.faces.append(index[shell.faces])
        self.faces_uv.append(shell.faces_uv + self.uv_count)
        self.uv.append(chart.place(shell.uv))
        self.count += len(shell.vertices) - len(loop)
        self.uv_count += len(shell.uv)

    def add_fan(self, loop: np.ndarray, center: np.ndarray, chart: atlas.Chart) -> None:
        """Close an open border by triangles that meet in one point."""
        self.vertices.append(center[None])
        faces = np.stack([loop, np.roll(loop, -1), np.full(len(loop), self.count)], axis=1)
        self.count += 1
        self._swatch(faces, chart)
