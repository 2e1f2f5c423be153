"""Parse the text of a Wavefront OBJ into arrays: vectorised over lines, exact about what each line may hold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.geometry.io.obj_colors import complete_colors, polypaint
from jiff.geometry.io.polygons import clip_concave

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_INDEX = -1
_MISSING = np.iinfo(np.int64).min
_SPACE, _SLASH, _NEWLINE = b" /\n"
# Everything that separates words inside a line becomes a blank.
_BLANKS = bytes.maketrans(b"\t\v\f", b"   ")
_NUMBER_BYTE = np.isin(np.arange(256), np.frombuffer(b"0123456789-+", np.uint8))
_FACE_BYTE = _NUMBER_BYTE | np.isin(np.arange(256), [_SPACE, _SLASH, _NEWLINE])
_LONGEST_KEY = 8


@dataclass(frozen=True)
class ObjData:
    """Everything of an OBJ that a scan needs; polygons are fanned into triangles, in file order.

    Attributes:
        positions: [V, 3] float64.
        colors: [V, 3] RGB in [0, 1] from ``v x y z r g b`` or ZBrush's ``#MRGB``, or None.
        uv: [T, 2], or None.
        normals: [N, 3] as written, or None.
        corners: [F, 3] rows of ``positions``.
        corners_uv: [F, 3] rows of ``uv`` (-1 where a face has none), or None.
        corners_normal: [F, 3] rows of ``normals`` (-1 where a face has none), or None.
        material: [F] index of ``materials``, -1 before the first ``usemtl``.
        materials: names, in order of first use.
        libraries: names of MTL files as written.
        uncolored: number of vertices without a colour (or one that is no number) in a file with colours; these have that of
            their neighbours.
    """

    positions: NDArray[np.float64]
    corners: NDArray[np.int64]
    colors: NDArray[np.float64] | None = None
    uv: NDArray[np.float64] | None = None
    normals: NDArray[np.float64] | None = None
    corners_uv: NDArray[np.int64] | None = None
    corners_normal: NDArray[np.int64] | None = None
    material: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    materials: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    uncolored: int = 0


class _Lines:
    """The lines of a file, found and told apart by their first word."""

    def __init__(self, blob: bytes) -> None:
        blob = blob.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")
        if b"\r" in blob:
            blob = blob.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blob = blob.translate(_BLANKS) + b"\n"
        if blob.startswith(b" ") or b"\n " in blob:
            blob = b"\n".join(line.lstrip() for line in blob.split(b"\n"))
        self.blob = blob
        # Padded, so that the first word of the last line can be compared with any key.
        self.bytes = np.frombuffer(blob + b"\n" * _LONGEST_KEY, np.uint8)
        self.ends = np.flatnonzero(self.bytes[: len(blob)] == _NEWLINE)
        self.starts = np.concatenate([[0], self.ends[:-1] + 1])

    def select(self, key: bytes) -> NDArray[np.int64]:
        """Return the numbers of the lines whose first word is ``key``."""
        chosen = np.arange(len(self.starts))
        for offset, byte in enumerate(key + b" "):
            chosen = chosen[self.bytes[self.starts[chosen] + offset] == byte]
        return chosen

    def words(self, key: bytes) -> list[tuple[int, str]]:
        """Return (line number, text after the key) of each line that starts with ``key``."""
        return [
            (
                line,
                self.blob[self.starts[line] + len(key) : self.ends[line]].decode("utf-8", "replace").strip(),
            )
            for line in self.select(key).tolist()
        ]

    def text(self, lines: NDArray[np.int64], key: bytes) -> NDArray[np.uint8]:
        """Return the bytes of the given ascending lines with their line ends, the key blanked out."""
        if len(lines) == 0:
            return np.zeros(0, np.uint8)
        breaks = np.flatnonzero(np.diff(lines) != 1)
        first = self.starts[lines[np.concatenate([[0], breaks + 1])]]
        last = self.ends[lines[np.concatenate([breaks, [len(lines) - 1]])]] + 1
        joined = b"".join(self.blob[a:b] for a, b in zip(first.tolist(), last.tolist()))
        array = np.frombuffer(joined, np.uint8).copy()
        begins = np.concatenate([[0], np.flatnonzero(array == _NEWLINE)[:-1] + 1])
        for offset in range(len(key)):
            array[begins + offset] = _SPACE
        return array


def _parse_numbers(text: bytes, dtype: type) -> NDArray:
    """Return the numbers of blank-separated ``text``; fewer than there are words when one is none."""
    try:
        with warnings.catch_warnings():
            # NumPy below 2.3 warns about such a word where later ones raise.
            warnings.simplefilter("ignore", DeprecationWarning)
            return np.fromstring(text, dtype=dtype, sep=" ")
    except ValueError:
        return np.zeros(0, dtype)


def _run_starts(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where runs of True begin."""
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    return np.flatnonzero(begins)


def _count_per_line(positions: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(np.searchsorted(positions, ends), prepend=0)


def _float_rows(lines: _Lines, key: bytes, columns: int, path: Path, what: str) -> NDArray[np.float64]:
    """Return [N, K] numbers of the lines that start with ``key``; what a line lacks beyond ``columns`` is nan."""
    text = lines.text(lines.select(key), key)
    if len(text) == 0:
        return np.zeros((0, columns))
    ends = np.flatnonzero(text == _NEWLINE)
    counts = _count_per_line(_run_starts((text != _SPACE) & (text != _NEWLINE)), ends)
    width = int(counts.min())
    if width < columns:
        raise MeshError(
            f"{path}: a {what} has {width} instead of {columns} numbers; the file is damaged, export it again."
        )
    values = _parse_numbers(text.tobytes(), np.float64)
    if len(values) != counts.sum():
        raise MeshError(f"{path}: a {what} line holds something that is not a number; export the scan again.")
    most = int(counts.max())
    if width == most:
        return values.reshape(-1, width)
    table = np.full((len(counts), most), np.nan)
    table[np.arange(most) < counts[:, None]] = values
    return table


def _fan(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return [F, 3] corner numbers of polygons with ``counts`` corners laid end to end, and [F] the polygon of each."""
    offsets = np.cumsum(counts) - counts
    triangles = np.maximum(counts - 2, 0)
    polygon = np.repeat(np.arange(len(counts)), triangles)
    step = np.arange(len(polygon)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    first = offsets[polygon]
    return np.stack([first, first + step + 1, first + step + 2], axis=1), polygon


def _face_table(
    lines: _Lines, selected: NDArray[np.int64], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return [C, 3] raw indices (v, vt, vn; ``_MISSING`` where left out) of all corners, and corners per line."""
    damaged = MeshError(f"{path}: a face line cannot be read; the file is damaged, export it again.")
    text = lines.text(selected, b"f")
    is_number, is_slash = _NUMBER_BYTE[text], text == _SLASH
    if not _FACE_BYTE[text].all():
        raise damaged
    words, numbers, slashes = (
        _run_starts(is_number | is_slash),
        _run_starts(is_number),
        np.flatnonzero(is_slash),
    )
    values = _parse_numbers(text.tobytes().replace(b"/", b" "), np.int64)
    if len(values) != len(numbers):
        raise damaged
    word = np.searchsorted(words, numbers, side="right") - 1
    place = np.searchsorted(slashes, numbers) - np.searchsorted(slashes, words)[word]
    table = np.full((len(words), 3), _MISSING)
    if len(place) and place.max() > 2:
        raise damaged
    table[word, place] = values
    if (table[:, 0] == _MISSING).any():
        raise damaged
    return table, _count_per_line(words, np.flatnonzero(text == _NEWLINE))


def _rows(
    index: NDArray[np.int64], count: int, lines: _Lines, key: bytes, corner_line: NDArray[np.int64], what: str
) -> NDArray[np.int64]:
    """Turn 1-based or negative indices into rows; a negative one counts back from what is defined above its line."""
    present = index != _MISSING
    rows = np.where(present, index - 1, NO_INDEX)
    backwards = present & (index < 0)
    if backwards.any():
        above = np.searchsorted(lines.select(key), corner_line[backwards])
        rows[backwards] = above + index[backwards]
    if (present & ((rows < 0) | (rows >= count))).any():
        raise ValueError(what)
    return rows


def parse_obj(path: Path | str) -> ObjData:
    """Read an OBJ file.

    Raises:
        MeshError: unreadable, empty or damaged file.
    """
    path = Path(path)
    try:
        blob = path.read_bytes()
    except FileNotFoundError as error:
        raise MeshError(f"{path}: no such file; check the path.") from error
    except OSError as error:
        raise MeshError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    if b"\0" in blob[:4096]:
        raise MeshError(f"{path}: is not a text file; export the scan again as OBJ.")
    lines = _Lines(blob)
    del blob
    selected = lines.select(b"f")
    positions = _float_rows(lines, b"v", 3, path, "vertex")
    if len(positions) == 0 or len(selected) == 0:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    uv = _float_rows(lines, b"vt", 1, path, "texture coordinate")
    normals = _float_rows(lines, b"vn", 3, path, "vertex normal")
    table, counts = _face_table(lines, selected, path)
    corner_line = np.repeat(selected, counts)
    try:
        rows = [
            _rows(table[:, 0], len(positions), lines, b"v", corner_line, "vertex"),
            _rows(table[:, 1], len(uv), lines, b"vt", corner_line, "texture coordinate"),
            _rows(table[:, 2], len(normals), lines, b"vn", corner_line, "normal"),
        ]
    except ValueError as error:
        raise MeshError(
            f"{path}: a face refers to a {error} that does not exist; the file is damaged, export it again."
        ) from error
    corner, polygon = _fan(counts)
    if len(corner) == 0:
        raise MeshError(f"{path}: holds no triangles; export the scan again as a surface mesh.")
    corner = clip_concave(positions[:, :3], rows[0], counts, corner, polygon)
    material, materials = _materials(lines, selected)
    colors = (
        positions[:, 3:6] if positions.shape[1] >= 6 else polypaint(lines.words(b"#MRGB"), len(positions))
    )
    uncolored = 0
    if colors is not None:
        colors, uncolored = complete_colors(colors, rows[0][corner])
    return ObjData(
        positions=np.ascontiguousarray(positions[:, :3]),
        colors=colors,
        uncolored=uncolored,
        uv=_two_columns(uv) if len(uv) else None,
        normals=normals[:, :3] if len(normals) else None,
        corners=rows[0][corner],
        corners_uv=rows[1][corner] if len(uv) and (rows[1] >= 0).any() else None,
        corners_normal=rows[2][corner] if len(normals) and (rows[2] >= 0).any() else None,
        material=material[polygon],
        materials=materials,
        libraries=tuple(name for _, name in lines.words(b"mtllib") if name),
    )


def _two_columns(uv: NDArray[np.float64]) -> NDArray[np.float64]:
    # "vt u" alone is legal: v is 0 then.
    if uv.shape[1] == 1:
        return np.concatenate([uv, np.zeros_like(uv)], axis=1)
    return np.column_stack([uv[:, 0], np.where(np.isnan(uv[:, 1]), 0.0, uv[:, 1])])


def _materials(lines: _Lines, selected: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return [face lines] index of the material in force (-1: none), and the materials' names."""
    uses = lines.words(b"usemtl")
    names = tuple(dict.fromkeys(name for _, name in uses))
    index = np.array([NO_INDEX, *(names.index(name) for _, name in uses)])
    return index[np.searchsorted(np.array([line for line, _ in uses], dtype=np.int64), selected)], names
