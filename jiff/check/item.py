"""The outcome of checking one scan or one subject."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PASS, FIX, REJECT = "pass", "fix", "reject"


@dataclass
class CheckItem:
    """What was found out about one scan or subject.

    Attributes:
        name: of the scan or subject.
        verdict: "pass" (use it), "fix" (a named command mends it) or "reject".
        problems: sentences, worst first.
        facts: measurements, plain values.
        tiles: pictures [H, W, 3] uint8 for the contact sheet.
    """

    name: str
    verdict: str = PASS
    problems: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    tiles: list[NDArray[np.uint8]] = field(default_factory=list)

    def fix(self, problem: str) -> None:
        """Note something that a command can mend."""
        self.problems.append(problem)
        if self.verdict == PASS:
            self.verdict = FIX

    def reject(self, problem: str) -> None:
        """Note something that makes the item unusable as it is."""
        self.problems.insert(0, problem)
        self.verdict = REJECT

    def sentence(self) -> str:
        """Return all problems as one line; empty when there are none."""
        return " ".join(self.problems)

    def plain(self) -> dict[str, Any]:
        """Return the item without its pictures, for JSON."""
        return {"verdict": self.verdict, "problems": self.problems, **self.facts}
