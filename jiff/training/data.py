"""From options to data sets: who is trained on, who is held out, and the caches they need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.base.errors import DatasetError, InputError
from jiff.base.files import read_text, write_text
from jiff.data.augment import AugmentConfig
from jiff.data.cache_clean import drop_superseded
from jiff.data.color_samples import ColorPoolConfig, cached_color_bytes
from jiff.data.data_config import DataConfig, usable_views
from jiff.data.dataset import TrainingSet
from jiff.data.image_store import cached_bytes, view_sources
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet
from jiff.data.mesh_cache import fingerprint
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.run.parallel import run_items

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.options.train import TrainConfig

_STAMP = "prepared_"
_STAMP_VERSION = 3
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
        prior_jitter_cm=config.prior_jitter_cm,
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

    def stamp(self) -> Path:
        """Return the file that says that the caches of this subject fit its files and these options."""
        dataset, subject, config = self.dataset, self.subject, self.config
        files = [
            dataset.file_number(subject),
            dataset.geometry(subject),
            dataset.face_mesh(subject),
            dataset.face_region(subject),
        ]
        if config.stage != "shape":
            files += [dataset.uv_mask(subject), dataset.uv_normal(subject), dataset.uv_pos(subject)]
        if config.cache:
            for view in usable_views(dataset, subject):
                files += view_sources(dataset, subject, view, config.load_size)
                if config.stage == "color_fine":
                    files += view_sources(dataset, subject, view, config.load_size_fine)
                if config.stage != "shape":
                    files.append(dataset.uv_render(subject, view))
        made_from = (
            config.stage,
            config.load_size,
            config.load_size_fine,
            config.labels,
            config.colors,
            config.cache,
        )
        key = fingerprint(files, _STAMP_VERSION, made_from)
        return dataset.cache(subject) / f"{_STAMP}{config.stage}_{key}"


def _is_prepared(item: _PrepareItem) -> bool:
    stamp = item.stamp()
    if not stamp.is_file():
        return False
    # The stamp names the caches: any of them may have been deleted since.
    return all((stamp.parent / name).exists() for name in read_text(stamp).splitlines())


def _prepare(item: _PrepareItem) -> None:
    # Opening the set builds whatever is missing.
    opened = TrainingSet(item.dataset, [item.subject], item.config)
    stamp = item.stamp()
    write_text(stamp, "".join(f"{entry.name}\n" for entry in opened.cache_entries()))
    drop_superseded(item.dataset, stamp)


def _sound_set(
    dataset: ProcessedSet,
    subjects: list[str],
    settings: DataConfig,
    failures: dict[str, str],
    train: bool,
) -> TrainingSet | None:
    """Open the subjects that nothing is known against; notes in ``failures`` those that cannot be opened."""
    sound = [subject for subject in subjects if subject not in failures]
    items = TrainingSet(dataset, sound, settings, train=train, skip_damaged=True)
    failures.update(items.failures)
    return items if len(items) else None


def open_sets(
    config: TrainConfig, architecture: ShapeConfig | ColorConfig, progress: Progress
) -> tuple[TrainingSet, TrainingSet | None, list[str]]:
    """Prepare the caches of all subjects (in parallel, where they are not complete) and open both sets.

    Subjects that lack a stage or whose files are damaged are left out, with a warning.

    Returns:
        The training set, the validation set (None where nobody is held out), and one sentence per subject left out.

    Raises:
        DatasetError: the set is missing or empty, or no subject can be trained on.
    """
    dataset = ProcessedSet(config.dataroot)
    train, held_out = split_subjects(dataset, config.single)
    failures: dict[str, str] = {}
    views = 0
    for subject in [*train, *held_out]:
        try:
            views += len(usable_views(dataset, subject))
        except InputError as error:
            failures[subject] = str(error)
    sizes = [architecture.load_size]
    if config.stage == "color_fine" and isinstance(architecture, ColorConfig):
        sizes.append(architecture.load_size_fine)
    needed = sum(cached_bytes(views, size) for size in sizes)
    if config.stage != "shape":
        needed += cached_color_bytes(views, ColorPoolConfig(seed=config.seed))
    settings = data_config(config, architecture, cache=needed <= config.cache_gb * 1e9)
    usable = [subject for subject in [*train, *held_out] if subject not in failures]
    report = run_items(
        _prepare,
        [(subject, _PrepareItem(dataset, subject, settings)) for subject in usable],
        jobs=config.jobs,
        progress=progress,
        title="Preparing points and images",
        is_complete=_is_prepared,
    )
    failures.update(report.failures)
    items = _sound_set(dataset, train, settings, failures, train=True)
    validation = _sound_set(dataset, held_out, settings, failures, train=False) if config.num_eval else None
    texts = [f"{subject}: {reason}" for subject, reason in failures.items()]
    if items is None:
        more = f" ({len(texts) - 1} more subjects fail too)" if len(texts) > 1 else ""
        raise DatasetError(f"{texts[0]}{more}" if texts else f"{dataset.root}: there is nobody to train on.")
    if texts:
        more = (
            f" ({', '.join(list(failures)[1:6])}{' ...' if len(texts) > 6 else ''} too)"
            if len(texts) > 1
            else ""
        )
        progress.warn(f"{len(texts)} of {len(train) + len(held_out)} subjects are left out: {texts[0]}{more}")
    return items, validation, texts
