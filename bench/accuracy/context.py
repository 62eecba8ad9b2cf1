"""Defines what a measure gets (data sets, cache) and returns (rows of the table)."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.accuracy import provenance
from bench.accuracy.data_sets import DataSet, Missing
from face_perception.statistics import Estimate

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``output`` is the product's output, ``figure`` what is measured of it,
    ``condition`` under which circumstances (empty: all). ``per`` names the groups that the interval
    is drawn over (empty: single samples).
    """

    output: str
    figure: str
    estimate: Estimate
    unit: str
    data: str
    condition: str = ""
    per: str = "person"


@dataclass(slots=True)
class Findings:
    """Rows of the table; ``details`` go into the JSON file only."""

    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure that can be run alone: its name, the sets it needs, and the function."""

    name: str
    sets: tuple[DataSet, ...]
    run: Callable[[Context], Findings]


class Context:
    """Folder of the data sets, cache, and ``donor``, a picture (see the module ``donor``)."""

    def __init__(self, data: Path, *, cache: Path | None = None, donor: Path | None = None) -> None:
        self.data = data
        self.donor = donor
        self.used: dict[str, dict[str, str]] = {}
        self._cache = cache

    def files(
        self,
        data_set: DataSet,
        pattern: str,
        keep: Callable[[Path], object] = lambda file: True,
        kept: str = "",
    ) -> list[Path]:
        """Returns the files of the set that match ``pattern``, sorted by name.

        Only files for which ``keep`` is true are returned; ``kept`` says which these are. Raises
        Missing if DATA has no such file.
        """
        folder = data_set.folder(self.data)
        found = sorted(p for p in folder.rglob(pattern) if ".git" not in p.parts and keep(p))
        if not found:
            like = " ".join(filter(None, (pattern, kept)))
            raise Missing(f"not measured: {folder} has no file like {like}")
        return found

    def use(self, data_set: DataSet, files: Iterable[Path]) -> str:
        """Records the files and their hashes as used. Returns one hash of all of them."""
        root = self.data / data_set.name
        known = self.used.setdefault(data_set.name, {})
        names = []
        for file in files:
            name = file.relative_to(root).as_posix()
            if name not in known:
                known[name] = hashlib.sha256(file.read_bytes()).hexdigest()
            names.append(name)
        return provenance.digest_of({name: known[name] for name in names})

    def remember(self, name: str, key: Sequence[str], make: Callable[[], T]) -> T:
        """Returns ``make()``, or its result from the cache for the same key, code and models."""
        if self._cache is None:
            return make()
        whole = provenance.digest_of(dict(enumerate([name, provenance.product(), *key])))
        path = self._cache / f"{name}-{whole[:16]}.pickle"
        if path.exists():
            with path.open("rb") as file:
                return pickle.load(file)  # type: ignore[no-any-return]
        made = make()
        self._cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(made))
        part.replace(path)
        return made


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """Yields the items, and prints a progress line on stderr now and then."""
    step = max(len(items) // 10, 50)
    for number, item in enumerate(items):
        if number and number % step == 0:
            print(f"  {what}: {number} of {len(items)}", file=sys.stderr, flush=True)
        yield item
