"""Options of every training run: where it is kept, how it goes on, optimisation, validation, machine."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from jiff.base.config import option
from jiff.base.errors import UsageError
from jiff.options.device import device_option, parse_device

_RUN = "Run"
_OPTIM = "Optimisation"
_SEE = "Validation and logs"
_MACHINE = "Machine"


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What the loop needs to know of a run, whatever network it trains."""

    name: str = option(
        "example", help="Name of the experiment: its folder in --checkpoints-path.", panel=_RUN
    )
    checkpoints_path: Path = option(Path("checkpoints"), help="Folder of runs.", panel=_RUN)
    results_path: Path = option(
        Path("results"), help="Folder for sample point clouds and meshes.", panel=_RUN
    )
    continue_train: bool = option(False, help="Go on with the run of this name where it stopped.", panel=_RUN)
    resume_epoch: int = option(
        -1, help="With --continue-train: the kept epoch to go on from; -1 is the latest.", min=-1, panel=_RUN
    )
    overwrite: bool = option(False, help="Begin anew although a run of this name exists.", panel=_RUN)
    seed: int = option(0, help="Seed of weights, order, points and augmentation.", min=0, panel=_RUN)
    num_epoch: int = option(
        1000, help="Epochs; an epoch sees every usable view of every subject once.", min=1, panel=_OPTIM
    )
    max_steps: int = option(
        0, help="Stop after this many steps; 0 leaves it to --num-epoch.", min=0, panel=_OPTIM
    )
    max_minutes: float = option(
        0.0, help="Stop (and save) after this many minutes; 0 means no limit.", min=0, panel=_OPTIM
    )
    batch_size: int = option(2, help="Items of a step, over all devices.", min=1, panel=_OPTIM)
    accumulate: int = option(
        1, help="Batches whose gradients are added up before a step.", min=1, panel=_OPTIM
    )
    learning_rate: float = option(1e-3, help="Learning rate (published commands: 1e-4).", min=0, panel=_OPTIM)
    optimizer: Literal["auto", "rmsprop", "adam", "adamw"] = option(
        "auto", help="auto is RMSprop for shape and Adam for colour, as published.", panel=_OPTIM
    )
    weight_decay: float = option(0.0, help="Weight decay.", min=0, panel=_OPTIM)
    lr_schedule: Literal["step", "cosine"] = option(
        "step",
        help="step multiplies by --gamma after the epochs of --schedule; cosine falls to a hundredth.",
        panel=_OPTIM,
    )
    schedule: tuple[int, ...] = option(
        (60, 80),
        help="Epochs after which the learning rate falls, counted as published: 360 items per subject.",
        panel=_OPTIM,
    )
    gamma: float = option(0.1, help="Factor of each fall.", min=0, max=1, panel=_OPTIM)
    warmup_steps: int = option(
        0, help="Steps over which the learning rate rises from a tenth.", min=0, panel=_OPTIM
    )
    grad_clip: float = option(0.0, help="Largest gradient norm; 0 does not clip.", min=0, panel=_OPTIM)
    ema: float = option(
        0.0, help="Decay of an averaged copy of the weights, which is validated and saved; 0 keeps none.",
        min=0, max=0.99999, panel=_OPTIM,
    )  # fmt: skip
    num_eval: bool = option(True, help="Validate (IoU, precision, recall, colour error).", panel=_SEE)
    val_every: int = option(
        0, help="Steps between validations; 0 validates after every epoch.", min=0, panel=_SEE
    )
    val_items: int = option(
        24,
        help="Items of a validation, the same each time, spread over subjects and views.",
        min=1,
        panel=_SEE,
    )
    val_points: int = option(5000, help="Points of a validation item.", min=100, panel=_SEE)
    val_test_error: bool = option(True, help="Validate on the subjects of val.txt.", panel=_SEE)
    val_train_error: bool = option(False, help="Validate on as many training items too.", panel=_SEE)
    freq_plot: int = option(10, help="Steps between rows of the log.", min=1, panel=_SEE)
    freq_save: int = option(50, help="Steps between saves.", min=1, panel=_SEE)
    keep_last: int = option(3, help="Epochs whose checkpoints are kept.", min=1, panel=_SEE)
    tensorboard: bool = option(True, help="Write TensorBoard logs beside the CSV.", panel=_SEE)
    device: str = device_option(_MACHINE, several=True)
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = option(
        "auto", help="auto is bf16-mixed where the device computes it faster, else 32.", panel=_MACHINE
    )
    num_threads: int = option(
        0, help="Processes that load data; 0 loads in the training process.", min=0, panel=_MACHINE
    )
    torch_threads: int = option(
        0,
        help="Threads of a training process on the processor; 0 keeps torch's choice.",
        min=0,
        panel=_MACHINE,
    )
    pin_memory: bool = option(False, help="Load into page-locked memory (CUDA).", panel=_MACHINE)
    serial_batches: bool = option(False, help="Items in their own order instead of shuffled.", panel=_MACHINE)
    compile: bool = option(False, help="Compile the image encoders (torch.compile).", panel=_MACHINE)
    channels_last: bool = option(
        False, help="Keep images channels-last in memory (faster on GPUs with tensor cores).", panel=_MACHINE
    )
    num_nodes: int = option(1, help="Machines that train together (torchrun).", min=1, panel=_MACHINE)

    @property
    def stage(self) -> str:
        """The kind of network."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        if not self.name or any(mark in self.name for mark in "/\\") or self.name in (".", ".."):
            raise UsageError(f"--name {self.name!r} must be the name of a folder, without slashes.")
        parse_device(self.device)

    @property
    def folder(self) -> Path:
        """Where this stage's checkpoints and logs lie."""
        return self.checkpoints_path / self.name / self.stage

    @property
    def rate(self) -> float:
        """Learning rate of this stage."""
        return self.learning_rate

    @property
    def preview_every(self) -> int:
        """Steps between pictures of what the network answers; 0 draws none."""
        return 0


def with_default(name: str, value: Any) -> Any:
    """Return the field ``name`` of ``TrainingRun`` with another default, for commands that differ in it."""
    known = {item.name: item for item in fields(TrainingRun)}
    return field(default=value, metadata=known[name].metadata, kw_only=True)
