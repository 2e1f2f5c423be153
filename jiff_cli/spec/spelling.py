"""Old spellings of options: underscores, letter case, lists without commas, options that lost their meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jiff.base.config import canonical
from jiff.base.errors import UsageError

_NUMBERS = re.compile(r"[-+]?(\d|\.\d)[\d.eE+,-]*")


@dataclass(frozen=True)
class Known:
    """One option of a command, as far as spelling is concerned.

    Attributes:
        spellings: everything it can be called, e.g. ``("--num-stack",)`` or ``("--egl", "-e")``.
        takes_value: whether a value follows.
        numbers: whether it takes a list of numbers, which may then be separated by spaces.
    """

    spellings: tuple[str, ...]
    takes_value: bool
    numbers: bool = False


@dataclass(frozen=True)
class Retired:
    """A published option that has no meaning here.

    Attributes:
        reason: one sentence: why, and what to do instead.
        accepts: values that ask for what happens anyway; they pass in silence. None: any value passes.
        takes_value: False for switches.
    """

    reason: str
    accepts: tuple[str, ...] | None = ()
    takes_value: bool = True


def _is_option(token: str) -> bool:
    return len(token) > 1 and token[0] == "-" and not _NUMBERS.fullmatch(token)


class Speller:
    """Rewrites the words of a command line into the spellings that the command declares."""

    def __init__(self, known: list[Known], retired: Mapping[str, Retired]) -> None:
        self.known = tuple(known)
        self._exact = {spelling: item for item in known for spelling in item.spellings}
        self._loose = {
            canonical(spelling): spelling
            for item in known
            for spelling in item.spellings
            if spelling.startswith("--") or len(spelling) > 2
        }
        self._retired = {self._key(name): (name, item) for name, item in retired.items()}

    def rewrite(self, words: list[str]) -> list[str]:
        """Return ``words`` with every option in its declared spelling; values and what follows ``--`` stay.

        Raises:
            UsageError: an option that has no meaning here is given with a value that asks for something else.
        """
        out: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                return [*out, word, *rest]
            if not _is_option(word):
                out.append(word)
                continue
            name, equals, value = word.partition("=")
            long_form = name.startswith("--")
            if name not in self._exact and long_form:
                name = self._loose.get(canonical(name), name)
            if name in self._exact:
                item = self._exact[name]
                out.append(name + equals + value)
                if item.takes_value and not equals:
                    out.extend(self._value(item, rest))
                elif item.takes_value and item.numbers and self._gather(rest):
                    out[-1] = ",".join([out[-1], *self._take(rest)])
            elif self._key(name) in self._retired:
                self._retire(name, value if equals else None, rest)
            elif not long_form and self._cluster_takes_value(name) and rest:
                out += [word, rest.pop(0)]
            else:
                out.append(word)
        return out

    @staticmethod
    def _key(name: str) -> str:
        """Return what retired options are found by: short ones as they are, long ones however they are spelled."""
        return name if len(name) == 2 and name[0] == "-" else canonical(name)

    @staticmethod
    def _gather(rest: list[str]) -> bool:
        return bool(rest) and _NUMBERS.fullmatch(rest[0]) is not None

    def _take(self, rest: list[str]) -> list[str]:
        taken = []
        while self._gather(rest):
            taken.append(rest.pop(0))
        return taken

    def _value(self, item: Known, rest: list[str]) -> list[str]:
        if item.numbers and self._gather(rest):
            return [",".join(self._take(rest))]
        return [rest.pop(0)] if rest else []

    def _retire(self, name: str, value: str | None, rest: list[str]) -> None:
        published, item = self._retired[self._key(name)]
        if item.takes_value and value is None:
            values = self._take(rest) or ([rest.pop(0)] if rest else [])
            value = ",".join(values)
        if item.accepts is None or (value is not None and value in item.accepts):
            return
        shown = published if published.startswith("-") else "--" + published.replace("_", "-")
        raise UsageError(f"{shown}: {item.reason}")

    def _cluster_takes_value(self, word: str) -> bool:
        for index, letter in enumerate(word[1:], start=1):
            item = self._exact.get(f"-{letter}")
            if item is None:
                return False
            if item.takes_value:
                return index == len(word) - 1
        return False
