"""Options of ``jiff eval pifu`` and ``jiff eval jiff``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.inference import OUTPUT_PANEL, FineInferenceConfig, InferenceConfig


@dataclass(frozen=True)
class EvalPifuConfig(InferenceConfig):
    """Options of ``run_eval_pifu`` besides the shared ones; the names are the published ones where there are any.

    Attributes:
        test_folder_path: images with masks.
        results_path: where to write.
        name: folder inside ``results_path``, none when empty.
    """

    test_folder_path: Path = option(
        help="Folder with <name>.jpg or .png and <name>_mask.png, framed as in training.",
        flags=("-i", "--input"),
    )
    results_path: Path = option(
        Path("results"), help="Folder to write to.", flags=("-o", "--out"), panel=OUTPUT_PANEL
    )
    name: str = option("", help="Folder inside --results-path, none when empty.", panel=OUTPUT_PANEL)

    @property
    def results_folder(self) -> Path:
        """Where the results are written."""
        return self.results_path / self.name if self.name else self.results_path


@dataclass(frozen=True)
class EvalJiffConfig(FineInferenceConfig, EvalPifuConfig):
    """Options of ``run_eval_jiff``: those of ``EvalPifuConfig`` and the fine colour network."""
