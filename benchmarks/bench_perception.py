"""Seeing people: masks, poses and face points of photos, against GrabCut below a face found by cascades."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.faces_seen import BODY_YAWS_DEG
from benchmarks.process import peak_mib
from benchmarks.row import Row
from benchmarks.seen_people import photograph, seen_scan
from jiff.base.errors import ImageError
from jiff.face.detect.detector import HaarDetector
from jiff.perception.files import find_networks
from jiff.photo.matting import grabcut_matte
from jiff.photo.seen import see_person

SEED = 47


def run(quick: bool) -> list[Row]:
    """See eight people from all sides before photographic noise; ``quick`` two."""
    import cv2

    cv2.setNumThreads(1)
    networks = find_networks()
    if networks is None:
        raise RuntimeError("the person networks are missing; run `jiff assets fetch perception`")
    detector = HaarDetector()
    ours: list[float] = []
    twin: list[float] = []
    seconds: list[float] = []
    twin_seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        photos = []
        for index in range(2 if quick else 8):
            scan = seen_scan(Path(folder), SEED, index)
            photos.append(photograph(scan, index, BODY_YAWS_DEG[index], (0, 10, -15, 5)[index % 4])[:2])
    before = peak_mib()
    for rgb, mask in photos:
        truth = mask >= 128
        begun = time.perf_counter()
        seen = see_person(networks, rgb, "photo", None)
        seconds.append(time.perf_counter() - begun)
        ours.append(_iou(np.asarray(seen.mask) >= 128, truth))
    added = peak_mib() - before
    for rgb, mask in photos:
        begun = time.perf_counter()
        try:
            found = grabcut_matte(rgb, detector, "photo", 1).mask >= 128
        except ImageError:
            found = np.zeros(mask.shape, bool)
        twin_seconds.append(time.perf_counter() - begun)
        twin.append(_iou(found, mask >= 128))
    return [
        Row("mask IoU, mean (GrabCut: 0 where nobody was found)", float(np.mean(ours)), "", float(np.mean(twin)), target="0.97"),
        Row("mask, pose and face of a photo of 1024 pixels, one core", float(np.median(seconds)), "s", float(np.median(twin_seconds)), target="1 s"),
        Row("memory that seeing adds to the process", added, "MiB"),
    ]  # fmt: skip


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))
