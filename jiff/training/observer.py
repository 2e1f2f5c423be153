"""Looking at a run: validation, meshes, and pictures of what the network answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from jiff.base.errors import OutputError
from jiff.data.sample import collate
from jiff.geometry.io.mesh_io import save_image
from jiff.models.shape import ShapeNetwork
from jiff.training.meshes import write_meshes
from jiff.training.previews import draw_previews
from jiff.training.samples import write_samples
from jiff.training.validation import validate

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.data.dataset import TrainingSet
    from jiff.data.people_set import PeopleSet
    from jiff.models.registry import Network
    from jiff.options.training_run import TrainingRun
    from jiff.training.logs import RunLog
    from jiff.training.own_stage import OwnModule
    from jiff.training.stages import StageModule

_PREVIEWS = 2


class Observer:
    """Looks at the network of a run, in one process for all.

    Attributes:
        metrics: of the last validation.
    """

    def __init__(
        self,
        config: TrainingRun,
        module: StageModule | OwnModule,
        items: TrainingSet | PeopleSet,
        held_out: TrainingSet | PeopleSet | None,
        device: torch.device,
        progress: Progress,
    ) -> None:
        # Of one kind of network; meshes and previews ask for what the others have not.
        self._config: Any = config
        self._module: Any = module
        self._items: Any = items
        self._held_out: Any = held_out
        self._device, self._progress = device, progress
        self.metrics: dict[str, float] = {}

    def validate(self, step: int, network: Network, log: RunLog, describe: Callable[[str], None]) -> None:
        """Measure ``network`` on the held-out items, and on training items where that is asked for."""
        config = self._config
        if not config.num_eval:
            return
        trained, self._module.network = self._module.network, network
        try:
            measured: dict[str, float] = {}
            if self._held_out is not None and config.val_test_error:
                describe("validating")
                self.metrics = validate(
                    self._module, self._held_out, config.val_items, config.val_points, self._device
                )
                measured.update({f"val_{key}": value for key, value in self.metrics.items()})
            if config.val_train_error or (self._held_out is None and not self.metrics):
                plain = self._items.without_augmentation()
                found = validate(self._module, plain, config.val_items, config.val_points, self._device)
                measured.update({f"train_{key}": value for key, value in found.items()})
                if self._held_out is None:
                    self.metrics = found
            self._write_meshes()
        finally:
            self._module.network = trained
        if measured:
            log.add(step, measured)

    def _write_meshes(self) -> None:
        config, network = self._config, self._module.network
        if not isinstance(network, ShapeNetwork):
            return
        wanted = [("test", self._held_out if config.gen_test_mesh else None)]
        wanted += [("train", self._items.without_augmentation() if config.gen_train_mesh else None)]
        for name, items in wanted:
            if items is not None:
                folder = config.results_path / config.name / name
                count, resolution = config.num_gen_mesh_test, config.resolution
                write_meshes(network, items, count, resolution, folder, self._device, self._progress)

    def preview(self, step: int, network: Network, log: RunLog, describe: Callable[[str], None]) -> None:
        """Draw a few items as the network sees them: into TensorBoard, as one PNG each, and the samples as a PLY."""
        describe("drawing previews")
        trained, self._module.network = self._module.network, network
        try:
            items = self._held_out or self._items.without_augmentation()
            for name, picture in draw_previews(self._module, items, _PREVIEWS, self._device).items():
                log.add_image(step, name, picture)
                folder = self._config.results_path / self._config.name
                save_image(folder / f"preview_{self._config.stage}_{name}.png", picture)
            self._write_samples()
        except OutputError as error:
            # Pictures are not worth a run.
            self._progress.warn(f"No preview: {error}")
        finally:
            self._module.network = trained

    @torch.no_grad()
    def _write_samples(self) -> None:
        batch = collate([self._items[(0, 0)]]).to(self._device)
        network = self._module.network
        training = network.training
        # In training mode batch norm would take in what is only looked at.
        network.eval()
        try:
            answer = self._module.answer(batch, batch.points_world)
        finally:
            network.train(training)
        values = answer.rgb[0] if self._config.stage != "shape" else answer.body[-1][0]
        path = self._config.results_path / self._config.name / f"pred_{self._config.stage}.ply"
        write_samples(path, batch.points_world[0].cpu().numpy(), values.float().cpu().numpy())
