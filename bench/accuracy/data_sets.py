"""Lists the public labelled sets: where they come from, and where the user puts them.

None of their pictures, labels or code is part of this project. They are for evaluation only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """A measure cannot be made; the message says what is missing and where to put it."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A public repository, cloned to DATA/``name``, and the folder ``inside`` it that is read.

    `git clone https://github.com/OWNER/NAME` in DATA puts it there.
    """

    name: str
    owner: str
    inside: str
    what: str
    licence: str
    page: str = ""  # where to ask for the set, if it is no repository

    @property
    def url(self) -> str:
        return self.page or f"https://github.com/{self.owner}/{self.name}"

    @property
    def source(self) -> str:
        """Name of the place that ``url`` leads to."""
        return self.page.split("/")[2] if self.page else f"{self.owner}/{self.name}"

    def folder(self, data: Path) -> Path:
        """Returns the folder that is read. Raises Missing if it does not exist."""
        found = data / self.name / self.inside
        if not found.is_dir():
            raise Missing(
                f"not measured: put {self.url} at {data / self.name} (its folder {self.inside} "
                "is read)"
            )
        return found


COLUMBIA = DataSet(
    "deepgaze",
    "adrianbublea",
    "data/dataset",
    "Columbia Gaze Data Set as gray eye bands: 56 people, 21 targets; the 1176 pictures with a "
    "straight head (0P) are read",
    "Columbia Gaze: non-commercial research; evaluate only",
)
TABLET = DataSet(
    "Geometric-Gaze-Estimation",
    "jamiekoe",
    "data/exp",
    "one person who looks at 40 + 5 targets on a tablet, with depth",
    "none stated: evaluate only",
)
MUXSPACE = DataSet(
    "facial_expressions",
    "muxspace",
    ".",
    "press photographs with expressions labelled by students; names from A to H are read",
    "repository MIT, photographs not: evaluate only",
)
CK = DataSet(
    "Facial-Expression-Recognition.Pytorch",
    "WuJie1010",
    "CK+48",
    "CK+ faces of 48x48; the last picture of each sequence is read",
    "CK+ agreement: evaluate only, keep no copies",
)
EMPTY = DataSet(
    "t-top",
    "introlab",
    ".",
    "photographs of robot parts without people; every second .jpg is read",
    "CC BY-NC-SA 4.0: evaluate only",
)
GRID = DataSet(
    "LipNet",
    "rizkiarm",
    "evaluation/samples/GRID",
    "ten clips of the GRID corpus, 3 s each, one speaker a clip",
    "GRID: free for research; evaluate only",
)
SPEECH = DataSet(
    "ten-vad",
    "TEN-framework",
    "testset",
    "30 recordings, 262 s, speech labelled to 10 ms",
    "Apache-2.0 with conditions: evaluate only",
)

AFLW = DataSet(
    "PRNet",
    "yfeng95",
    "TestImages/AFLW2000",
    "16 pictures of AFLW2000-3D with the head pose of a fitted 3-D face",
    "AFLW: non-commercial research; evaluate only",
)
JAFFE = DataSet(
    "jaffe",
    "",
    ".",
    "Japanese Female Facial Expression: 10 people who look at the lens with seven expressions; "
    "names such as KA.NE1.26.tiff",
    "JAFFE: non-commercial research, no redistribution; evaluate only",
    "https://zenodo.org/records/14974867",
)

SETS = (COLUMBIA, TABLET, JAFFE, MUXSPACE, CK, AFLW, EMPTY, GRID, SPEECH)


def description() -> str:
    """Returns the sets as text, one paragraph each."""
    return "\n".join(
        f"  DATA/{one.name}  {one.url}\n    {one.inside}: {one.what}.\n    {one.licence}"
        for one in SETS
    )
