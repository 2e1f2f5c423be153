"""The demo's prior-held networks: one trained small on photos of synthetic people, and the installed one, on the same test images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jiff.inference.networks import default_network
from jiff.options.body import BodyConfig
from jiff.options.evaluate import EvalJiffConfig
from jiff.options.metrics import MetricsConfig
from jiff.options.photos import PhotosConfig
from jiff.options.presets import person_preset_config
from jiff.pipelines.body import run_body
from jiff.pipelines.demo_stage import Stage
from jiff.pipelines.held import run_eval
from jiff.pipelines.metrics import run_metrics
from jiff.pipelines.photos import run_photos
from jiff.pipelines.train import train_stage

if TYPE_CHECKING:
    from jiff.options.demo import DemoConfig
    from jiff.pipelines.demo_config import DemoPaths

_VIEWS = 2
_HELD_OUT = 8


def held_stages(config: DemoConfig, paths: DemoPaths) -> list[Stage]:
    """Return the stages from photos of synthetic people to measured reconstructions; none is essential to the others' results."""
    training = person_preset_config(
        config.network,
        dataroot=paths.photos,
        checkpoints_path=paths.checkpoints,
        results_path=paths.root / "training",
        name=paths.person_run.name,
        max_steps=config.person_steps,
        seed=config.seed,
        device=config.device,
        continue_train=True,
    )
    shared: dict[str, Any] = {"input": paths.test, "resolution": config.resolution, "device": config.device}
    stages = [
        Stage(
            "photos", "Photograph people", "data photos",
            PhotosConfig(
                out=paths.photos, people=config.person_people, views=_VIEWS, held_out=_HELD_OUT, jobs=config.jobs
            ),
            run_photos,
            essential=False,
        ),
        Stage("person", "Train a prior-held network", "train person", training, train_stage, essential=False),
        Stage(
            "test_body", "Bodies of the test images", "data body", BodyConfig(input=paths.test, jobs=config.jobs), run_body,
            essential=False,
        ),
        Stage(
            "eval_held", "Reconstruct: held, trained here", "eval jiff",
            EvalJiffConfig(out=paths.held, checkpoint=paths.person_run, texture="vertex", **shared), run_eval,
            essential=False,
        ),
    ]  # fmt: skip
    measured = [("held", paths.held)]
    if default_network().is_file():
        stages.append(
            Stage(
                "eval_installed", "Reconstruct: held, installed", "eval jiff",
                EvalJiffConfig(out=paths.installed, **shared), run_eval, essential=False,
            )
        )  # fmt: skip
        measured.append(("installed", paths.installed))
    for method, folder in measured:
        settings = MetricsConfig(
            pred=folder, gt=paths.data, out=paths.measured(method), seed=config.seed, align="depth"
        )
        stages.append(
            Stage(
                f"metrics_{method}",
                f"Measure held, {method}",
                "eval metrics",
                settings,
                run_metrics,
                essential=False,
            )
        )
    return stages
