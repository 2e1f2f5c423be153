"""Options that every command shares which turns images into meshes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from jiff.base.config import option
from jiff.options.device import device_option
from jiff.options.mesh_output import MeshOutput

C = TypeVar("C")

NETWORKS_PANEL, OUTPUT_PANEL = "Networks", "Output"


@dataclass(frozen=True, kw_only=True)
class InferenceConfig(MeshOutput):
    """Options of `eval pifu`, `eval jiff` and `reconstruct`; the names are the published ones where there are any."""

    checkpoint: Path | None = option(
        None,
        help="Run's folder that training wrote; without it reconstruct and eval jiff use the network that is installed with jiff.",
        panel=NETWORKS_PANEL,
    )
    shape_checkpoint: Path | None = option(
        None,
        help="Shape network, own or published, instead of the run's.",
        aliases=("--load-netG-checkpoint-path",),
        panel=NETWORKS_PANEL,
    )
    coarse_checkpoint: Path | None = option(
        None,
        help="Coarse colour network instead of the run's.",
        aliases=("--load-netC-coarse-checkpoint-path",),
        panel=NETWORKS_PANEL,
    )
    resolution: int | None = option(
        None,
        help="Cells along the view: 256 for small networks and 512 for others by default.",
        min=16,
        max=2048,
    )
    format: tuple[str, ...] = option(("obj", "glb"), help="Mesh formats: obj, glb, ply.", panel=OUTPUT_PANEL)
    height_cm: float = option(
        180.0, help="Height of the person in GLB, cm.", min=1, max=300, panel=OUTPUT_PANEL
    )
    raw: bool = option(
        False,
        help="Keep floating pieces; prior-held networks are not bounded by the person's outline then.",
        panel=OUTPUT_PANEL,
    )
    memory_budget: float = option(4.0, help="Gigabytes of working memory for the networks.", min=0.05)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto",
        help="Number type of wide hidden layers while the surface is searched: auto is a half one where the device"
        " gains by it, vertices then move by less than 0.1 of a cell; float32 moves none. Prior-held networks always use float32.",
    )
    device: str = device_option()
    overwrite: bool = option(False, help="Compute again what is complete.")

    def handed_to(self, config_class: type[C], **values: Any) -> C:
        """Return the configuration of another step with these options where it has them, and ``values``."""
        known = {item.name for item in fields(config_class)}  # type: ignore[arg-type]
        shared = {item.name: getattr(self, item.name) for item in fields(self) if item.kw_only}
        return config_class(**{**{name: shared[name] for name in shared if name in known}, **values})


@dataclass(frozen=True, kw_only=True)
class FineInferenceConfig(InferenceConfig):
    """The same with the fine colour network, and with the network of normals."""

    fine_checkpoint: Path | None = option(
        None,
        help="Fine colour network instead of the run's.",
        aliases=("--load-netC-checkpoint-path",),
        panel=NETWORKS_PANEL,
    )
    detail: bool = option(
        True,
        help="With prior-held networks: folds, lapels and hems of the front, as another network reads them off the photo's shading.",
        panel=OUTPUT_PANEL,
    )
