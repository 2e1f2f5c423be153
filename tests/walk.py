"""One tiny walk through every command, with real processes; each stage runs when the first test asks for it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.held_people import write_people
from tests.known_person import write_framed

HELD_OUT = "synth_0002"
PEOPLE = ("synth_0000", "synth_0001", HELD_OUT)
RESOLUTION = "48"
_TRAIN = ["--dataroot", "data", "--checkpoints-path", "runs", "--name", "walk", "--preset", "tiny", "--gpu-ids", "-1"]  # fmt: skip
_TRAIN += ["--jobs", "1"]


def digests(folder: Path) -> dict[str, str]:
    """Return file -> checksum of everything below ``folder``."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Walk:
    """The folder of the walk.

    Attributes:
        root: working folder of every command; paths in commands are relative to it, as a user would type them.
        env: environment of the commands: one thread, own cache, no optional files.
        words: stage -> words of its command.
        said: stage -> what its command printed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "JIFF_CACHE": str(root / "cache"),
            "JIFF_ASSETS": str(root / "assets"),
            "TERMINAL_WIDTH": "200",
        }
        self.words: dict[str, list[str]] = {}
        self.said: dict[str, subprocess.CompletedProcess[str]] = {}
        self._failed: dict[str, str] = {}

    def jiff(
        self, *words: object, status: int | None = 0, prepare: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the real command line and check its exit status (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "jiff_cli", *map(str, words)],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=600,
            preexec_fn=prepare,
        )
        said = f"jiff {' '.join(map(str, words))}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert status is None or done.returncode == status, said
        assert "Traceback" not in done.stdout + done.stderr, said
        return done

    def stage(self, name: str, *words: str) -> None:
        """Run a command once; a stage that failed fails again without running."""
        if name in self._failed:
            raise AssertionError(f"{name} failed before: {self._failed[name]}")
        if name in self.said:
            return
        self.words[name] = list(words)
        try:
            self.said[name] = self.jiff(*words)
        except AssertionError as error:
            self._failed[name] = str(error)[:300]
            raise

    @property
    def scans(self) -> Path:
        """Raw synthetic scans."""
        self.stage("synth", "data", "synth", "-o", "scans", "-n", "3", "--triangles", "40000", "--texture-size", "512", "--poses", "standing")  # fmt: skip
        return self.root / "scans"

    @property
    def rescaled(self) -> Path:
        """Rescaled scans, without PRT as yet or with it."""
        _ = self.scans
        self.stage("rescale", "data", "rescale", "-i", "scans", "-o", "rescaled")
        return self.root / "rescaled"

    @property
    def lit(self) -> Path:
        """Rescaled scans with PRT."""
        _ = self.rescaled
        self.stage("prt", "data", "prt", "-i", "rescaled", "-n", "16")
        return self.root / "rescaled"

    @property
    def rendered(self) -> Path:
        """Processed set without faces."""
        _ = self.lit
        words = ["data", "render", "-i", "rescaled", "-o", "data", "--yaws", "0,90,270", "--high-size", "256"]
        self.stage("render", *words, "--val-subjects", HELD_OUT)
        return self.root / "data"

    @property
    def data(self) -> Path:
        """Complete processed set."""
        _ = self.rendered
        self.stage("face", "data", "face", "-i", "data")
        self.stage("icp", "data", "icp", "-i", "data")
        return self.root / "data"

    @property
    def run(self) -> Path:
        """Trained networks of the three stages."""
        _ = self.data
        self.stage("shape", "train", "shape", *_TRAIN, "--max-steps", "200")
        self.stage("color_coarse", "train", "color-coarse", *_TRAIN, "--max-steps", "40")
        self.stage("color_fine", "train", "color-fine", *_TRAIN, "--max-steps", "20")
        return self.root / "runs" / "walk"

    @property
    def test(self) -> Path:
        """Test folder with the frontal picture of the held-out person; faces are not found yet."""
        folder = self.root / "test"
        if not folder.is_dir():
            data = self.rendered
            folder.mkdir()
            (folder / f"{HELD_OUT}.jpg").write_bytes((data / "RENDER" / HELD_OUT / "0_0_00.jpg").read_bytes())
            (folder / f"{HELD_OUT}_mask.png").write_bytes((data / "MASK" / HELD_OUT / "0_0_00.png").read_bytes())  # fmt: skip
        return folder

    @property
    def pifu(self) -> Path:
        """Reconstructions without the face prior."""
        _ = self.run, self.test
        words = ["eval", "pifu", "-i", "test", "-o", "coarse", "--checkpoint", "runs/walk"]
        self.stage("eval_pifu", *words, "--resolution", RESOLUTION, "--device", "cpu")
        return self.root / "coarse"

    @property
    def jiff_results(self) -> Path:
        """Reconstructions with the face prior; the folder must not be called like the package."""
        _ = self.pifu
        self.stage("test_face", "data", "face", "-i", "test")
        self.stage("align", "eval", "align", "--pifu", "coarse", "--test", "test")
        words = ["eval", "jiff", "-i", "test", "-o", "fine", "--checkpoint", "runs/walk"]
        self.stage("eval_jiff", *words, "--resolution", RESOLUTION, "--device", "cpu")
        return self.root / "fine"

    @property
    def photo(self) -> Path:
        """A photo of another size, its person off-centre on a gray wall, with a mask beside it."""
        path = self.root / "photos" / "visitor.png"
        if not path.is_file():
            test = self.test
            path.parent.mkdir()
            with (
                Image.open(test / f"{HELD_OUT}.jpg") as image,
                Image.open(test / f"{HELD_OUT}_mask.png") as white,
            ):
                rgb, mask = np.asarray(image), np.asarray(white)
            wall = np.full((640, 560, 3), 128, np.uint8)
            inside = np.zeros((640, 560), np.uint8)
            inside[70:582, 30:542] = mask
            wall[70:582, 30:542][mask > 127] = rgb[mask > 127]
            Image.fromarray(wall).save(path)
            Image.fromarray(inside).save(path.with_name("visitor_mask.png"))
        return path

    @property
    def reconstructed(self) -> Path:
        """Result of the one-command reconstruction of ``photo``."""
        _ = self.run, self.photo
        words = ["reconstruct", "photos/visitor.png", "-o", "reconstructed", "--checkpoint", "runs/walk"]
        self.stage("reconstruct", *words, "--resolution", RESOLUTION, "--device", "cpu")
        return self.root / "reconstructed"

    @property
    def framed(self) -> Path:
        """Test folder made of ``photo``."""
        _ = self.photo
        self.stage("frame", "data", "frame", "-i", "photos", "-o", "framed")
        return self.root / "framed"

    @property
    def bodies(self) -> Path:
        """Test folder of somebody whose landmarks are known, with the body fitted."""
        folder = self.root / "bodies"
        if not folder.is_dir():
            folder.mkdir()
            write_framed(folder, "anna")
        self.stage("body", "data", "body", "-i", "bodies", "-j", "1")
        return folder

    @property
    def person_run(self) -> Path:
        """A prior-held network, trained on people whose photos were made without the networks that see people."""
        if not (self.root / "people").is_dir():
            write_people(self.root / "people", 2, 1)
        words = ["train", "person", "-i", "people", "--checkpoints-path", "runs", "--name", "held"]
        words += ["--view-channels", "8,8", "--head-channels", "8", "--hidden", "16", "--feature-dim", "8"]
        words += ["--max-steps", "2", "--batch-size", "1", "--preset", "default", "--device", "cpu"]
        self.stage("person", *words)
        return self.root / "runs" / "held"

    @property
    def normals(self) -> Path:
        """People with the normals of what is seen of them."""
        words = ["data", "normals", "-o", "normals", "-n", "2", "--views", "1", "--held-out", "2"]
        self.stage("normals", *words, "--texture-size", "256", "-j", "1")
        return self.root / "normals"

    @property
    def normals_run(self) -> Path:
        """A network of normals."""
        _ = self.normals
        words = ["train", "normals", "-i", "normals", "--checkpoints-path", "runs", "--name", "normals"]
        words += ["--channels", "8,8", "--crop-size", "32", "--max-steps", "2", "--batch-size", "1"]
        self.stage("train_normals", *words, "--device", "cpu")
        return self.root / "runs" / "normals"

    @property
    def demo(self) -> Path:
        """The whole demo at its smallest size, from nothing."""
        words = ["demo", "-o", "demo", "-n", "3", "--held-out", "1", "--network", "tiny", "--yaw-step", "90"]
        words += ["--shape-steps", "200", "--color-coarse-steps", "40", "--color-fine-steps", "20"]
        words += ["--person-people", "2", "--person-steps", "4"]
        words += ["--resolution", RESOLUTION, "--triangles", "40000", "--texture-size", "512", "--device", "cpu", "-j", "1"]  # fmt: skip
        self.stage("demo", *words)
        return self.root / "demo"
