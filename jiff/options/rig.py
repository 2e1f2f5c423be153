"""Options of the rig that ``jiff reconstruct`` puts into its GLB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jiff.base.config import option
from jiff.base.errors import UsageError

_PANEL = "Rig"


@dataclass(frozen=True, kw_only=True)
class RigOptions:
    """Whether the mesh gets bones, and which."""

    rig: bool = option(
        False,
        help="Hang the mesh of the GLB on the skeleton of the photo's body: T-pose, with the photo's pose as a movement.",
        panel=_PANEL,
    )
    walk: bool = option(False, help="With --rig: a walk on the spot as a second movement.", panel=_PANEL)
    bone_names: Literal["mixamo", "vrm"] = option(
        "mixamo",
        help="With --rig: bones named as Mixamo's, or as VRM 1.0's with its map of the humanoid (VRMC_vrm).",
        panel=_PANEL,
    )

    def check_rig(self, formats: tuple[str, ...]) -> None:
        """Refuse what does nothing.

        Raises:
            UsageError: options of a rig without one, or no GLB to hold it.
        """
        if not self.rig and (self.walk or self.bone_names != "mixamo"):
            raise UsageError("--walk and --bone-names belong to a rig; add --rig.")
        if self.rig and "glb" not in ",".join(formats).lower():
            raise UsageError("--rig: only GLB holds bones; add glb to --format.")
