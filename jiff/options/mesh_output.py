"""Options of the finished mesh: texture, number of triangles, turntable."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from jiff.base.config import option
from jiff.base.errors import UsageError

_PANEL = "Output"

TEXTURED_TRIANGLES = 40_000
"""Unwrapping takes 5 s for these, and more than in proportion for more; details live in the texture."""


@dataclass(frozen=True, kw_only=True)
class MeshOutput:
    """What the finished mesh is like."""

    texture: Literal["auto", "vertex", "uv"] = option(
        "auto",
        help="Colours per vertex, or an unwrapped texture that is baked from the colour network (GLB, OBJ); auto is uv with "
        "prior-held networks such as the default one, where a format holds it, and vertex with others.",
        panel=_PANEL,
    )
    texture_size: int = option(
        2048, help="Width and height of the texture, pixels.", min=64, max=8192, panel=_PANEL
    )
    project_photo: bool | None = option(
        None,
        help="With a texture: the photo's own colours where it shows the surface (default with prior-held networks).",
        panel=_PANEL,
    )
    decimate: int | None = option(
        None,
        help=f"Triangles to keep; with --texture uv at most {TEXTURED_TRIANGLES:,} by default, else all of them.",
        min=100,
        panel=_PANEL,
    )
    turntable: Literal["webm", "gif", "png"] | None = option(
        None, help="Film (webm, gif) or strip (png) of the turning mesh as well.", panel=_PANEL
    )

    def __post_init__(self) -> None:
        """Refuse what does nothing.

        Raises:
            UsageError: the photo is wanted without a texture to put it on.
        """
        if self.project_photo and self.texture == "vertex":
            raise UsageError("--project-photo needs a texture; leave --texture vertex out.")

    @property
    def triangles(self) -> int | None:
        """How many triangles to keep, None for all."""
        if self.decimate is None and self.texture == "uv":
            return TEXTURED_TRIANGLES
        return self.decimate

    def check_formats(self, formats: tuple[str, ...]) -> None:
        """Refuse a texture that no wanted format can hold.

        Raises:
            UsageError: only PLY is wanted.
        """
        if self.texture == "uv" and not set(formats) & {"glb", "obj"}:
            raise UsageError("--texture uv: PLY holds no texture; add glb or obj to --format.")

    def for_published(self) -> MeshOutput:
        """Return what these options mean for the published networks.

        Raises:
            UsageError: the photo is wanted without a texture to put it on.
        """
        if self.project_photo and self.texture == "auto":
            raise UsageError("--project-photo needs a texture; add --texture uv.")
        texture = "vertex" if self.texture == "auto" else self.texture
        return MeshOutput(
            **{**self.mesh_output(), "texture": texture, "project_photo": bool(self.project_photo)}
        )

    def for_held(self, formats: tuple[str, ...]) -> MeshOutput:
        """Return what these options mean for prior-held networks and formats.

        Raises:
            UsageError: the photo is wanted on a texture that no format can hold.
        """
        if self.project_photo and not set(formats) & {"glb", "obj"}:
            raise UsageError("--project-photo: PLY holds no texture; add glb or obj to --format.")
        texture = self.texture
        if texture == "auto":
            texture = "uv" if set(formats) & {"glb", "obj"} else "vertex"
        project = texture == "uv" and self.project_photo is not False
        return MeshOutput(**{**self.mesh_output(), "texture": texture, "project_photo": project})

    def mesh_output(self) -> dict[str, Any]:
        """Return these options alone, by name."""
        return {item.name: getattr(self, item.name) for item in fields(MeshOutput)}
