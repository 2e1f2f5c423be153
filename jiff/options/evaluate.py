"""Options of ``jiff eval pifu`` and ``jiff eval jiff``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.inference import OUTPUT_PANEL, FineInferenceConfig, InferenceConfig


@dataclass(frozen=True)
class EvalPifuConfig(InferenceConfig):
    """Options of ``run_eval_pifu`` besides the shared ones; the names are the published ones where there are any."""

    input: Path = option(
        help="Folder with <name>.jpg or .png and <name>_mask.png, framed as in training.",
        flags=("-i",),
        aliases=("--test-folder-path",),
    )
    out: Path = option(
        Path("results"),
        help="Folder to write to.",
        flags=("-o",),
        aliases=("--results-path",),
        panel=OUTPUT_PANEL,
    )
    name: str = option("", help="Folder inside --out, none when empty.", panel=OUTPUT_PANEL)

    @property
    def results_folder(self) -> Path:
        """Where the results are written."""
        return self.out / self.name if self.name else self.out


@dataclass(frozen=True)
class EvalJiffConfig(FineInferenceConfig, EvalPifuConfig):
    """Options of ``run_eval_jiff``: those of ``EvalPifuConfig`` and the fine colour network."""
