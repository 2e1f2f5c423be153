"""Turntables can be opened again and show the mesh from all sides."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from render_scans import egg

from jiff.base.errors import OutputError, UsageError
from jiff.render.turntable import turntable_frames, write_frames, write_turntable


def test_frames_turn_once() -> None:
    frames = list(turntable_frames(egg(), 8, size=64, samples=1))
    assert len(frames) == 8 and all(frame.shape == (64, 64, 3) for frame in frames)
    # The egg is wider than deep: its side view covers less.
    covered = [(frame < 250).any(axis=2).sum() for frame in frames]
    assert covered[2] < 0.8 * covered[0] and covered[0] == pytest.approx(covered[4], rel=0.02)


def test_video(tmp_path: Path) -> None:
    write_turntable(egg(), tmp_path / "turn é.webm", seconds=1, rate=6, size=64, samples=1)
    # Matroska with a VP8 track: what every browser plays.
    blob = (tmp_path / "turn é.webm").read_bytes()
    assert blob[:4] == b"\x1a\x45\xdf\xa3" and b"webm" in blob[:64] and b"V_VP8" in blob[:1024]
    video = cv2.VideoCapture(str(tmp_path / "turn é.webm"))
    frames = [video.read()[1] for _ in range(6)]
    assert not video.read()[0]
    video.release()
    wanted = next(turntable_frames(egg(), 6, size=64, samples=1))
    assert np.abs(frames[0][..., ::-1].astype(int) - wanted).mean() < 12


def test_gif_and_strip(tmp_path: Path) -> None:
    frames = list(turntable_frames(egg(), 4, size=48, samples=1))
    write_frames(frames, tmp_path / "a.gif", rate=10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 4 and gif.info["duration"] == 100
        assert np.abs(np.asarray(gif.convert("RGB"), int) - frames[0]).mean() < 4
    write_frames(iter(frames), tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.concatenate(frames, axis=1))


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.webm"):
        write_turntable(egg(), tmp_path / "a.avi")
    with pytest.raises(UsageError, match="no frames"):
        write_frames([], tmp_path / "a.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_frames([np.zeros((8, 8, 3), np.uint8)], tmp_path / "file" / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
