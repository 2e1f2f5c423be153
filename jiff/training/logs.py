"""Logs of a run: one CSV that survives resuming without repeated rows, and TensorBoard curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jiff.base.errors import OutputError
from jiff.base.files import make_folder, write_text


class RunLog:
    """Rows of numbers by step.

    Attributes:
        rows: every row so far, those of the resumed run included.
    """

    def __init__(self, folder: Path, first_step: int, tensorboard: bool) -> None:
        """Open ``log.csv``; rows at or after ``first_step`` belong to a part that is run again and are dropped."""
        self._path = make_folder(folder) / "log.csv"
        self.rows: list[dict[str, Any]] = []
        if first_step > 0 and self._path.is_file():
            with open(self._path, newline="", encoding="utf-8") as handle:
                for row in csv.DictReader(handle):
                    parsed = {key: float(value) for key, value in row.items() if key and value}
                    if parsed.get("step", 0) <= first_step:
                        self.rows.append({**parsed, "step": int(parsed["step"])})
        self._columns: list[str] = []
        self._writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tb"), purge_step=first_step or None)
        self._rewrite()

    def _rewrite(self) -> None:
        """Write the whole file: at the start, and when a row brings a new column."""
        columns: dict[str, None] = {"step": None}
        for row in self.rows:
            columns.update(dict.fromkeys(row))
        self._columns = list(columns)
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self._path, buffer.getvalue())

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the numbers of a step; a second call for the same step completes its row."""
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(values)
            self._rewrite()
        else:
            row = {"step": step, **values}
            self.rows.append(row)
            if set(row) <= set(self._columns):
                self._append(row)
            else:
                self._rewrite()
        if self._writer is not None:
            for key, value in values.items():
                self._writer.add_scalar(key, value, step)

    def _append(self, row: Mapping[str, Any]) -> None:
        try:
            with open(self._path, "a", newline="", encoding="utf-8") as handle:
                csv.DictWriter(handle, self._columns, lineterminator="\n").writerow(row)
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written ({error.strerror}); free some space and run again with --continue-train."
            ) from error

    def add_image(self, step: int, name: str, image: Any) -> None:
        """Add an [H, W, 3] uint8 picture to TensorBoard."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._writer is not None:
            self._writer.close()


@dataclass
class Meters:
    """Sums since the last row of the log."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    data_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, values: dict[str, float], data_seconds: float, seconds: float) -> None:
        """Add a step: its losses, the seconds it waited for data, and all its seconds."""
        self.steps += 1
        self.data_seconds += data_seconds
        self.seconds += seconds
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return the means as a row of the log."""
        row = {key: value / self.steps for key, value in self.sums.items()}
        row["seconds_per_step"] = self.seconds / self.steps
        row["data_share"] = self.data_seconds / max(self.seconds, 1e-9)
        return row
