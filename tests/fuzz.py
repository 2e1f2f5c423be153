"""Mutated scans, photos, masks, PARAM, checkpoint and config files: each is read, or named in one sentence.

``make fuzz`` runs 10,000 (in tests: ``python -m fuzz --count 10000 --seed 0``) and prints the counts; the suite runs a few.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.config import read_config_file
from jiff.base.errors import JiffError
from jiff.data.param_io import read_param, write_param
from jiff.data.scans import find_scans
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh
from jiff.models.checkpoint import read_pth
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask
from jiff.photo.matting import given_matte
from jiff.pipelines.rescale import RescaleTask, rescale_scan

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_PER_FILE = 60
GIB = 2.0


class HangError(Exception):
    """A file took longer than ``SECONDS_PER_FILE``."""


def _body() -> Mesh:
    import trimesh

    ball = trimesh.creation.icosphere(2)
    vertices = ball.vertices * (0.3, 0.9, 0.2)
    uv = np.stack(
        [np.arctan2(vertices[:, 0], vertices[:, 2]) / 6.3 + 0.5, vertices[:, 1] / 1.8 + 0.5], axis=1
    )
    texture = np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8)
    return Mesh(
        vertices, ball.faces.astype(np.int64), uv=uv, faces_uv=ball.faces.astype(np.int64), texture=texture
    )


def corpus(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Write one good input of each kind; return kind -> (its folder, the file of it that is mutated)."""
    import torch
    import trimesh
    from PIL import Image

    made: dict[str, tuple[Path, Path]] = {}

    def add(kind: str, name: str) -> Path:
        (folder / kind).mkdir(parents=True)
        made[kind] = folder / kind, folder / kind / name
        return folder / kind / name

    body = _body()
    save_mesh(body, add("glb", "a.glb"))
    save_mesh(body, add("obj", "a.obj"))
    save_mesh(body, add("mtl", "a.obj"))
    made["mtl"] = made["mtl"][0], made["mtl"][0] / "material0.mtl"
    save_mesh(body, add("texture", "a.obj"))
    made["texture"] = made["texture"][0], made["texture"][0] / "material0.jpeg"
    plain = Mesh(body.vertices, body.faces, colors=np.full((len(body.vertices), 3), 0.5))
    save_mesh(plain, add("ply", "a.ply"))
    save_mesh(plain, add("obj_colors", "a.obj"))
    scene = trimesh.load_scene(made["glb"][1])
    target = add("gltf", "a.gltf")
    for name, blob in trimesh.exchange.gltf.export_gltf(scene).items():
        (target if name.endswith(".gltf") else target.with_name(name)).write_bytes(blob)
    photo = np.zeros((64, 48, 4), np.uint8)
    photo[8:56, 16:32] = 255
    Image.fromarray(photo).save(add("photo_png", "a.png"))
    for kind, suffix in (("photo_jpg", "jpg"), ("photo_webp", "webp"), ("photo_tiff", "tiff")):
        Image.fromarray(photo[..., :3]).save(add(kind, f"a.{suffix}"))
    Image.fromarray(photo[..., :3]).save(add("mask", "a.jpg"))
    made["mask"] = made["mask"][0], made["mask"][0] / "a_mask.png"
    Image.fromarray(photo[..., 3]).save(made["mask"][1])
    write_param(add("param", "a.npy"), {"scale": 1.0, "center": np.zeros(3), "R": np.eye(3), "name": "a"})
    torch.save({"epoch": 3, "netG": {"conv.weight": torch.zeros(4, 4)}}, add("pth", "a.pth"))
    add("yaml", "a.yaml").write_text("batch_size: 2\nname: a\nlearning_rate: 0.001\n")
    return made


def mutated(blob: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with one or two damages: cut, bytes, numbers, blocks doubled or removed, words replaced."""
    data = bytearray(blob)
    for _ in range(int(rng.integers(1, 3))):
        if not data:
            break
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
        kind = int(rng.integers(8))
        if kind == 0:
            del data[max(at, 1) :]
        elif kind == 1:
            data[at] = int(rng.integers(256))
        elif kind == 2:
            data[at : at + 4] = rng.choice(
                [b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\xc0\x7f"]
            )
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            data[at : at + length] = rng.integers(0, 256, length, np.uint8).tobytes()
        else:
            digits = [k for k in range(at, min(at + 400, len(data))) if 48 <= data[k] <= 57]
            word = rng.choice(
                [b"nan", b"inf", b"-1", b"1e308", b"999999999", b"null", b"{}", b"../../x", b""]
            )
            if digits:
                data[digits[0] : digits[0] + 1] = bytes(word)
    return bytes(data)


def _scan(folder: Path, file: Path, out: Path) -> None:
    for subject, source in find_scans(folder.parent).scans.items():
        rescale_scan(RescaleTask(subject, source, out / subject / f"{subject}.obj", 0.0, False))


def _photo(folder: Path, file: Path, out: Path) -> None:
    given_matte(next(p for p in folder.iterdir() if "_mask" not in p.name), read_image(file))


def _mask(folder: Path, file: Path, out: Path) -> None:
    read_mask(file, (64, 48))


def _param(folder: Path, file: Path, out: Path) -> None:
    read_param(file)


def _pth(folder: Path, file: Path, out: Path) -> None:
    read_pth(file)


def _yaml(folder: Path, file: Path, out: Path) -> None:
    read_config_file(file)


def _reader(kind: str) -> Callable[[Path, Path, Path], None]:
    if kind.startswith("photo"):
        return _photo
    return {"mask": _mask, "param": _param, "pth": _pth, "yaml": _yaml}.get(kind, _scan)


def _listing(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(folder.rglob("*")) if p.is_file()}


def try_one(kind: str, source: Path, name: str, seed: int, place: Path) -> str:
    """Mutate one file and read it; return "read", "named", or what was wrong (kind, seed and cause)."""
    rng = np.random.default_rng([seed, sum(kind.encode())])
    root = place / "one"
    shutil.rmtree(root, ignore_errors=True)
    folder, out = root / "a", place / "out"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, folder)
    (folder / name).write_bytes(mutated((source / name).read_bytes(), rng))
    before = _listing(place)
    label = f"{kind} seed {seed}"

    def hang(*_: Any) -> None:
        raise HangError

    signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS_PER_FILE)
    result = "read"
    heard: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            heard = caught
            warnings.simplefilter("always")
            _reader(kind)(folder, folder / name, out)
    except JiffError as error:
        text = str(error)
        result = (
            "named" if "\n" not in text and text.endswith((".", ")")) else f"{label}: no sentence: {text!r}"
        )
    except HangError:
        return f"{label}: hangs"
    except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
        return f"{label}: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    if heard:
        return f"{label}: warns {heard[0].message} ({heard[0].filename}:{heard[0].lineno})"
    after = _listing(place)
    outside = {k: v for k, v in after.items() if not k.startswith("out/") and before.get(k) != v}
    if outside or set(before) - set(after):
        return f"{label}: changed {sorted(outside) or sorted(set(before) - set(after))}"
    left = [k for k in after if k.startswith("out/")]
    if result == "named" and left:
        return f"{label}: left {left}"
    return result


def _work(job: tuple[str, str, str, int, int]) -> tuple[str, Counter[str], list[str], float]:
    kind, source, name, first, count = job
    counts: Counter[str] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as place:
        for seed in range(first, first + count):
            result = try_one(kind, Path(source), name, seed, Path(place))
            counts[result if result in ("read", "named") else "wrong"] += 1
            if result not in ("read", "named"):
                wrong.append(result)
    return kind, counts, wrong, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def run(count: int, seed: int, processes: int) -> tuple[dict[str, Counter[str]], list[str], float]:
    """Try ``count`` mutated files over all kinds; return counts by kind, what was wrong, and the peak memory in GiB."""
    counts: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    peak = 0.0
    with tempfile.TemporaryDirectory() as place:
        made = corpus(Path(place))
        each = -(-count // len(made))
        block = max(1, min(50, each))
        jobs = [
            (kind, str(folder), file.name, seed * 1_000_000 + first, min(block, each - first))
            for kind, (folder, file) in made.items()
            for first in range(0, each, block)
        ]
        if processes == 1:
            done = map(_work, jobs)
            pool = None
        else:
            pool = multiprocessing.get_context("spawn").Pool(processes)
            done = pool.imap_unordered(_work, jobs)
        for kind, part, lines, memory in done:
            counts.setdefault(kind, Counter()).update(part)
            wrong += lines
            peak = max(peak, memory)
        if pool is not None:
            pool.close()
            pool.join()
    return counts, wrong, peak


def main() -> int:
    """Run and print the counts; status 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    begin = time.monotonic()
    counts, wrong, peak = run(options.count, options.seed, options.processes)
    stream = io.StringIO()
    for kind, part in sorted(counts.items()):
        stream.write(f"{kind:12} read {part['read']:6} named {part['named']:6} wrong {part['wrong']:4}\n")
    total = sum((Counter(part) for part in counts.values()), Counter())
    stream.write(
        f"total        {json.dumps(dict(total))}, {time.monotonic() - begin:.0f} s, peak {peak:.2f} GiB\n"
    )
    stream.write("".join(f"  {line}\n" for line in wrong[:100]))
    sys.stdout.write(stream.getvalue())
    return 1 if wrong or peak > GIB else 0


if __name__ == "__main__":
    sys.exit(main())
