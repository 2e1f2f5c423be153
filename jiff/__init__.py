"""jiff: from 3D scans to a trained JIFF network, and from one photo to a coloured mesh with a good face.

``jiff.reconstruct``, ``jiff.fit_body``, ``jiff.fit_face``, ``jiff.render_views`` and ``jiff.radiance_transfer`` are the
library; they are loaded when they are first used, so that ``import jiff`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jiff.api.body import FittedBody, fit_body
    from jiff.api.face import FittedFace, fit_face
    from jiff.api.person import Person, reconstruct
    from jiff.api.views import Views, radiance_transfer, render_views
    from jiff.base.errors import JiffError
    from jiff.geometry.io.mesh_io import load_mesh, save_mesh
    from jiff.geometry.mesh import Mesh
    from jiff.render.prt_io import Prt

__version__ = "0.1.0"

__all__ = [
    "FittedBody",
    "FittedFace",
    "JiffError",
    "Mesh",
    "Person",
    "Prt",
    "Views",
    "__version__",
    "fit_body",
    "fit_face",
    "load_mesh",
    "radiance_transfer",
    "reconstruct",
    "render_views",
    "save_mesh",
]

_HOMES = {
    "FittedBody": "jiff.api.body",
    "FittedFace": "jiff.api.face",
    "JiffError": "jiff.base.errors",
    "Mesh": "jiff.geometry.mesh",
    "Person": "jiff.api.person",
    "Prt": "jiff.render.prt_io",
    "Views": "jiff.api.views",
    "fit_body": "jiff.api.body",
    "fit_face": "jiff.api.face",
    "load_mesh": "jiff.geometry.io.mesh_io",
    "radiance_transfer": "jiff.api.views",
    "reconstruct": "jiff.api.person",
    "render_views": "jiff.api.views",
    "save_mesh": "jiff.geometry.io.mesh_io",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    packages = {name for name in globals() if not name.startswith("_")} - {"TYPE_CHECKING", "annotations"}
    return sorted({*__all__, *packages})
