"""Options that every command shares which turns images into meshes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from jiff.base.config import option
from jiff.options.mesh_output import AssetOptions

C = TypeVar("C")

NETWORKS_PANEL, OUTPUT_PANEL = "Networks", "Output"


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Options of `eval pifu`, `eval jiff` and `reconstruct`; the names are the published ones where there are any.

    Attributes:
        checkpoint: a run's folder.
        load_netG_checkpoint_path: shape network, instead of the run's.
        load_netC_coarse_checkpoint_path: coarse colour network, instead of the run's.
        resolution: cells along the view; None is 256 for demo networks, 512 otherwise.
        format: of the meshes.
        height_cm: of the person, for GLB.
        raw: keep floating pieces.
        memory_budget: gigabytes of working memory.
        precision: of wide hidden layers, see ``jiff.inference.fields.choose_dtype``.
        device: auto, cpu, cuda or mps.
        overwrite: compute again what is complete.
        asset: texture, triangles, turntable.
    """

    checkpoint: Path | None = option(None, help="Run's folder that training wrote.", panel=NETWORKS_PANEL)
    load_netG_checkpoint_path: Path | None = option(
        None, help="Shape network, own or published, instead of the run's.", panel=NETWORKS_PANEL
    )
    load_netC_coarse_checkpoint_path: Path | None = option(
        None, help="Coarse colour network instead of the run's.", panel=NETWORKS_PANEL
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
    raw: bool = option(False, help="Keep floating pieces.", panel=OUTPUT_PANEL)
    memory_budget: float = option(4.0, help="Gigabytes of working memory for the networks.", min=0.05)
    precision: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto",
        help="Number type of wide hidden layers while the surface is searched: auto is a half one where the device"
        " gains by it, vertices then move by less than 0.1 of a cell; float32 moves none.",
    )
    device: str = option("auto", help="auto, cpu, cuda or mps.")
    overwrite: bool = option(False, help="Compute again what is complete.")
    asset: AssetOptions = AssetOptions()

    def handed_to(self, config_class: type[C], **values: Any) -> C:
        """Return the configuration of another step with these options where it has them, and ``values``."""
        known = {item.name for item in fields(config_class)}  # type: ignore[arg-type]
        shared = {item.name: getattr(self, item.name) for item in fields(self) if item.kw_only}
        return config_class(**{**{name: shared[name] for name in shared if name in known}, **values})


@dataclass(frozen=True, kw_only=True)
class FineInferenceConfig(InferenceConfig):
    """The same with the fine colour network.

    Attributes:
        load_netC_checkpoint_path: fine colour network, instead of the run's.
    """

    load_netC_checkpoint_path: Path | None = option(
        None, help="Fine colour network instead of the run's.", panel=NETWORKS_PANEL
    )
