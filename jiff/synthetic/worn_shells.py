"""Glasses, hats and bags fitted to a dressed person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene
from jiff.synthetic import atlas
from jiff.synthetic.bags import bag_shells
from jiff.synthetic.caps import Eye
from jiff.synthetic.glasses import glasses_shells
from jiff.synthetic.hats import hat_shells
from jiff.synthetic.layers import Layered
from jiff.synthetic.slices import Shell
from jiff.synthetic.spec import Worn
from jiff.synthetic.template import Template

_EAR_X, _EAR_Y = 0.079, 0.912
"""Canonical distance from the middle beyond which, and height up to which, a head is ear."""
_LOWEST_Y = -0.05
"""Canonical height down to which a bag's strap may lie on somebody."""


@dataclass(frozen=True)
class WornShell:
    """A shell worn on top of clothes.

    Attributes:
        name: "glasses", "hat", "strap", or "bag." and the bone that bears it.
        shell: scan frame, metres.
        chart: its place in the texture.
    """

    name: str
    shell: Shell
    chart: atlas.Chart


@dataclass(frozen=True, eq=False)
class Wearer:
    """What accessories are fitted to; scan frame, metres.

    Attributes:
        template: topology.
        skin: (template V, 3).
        canonical: (template V, 3) the same on the canonical body.
        layered: skin and clothes.
        hair_sheet: sheet of the hair in ``layered``, -1 without.
        hanging: (N, 3) vertices of hanging hair.
        tails: (M, 3) vertices of a coat's tails or of a skirt.
        eyes: left and right eyeball.
        to_scan: (3, 3) and (3,) that take canonical head coordinates to scan coordinates.
        scale: metres per canonical metre.
        fine: whether there are triangles to spare.
    """

    template: Template
    skin: np.ndarray
    canonical: np.ndarray
    layered: Layered
    hair_sheet: int
    hanging: np.ndarray
    tails: np.ndarray
    eyes: tuple[Eye, Eye]
    to_scan: tuple[np.ndarray, np.ndarray]
    scale: float
    fine: bool

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """Return (N, 3) points of the scan frame in canonical head coordinates."""
        linear, offset = self.to_scan
        return np.asarray((points - offset) @ np.linalg.inv(linear).T)

    def from_head(self, shell: Shell) -> Shell:
        """Return a shell of canonical head coordinates in the scan frame."""
        linear, offset = self.to_scan
        return Shell(shell.vertices @ linear.T + offset, shell.faces, shell.uv, shell.faces_uv)


def _plain(shell: Shell) -> Shell:
    """Return a shell coloured by the middle of a swatch."""
    return Shell(shell.vertices, shell.faces, 0.35 + 0.3 * shell.uv, shell.faces_uv)


def worn_shells(worn: Worn, wearer: Wearer) -> list[WornShell]:
    """Return what somebody wears on top of clothes."""
    shells: list[WornShell] = []
    template, layered = wearer.template, wearer.layered
    columns = 72 if wearer.fine else 44
    head = np.flatnonzero(template.part == 1)
    if worn.glasses is not None:
        x, y, _ = template.canonical[head].T
        ears = wearer.to_head(wearer.skin[head[(np.abs(x) > _EAR_X) & (y < _EAR_Y)]])
        eyes = wearer.to_head(np.stack([eye.center for eye in wearer.eyes]))
        made = glasses_shells(worn.glasses, wearer.to_head(wearer.skin), template.faces, ears, eyes)
        charts = {"frame": atlas.FRAME, "lens": atlas.LENS}
        shells += [WornShell("glasses", _plain(wearer.from_head(s)), charts[name]) for name, s in made]
    if worn.hat is not None:
        strands = np.concatenate([layered.vertices[layered.sheet == wearer.hair_sheet], wearer.hanging])
        made = hat_shells(worn.hat, wearer.to_head(wearer.skin[head]), wearer.to_head(strands), columns)
        for name, shell in made:
            shell = wearer.from_head(shell)
            shells.append(
                WornShell("hat", shell, atlas.HAT)
                if name == "hat"
                else WornShell("hat", _plain(shell), atlas.VISOR)
            )
    if worn.bag is not None:
        source = layered.source
        borne = np.isin(template.part[source], (0, 4, 5)) & (wearer.canonical[source, 1] > _LOWEST_Y)
        trunk = np.concatenate([layered.vertices[borne], wearer.tails])
        own = template.part == 0
        made = bag_shells(
            worn.bag, trunk, wearer.skin[own], wearer.canonical[own], wearer.scale, columns // 2
        )
        for name, shell in made:
            shells.append(
                WornShell(name, _plain(shell), atlas.STRAP)
                if name == "strap"
                else WornShell(name, shell, atlas.BAG)
            )
    return shells


def under_hat(shells: list[WornShell], skin: np.ndarray) -> np.ndarray:
    """Return (N,) bool: points inside a hat."""
    hidden = np.zeros(len(skin), dtype=bool)
    for worn in shells:
        if worn.name == "hat":
            hidden |= inside_mesh(RayScene(worn.shell.vertices, worn.shell.faces), skin)
    return hidden
