"""Options of training; the names are the published ones where these exist."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jiff.base.config import option
from jiff.base.errors import ConfigError, UsageError
from jiff.options.network import NetworkOptions
from jiff.options.training_run import TrainingRun

_DATA = "Data"
_RUN = "Run"
_SAMPLES = "Sampling"
_AUG = "Augmentation"
_OPTIM = "Optimisation"
_SEE = "Validation and logs"


@dataclass(frozen=True)
class TrainConfig(NetworkOptions, TrainingRun):
    """One training run of one stage; every attribute is an option of ``jiff train``."""

    stage: Literal["shape", "color_coarse", "color_fine"] = "shape"
    dataroot: Path = option(Path("data"), help="Folder of the processed set.", flags=("-i",), panel=_DATA)
    load_size: int | None = option(
        None, help="Side of the input image in pixels; left out, what the network is made for (paper: 512).",
        min=32, max=4096, panel=_DATA,
    )  # fmt: skip
    single: str = option("", help="Train on this one subject only (a test of overfitting).", panel=_DATA)
    num_views: int | None = option(
        None, help="Images of a subject per item (default 1).", min=1, max=64, panel=_DATA
    )
    random_multiview: bool = option(
        False, help="Draw the further views at random instead of evenly.", panel=_DATA
    )
    cache_gb: float = option(
        8.0, help="Keep decoded images on disk, memory-mapped, when they take at most this many GB; 0 never does.",
        min=0, panel=_DATA,
    )  # fmt: skip
    jobs: int = option(
        0,
        help="Processes that prepare cached points and images; 0 is one per core.",
        flags=("-j",),
        min=0,
        panel=_DATA,
    )
    shape_checkpoint: Path | None = option(
        None, help="Shape network to start from (shape) or to build on (colour); default: the run's own shape stage.",
        aliases=("--load-netG-checkpoint-path",), panel=_RUN,
    )  # fmt: skip
    coarse_checkpoint: Path | None = option(
        None,
        help="Coarse colour network to start from (color-coarse) or to build on (color-fine).",
        aliases=("--load-netC-coarse-checkpoint-path",),
        panel=_RUN,
    )
    fine_checkpoint: Path | None = option(
        None, help="Fine colour network to start from.", aliases=("--load-netC-checkpoint-path",), panel=_RUN
    )
    learning_rate_c: float | None = option(
        None,
        help="Learning rate of the colour stages where it differs.",
        aliases=("--learning-rateC",),
        min=0,
        panel=_OPTIM,
    )
    sigma: float | None = option(
        None, help="Offset of points from the surface in world units; default 5 (shape) or 0.1 (colour, along the normal).",
        min=0, panel=_SAMPLES,
    )  # fmt: skip
    num_sample_inout: int = option(5000, help="Labelled points of an item (shape).", min=0, panel=_SAMPLES)
    num_sample_color: int = option(10_000, help="Coloured points of an item (colour).", min=0, panel=_SAMPLES)
    num_sample_face: int = option(700, help="Further points in the face box.", min=0, panel=_SAMPLES)
    num_face_vertices: int = option(
        0,
        help="Vertices of the face mesh that a training item keeps, drawn at random; 0 keeps all.",
        min=0,
        panel=_SAMPLES,
    )
    prior_jitter_cm: float = option(
        0.0,
        help="Random misplacement of the face prior in training, as fits to photos have it: a shift of this size, "
        "a turn that moves its border as far, a stretch that moves it half as far; 0 leaves it as fitted (published).",
        min=0,
        max=10,
        panel=_AUG,
    )
    inside_part: float = option(
        0.5,
        help="Part of the labelled points that lies inside (published: half; less makes slimmer bodies).",
        min=0.05,
        max=0.95,
        panel=_SAMPLES,
    )
    fine_sigma: float = option(
        1.0, help="Offset of the points counted by --fine-part, world units.", min=0.001, panel=_SAMPLES
    )
    fine_part: float = option(
        0.0, help="Part of the labelled points drawn at --fine-sigma.", min=0, max=1, panel=_SAMPLES
    )
    volume_part: float = option(
        0.0,
        help="Part of the labelled points drawn uniformly in the scan's bounding box.",
        min=0,
        max=1,
        panel=_SAMPLES,
    )
    pool_size: int = option(
        380_000, help="Labelled points kept per scan, drawn and tested once.", min=1000, panel=_SAMPLES
    )
    z_size: float | None = option(
        None, help="Depth normalisation of the networks (paper: 200).", min=1, panel=_SAMPLES
    )
    random_flip: bool = option(False, help="Mirror half of the images.", panel=_AUG)
    random_scale: bool = option(False, help="Magnify by 0.9 to 1.1.", panel=_AUG)
    random_trans: bool = option(False, help="Shift by up to about 2 percent.", panel=_AUG)
    aug_bri: float = option(0.0, help="Brightness factor 1 +- value.", min=0, panel=_AUG)
    aug_con: float = option(0.0, help="Contrast factor 1 +- value.", min=0, panel=_AUG)
    aug_sat: float = option(0.0, help="Saturation factor 1 +- value.", min=0, panel=_AUG)
    aug_hue: float = option(0.0, help="Hue shift up to this many turns.", min=0, max=0.5, panel=_AUG)
    aug_blur: float = option(0.0, help="Largest Gaussian blur in pixels.", min=0, panel=_AUG)
    aug_alstd: float = option(
        0.0, help="Standard deviation of principal-component lighting.", min=0, panel=_AUG
    )
    freq_save_ply: int = option(
        1000,
        help="Steps between previews (predicted samples, meshes and face crops as pictures in TensorBoard and in "
        "--results-path, samples as a PLY); 0 draws none.",
        min=0,
        panel=_SEE,
    )
    gen_mesh: bool = option(True, help="Allow --gen-test-mesh and --gen-train-mesh.", panel=_SEE)
    gen_test_mesh: bool = option(
        False, help="Extract meshes of validation subjects after a validation.", panel=_SEE
    )
    gen_train_mesh: bool = option(
        False, help="Extract meshes of training subjects after a validation.", panel=_SEE
    )
    num_gen_mesh_test: int = option(1, help="How many meshes each of them extracts.", min=1, panel=_SEE)
    resolution: int = option(
        128, help="Cells along the edge of the grid of these meshes.", min=16, max=1024, panel=_SEE
    )

    def __post_init__(self) -> None:
        if self.stage == "shape" and self.num_sample_inout == 0:
            raise ConfigError("num_sample_inout must be above 0 to train the shape network; got 0.")
        if self.stage != "shape" and self.num_sample_color == 0:
            raise ConfigError("num_sample_color must be above 0 to train a colour network; got 0.")
        if self.fine_part + self.volume_part > 1:
            raise ConfigError(
                f"fine_part and volume_part are parts of one whole; {self.fine_part} and {self.volume_part} exceed it."
            )
        if self.stage != "shape" and (self.gen_test_mesh or self.gen_train_mesh):
            raise UsageError(
                "--gen-test-mesh and --gen-train-mesh show the shape network; look at colours with `jiff eval jiff`."
            )
        if not self.gen_mesh and (self.gen_test_mesh or self.gen_train_mesh):
            raise UsageError(
                "--no-gen-mesh contradicts --gen-test-mesh and --gen-train-mesh; drop one of them."
            )
        super().__post_init__()

    def network_overrides(self) -> dict[str, Any]:
        """Return the single options of the network that were given."""
        given = self.model_overrides(self.stage)
        for name in ("load_size", "z_size", "num_views"):
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        return given

    @property
    def rate(self) -> float:
        """Learning rate of this stage."""
        if self.stage != "shape" and self.learning_rate_c is not None:
            return self.learning_rate_c
        return self.learning_rate

    @property
    def point_sigma(self) -> float:
        """Sigma of this stage: 5 world units around the surface for labels, 0.1 along the normal for colours."""
        if self.sigma is not None:
            return self.sigma
        return 5.0 if self.stage == "shape" else 0.1

    @property
    def preview_every(self) -> int:
        """Steps between previews."""
        return self.freq_save_ply
