"""Every optional file: what it is for, its licence, where to get it and where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.assets.folders import assets_dir, cache_dir
from jiff.assets.wheel import Member, Wheel, checksum, verify_members, writable_place
from jiff.base.errors import AssetError, UsageError


@dataclass(frozen=True)
class Asset:
    """One optional file.

    Attributes:
        name: short name for ``jiff assets``.
        pattern: file name or glob inside the assets folder, with ``/`` for sub-folders.
        purpose: what jiff does with it.
        without: what happens without it.
        licence: in one or two words.
        source: page that describes it or hands it out.
        url: direct address, only where the licence lets anybody fetch it.
        sha256: checksum of the file behind ``url``, or of the published file.
        size: bytes of that file.
        folder: whether it is a folder.
        wheel: the Python wheel whose files fill that folder.
        later: what a folder of an earlier version is without, in a word.
    """

    name: str
    pattern: str
    purpose: str
    without: str
    licence: str
    source: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None
    folder: bool = False
    wheel: Wheel | None = None
    later: str = ""

    @property
    def fetchable(self) -> bool:
        """Whether the licence lets anybody fetch it."""
        return self.url is not None or self.wheel is not None

    def complete(self, path: Path) -> bool:
        """Tell whether what ``find`` returned holds all that this version of jiff uses."""
        return self.wheel is None or self.wheel.complete(path)

    def state(self, path: Path | None) -> str:
        """Return in words whether what ``find`` returned is there, and what it lacks."""
        if path is None:
            return "missing"
        return (
            "found"
            if self.complete(path)
            else f"found, without {self.later}: `jiff assets fetch {self.name}`"
        )

    @property
    def target(self) -> Path:
        """Where ``fetch`` puts it: the file of the address, else the pattern itself."""
        if self.wheel is not None:
            # A folder of files that all share may be read-only.
            return writable_place(assets_dir(), cache_dir() / "assets") / self.pattern
        name = self.url.rsplit("/", 1)[1] if self.url else self.pattern
        return assets_dir() / Path(self.pattern).parent / Path(name).name

    def find(self) -> Path | None:
        """Return the file that is there, the newest name first, or None."""
        if self.wheel is not None:
            places = [root / self.pattern for root in (assets_dir(), cache_dir() / "assets")]
            usable = [place for place in places if self.wheel.usable(place)]
            return next((place for place in usable if self.wheel.complete(place)), next(iter(usable), None))
        root = assets_dir()
        found = sorted(root.glob(self.pattern)) if root.is_dir() else []
        wanted = [path for path in found if path.is_dir() == self.folder]
        return wanted[-1] if wanted else None


_DEEP3D = "https://github.com/microsoft/Deep3DFaceReconstruction"
_BFM_WITHOUT = "--model bfm is not available"
_HELPERS = (
    ("BFM_front_idx.mat", "7d285dd018563113496127df9c364800183172adb4d3e802f726085dab66b087", 44880),
    ("BFM_exp_idx.mat", "62752a2cab3eea148569fb07e367e03535b4ee04aa71ea1a9aed36486d26c612", 91931),
    ("facemodel_info.mat", "529398f76619ae7e22f43c25dd60a2473bcc2bcc8c894fd9c613c68624ce1c04", 738861),
    ("select_vertex_id.mat", "6877a7d634330f25bf1e81bc062b6507ee53ea183838e471fa21b613048fa36b", 62299),
    ("similarity_Lm3D_all.mat", "53b83ce6e35c50ddc3e97603650cef4970320c157e75c241c844f29c1dcba65a", 994),
    ("std_exp.txt", "4abc20f1cad2471272637d366b511f1a44c2befeeb1353b7fff392ef72ed1203", 615),
)

_MEDIAPIPE = Wheel(
    "mediapipe==0.10.21",
    "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl",
    "956eb1ebc275c629e61b085b2cab89c3a5b9e93bad1bb107348d98dafb5a4bb5",
    (
        Member(
            "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
            "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            6_440_512,
        ),
        Member(
            "mediapipe/modules/face_landmark/face_landmark.tflite",
            "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
            1_242_398,
        ),
        Member(
            "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
            "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
            249_505,
        ),
        Member(
            "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
            "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
            5_478_917,
            later=True,
        ),
        Member(
            "mediapipe-0.10.21.dist-info/LICENSE",
            "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
            12_331,
        ),
    ),
)

ASSETS: tuple[Asset, ...] = (
    Asset(
        "perception",
        "mediapipe-0.10.21",
        "person, pose, face and hand points of photos (MediaPipe's networks)",
        "masks come from GrabCut and faces from OpenCV's cascades, which miss most people",
        "Apache-2.0",
        "https://pypi.org/project/mediapipe/0.10.21/",
        folder=True,
        wheel=_MEDIAPIPE,
        later="hands",
    ),
    Asset(
        "yunet",
        "face_detection_yunet_*.onnx",
        "face detection (YuNet)",
        "OpenCV's Haar cascades find fewer faces",
        "MIT",
        "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
        "face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        232_589,
    ),
    Asset(
        "bfm-front",
        "bfm/BFM_model_front.mat",
        "Basel Face Model, front (--model bfm)",
        _BFM_WITHOUT + " unless it is built from bfm2009 and exp-pca",
        "BFM, ask",
        _DEEP3D,
    ),
    Asset(
        "bfm2009",
        "bfm/01_MorphableModel.mat",
        "Basel Face Model 2009, to build bfm-front",
        _BFM_WITHOUT,
        "BFM, ask",
        "https://faces.dmi.unibas.ch/bfm/",
    ),
    Asset(
        "exp-pca",
        "bfm/Exp_Pca.bin",
        "expressions, to build bfm-front",
        _BFM_WITHOUT,
        "research only",
        "https://github.com/Juyong/3DFace",
    ),
    *(
        Asset(
            "bfm-" + name.split(".")[0].lower().removeprefix("bfm_").replace("_", "-"),
            f"bfm/{name}",
            "helper file of the Basel Face Model",
            _BFM_WITHOUT,
            "MIT",
            _DEEP3D,
            sha256=checksum,
            size=size,
        )
        for name, checksum, size in _HELPERS
    ),
    Asset(
        "deep3d",
        "deep3d/params.pt",
        "face coefficients of a photo (Deep3D network)",
        "the face is fitted to landmarks and the coarse reconstruction",
        "MIT, weights on request",
        "https://github.com/yuhaoooo/Deep3DFaceReconstruction-Pytorch",
    ),
    Asset(
        "flame",
        "flame/generic_model.pkl",
        "FLAME face model (--model flame)",
        "--model flame is not available",
        "FLAME, register",
        "https://flame.is.tue.mpg.de",
    ),
    Asset(
        "deca",
        "deca/deca_model.tar",
        "DECA weights, to make face meshes for --face-mesh",
        "any other face mesh can be given",
        "research only",
        "https://github.com/yfeng95/DECA",
    ),
    Asset(
        "thuman2",
        "THuman2.0",
        "526 scans for training",
        "jiff data synth writes free scans",
        "research only, ask",
        "https://github.com/ytrock/THuman2.0-Dataset",
        folder=True,
    ),
    Asset(
        "pifu-shape",
        "pifu/net_G",
        "published PIFu shape network",
        "train your own, or begin with jiff demo",
        "MIT",
        "https://github.com/shunsukesaito/PIFu",
    ),
    Asset(
        "pifu-color",
        "pifu/net_C",
        "published PIFu colour network",
        "train your own, or begin with jiff demo",
        "MIT",
        "https://github.com/shunsukesaito/PIFu",
    ),
)


def get_asset(name: str) -> Asset:
    """Return the asset called ``name``.

    Raises:
        UsageError: there is none of that name.
    """
    for asset in ASSETS:
        if asset.name == name.lower().replace("_", "-"):
            return asset
    raise UsageError(f"there is no optional file called {name!r}; 'jiff assets list' names them.")


def verify(asset: Asset, path: Path) -> str:
    """Check a file that is there, and return how it was checked.

    Raises:
        AssetError: it is empty or another file than the published one.
    """
    if asset.wheel is not None:
        return verify_members(asset.wheel, path, asset.name)
    if asset.folder:
        if not any(path.iterdir()):
            raise AssetError(f"{path}: is empty; put the scans of {asset.source} there.")
        return "folder holds files"
    size = path.stat().st_size
    if size == 0:
        raise AssetError(f"{path}: is empty; get it again from {asset.source}.")
    if asset.sha256 is None or (asset.url is not None and path.name != asset.target.name):
        return f"{size:,} bytes, no published checksum to compare"
    verify_published(asset, path)
    return "checksum agrees"


def verify_published(asset: Asset, path: Path) -> None:
    """Compare a file, whatever it is called, with the published one.

    Raises:
        AssetError: it is shorter, or another file.
    """
    size = path.stat().st_size
    if asset.size is not None and size < asset.size:
        raise AssetError(
            f"{path}: is cut off ({size} of {asset.size} bytes); get it again from {asset.source}."
        )
    if asset.sha256 is not None and checksum(path) != asset.sha256:
        raise AssetError(f"{path}: is another file than the published one; get it again from {asset.source}.")
