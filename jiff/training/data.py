"""From options to data sets: who is trained on, who is held out, and the caches they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiff.data.augment import AugmentConfig
from jiff.data.color_samples import ColorPoolConfig
from jiff.data.dataset import DataConfig, TrainingSet, usable_views
from jiff.data.image_store import cached_bytes
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet
from jiff.errors import DatasetError
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.parallel import run_batch

if TYPE_CHECKING:
    from jiff.progress import Progress
    from jiff.training.config import TrainConfig

# Parts of the pool, in the proportions of LabelPoolConfig's defaults.
_POOL_PARTS = {"near": 16, "fine": 6, "uniform": 4, "volume": 6, "face": 6}


def split_subjects(dataset: ProcessedSet, single: str = "") -> tuple[list[str], list[str]]:
    """Return the subjects to train on and the held-out ones of ``val.txt``.

    Raises:
        DatasetError: val.txt names a subject that does not exist, or nobody is left to train on.
    """
    everyone = dataset.subjects()
    held_out = dataset.validation_subjects()
    unknown = [name for name in held_out if name not in everyone]
    if unknown:
        raise DatasetError(
            f"{dataset.val_list}: names {', '.join(unknown[:5])}, which the set does not hold; mend the list or render "
            "these subjects."
        )
    if single:
        if single not in everyone:
            raise DatasetError(
                f"{dataset.root}: holds no subject {single!r} for --single; choose one of RENDER's."
            )
        return [single], held_out
    train = [name for name in everyone if name not in held_out]
    if not train:
        raise DatasetError(f"{dataset.val_list}: holds out every subject; leave some to train on.")
    return train, held_out


def label_config(config: TrainConfig) -> LabelPoolConfig:
    """Return what the pools of labelled points hold."""
    total = sum(_POOL_PARTS.values())
    counts = {name: max(1, config.pool_size * part // total) for name, part in _POOL_PARTS.items()}
    return LabelPoolConfig(sigma=config.point_sigma, fine_sigma=config.fine_sigma, seed=config.seed, **counts)


def data_config(config: TrainConfig, architecture: ShapeConfig | ColorConfig, cache: bool) -> DataConfig:
    """Return what an item holds."""
    return DataConfig(
        stage=config.stage,
        load_size=architecture.load_size,
        load_size_fine=architecture.load_size_fine if isinstance(architecture, ColorConfig) else 0,
        num_sample_inout=config.num_sample_inout,
        num_sample_color=config.num_sample_color,
        num_sample_face=config.num_sample_face,
        num_face_vertices=config.num_face_vertices,
        sigma=config.point_sigma,
        inside_part=config.inside_part,
        fine_part=config.fine_part,
        volume_part=config.volume_part,
        num_views=architecture.num_views,
        random_multiview=config.random_multiview,
        augment=AugmentConfig(
            config.random_flip,
            config.random_scale,
            config.random_trans,
            config.aug_bri,
            config.aug_con,
            config.aug_sat,
            config.aug_hue,
            config.aug_blur,
            config.aug_alstd,
        ),
        labels=label_config(config) if config.stage == "shape" else LabelPoolConfig(),
        colors=ColorPoolConfig(seed=config.seed),
        cache=cache,
        seed=config.seed,
        face=architecture.face_branch,
    )


@dataclass(frozen=True)
class _PrepareItem:
    dataset: ProcessedSet
    subject: str
    config: DataConfig


def _prepare(item: _PrepareItem) -> None:
    # Opening the set builds whatever is missing.
    TrainingSet(item.dataset, [item.subject], item.config)


def with_usable_views(
    dataset: ProcessedSet, train: list[str], held_out: list[str], progress: Progress
) -> tuple[list[str], list[str]]:
    """Leave out, with a warning, the subjects that `jiff data face` refused: they have no FILE_NUMBER.

    Raises:
        DatasetError: nobody is left to train on.
    """
    if not (dataset.root / "FILE_NUMBER").is_dir():
        return train, held_out
    missing = [name for name in [*train, *held_out] if not dataset.file_number(name).is_file()]
    if not missing:
        return train, held_out
    kept = [name for name in train if name not in missing]
    if not kept:
        raise DatasetError(
            f"{dataset.root / 'FILE_NUMBER'}: lists no training subject; run `jiff data face -i {dataset.root}`."
        )
    names = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
    progress.warn(
        f"{len(missing)} of {len(train) + len(held_out)} subjects have no FILE_NUMBER and are left out: {names}."
    )
    return kept, [name for name in held_out if name not in missing]


def open_sets(
    config: TrainConfig, architecture: ShapeConfig | ColorConfig, progress: Progress
) -> tuple[TrainingSet, TrainingSet | None]:
    """Prepare the caches of all subjects (in parallel) and open the training and the validation set.

    Raises:
        DatasetError: the set is missing, empty or lacks a stage.
    """
    dataset = ProcessedSet(config.dataroot)
    train, held_out = split_subjects(dataset, config.single)
    train, held_out = with_usable_views(dataset, train, held_out, progress)
    views = sum(len(usable_views(dataset, subject)) for subject in [*train, *held_out])
    sizes = [architecture.load_size]
    if config.stage == "color_fine" and isinstance(architecture, ColorConfig):
        sizes.append(architecture.load_size_fine)
    needed = sum(cached_bytes(views, size) for size in sizes)
    settings = data_config(config, architecture, cache=needed <= config.cache_gb * 1e9)
    items = [(subject, _PrepareItem(dataset, subject, settings)) for subject in [*train, *held_out]]
    report = run_batch(
        _prepare, items, jobs=config.jobs, progress=progress, title="Preparing points and images"
    )
    if report.failures:
        failed = next(iter(report.failures))
        more = f" ({len(report.failures) - 1} more subjects fail too)" if len(report.failures) > 1 else ""
        raise DatasetError(f"{failed}: {report.failures[failed]}{more}")
    validation = (
        TrainingSet(dataset, held_out, settings, train=False) if held_out and config.num_eval else None
    )
    return TrainingSet(dataset, train, settings), validation
