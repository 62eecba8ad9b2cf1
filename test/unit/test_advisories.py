"""No version that our requirements allow has a known security hole (tools/advisories.yaml)."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LISTS = ("requirements.txt", *(f"tools/{path.name}" for path in (ROOT / "tools").glob("*.txt")))


def requirements() -> list[tuple[str, Requirement]]:
    """Returns all requirements, each with the file that states it."""
    found = []
    for name in LISTS:
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                found.append((name, Requirement(line)))
    extras = re.search(r"extras_require=\{(.*?)\n    \}", (ROOT / "setup.py").read_text(), re.S)
    assert extras is not None
    for text in re.findall(r'"([\w-]+>=[\w.]+)"', extras[1]):
        found.append(("setup.py", Requirement(text)))
    return found


def known() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "tools" / "advisories.yaml").read_text())
    return content


def affected(requirement: Requirement, advisory: dict[str, str]) -> bool:
    """Returns whether the lowest allowed version at or above ``introduced`` is below ``fixed``."""
    limits = [
        Version(limit.version)
        for limit in requirement.specifier
        if limit.operator in (">=", "==", "~=") and "*" not in limit.version
    ]
    lowest = max([Version(advisory.get("introduced", "0")), *limits])
    return lowest < Version(advisory["fixed"]) and requirement.specifier.contains(lowest)


def holes(wanted: list[tuple[str, Requirement]]) -> list[str]:
    content = known()
    accepted = {
        (canonicalize_name(entry["package"]), name)
        for entry in content["accepted"]
        for name in entry["ids"]
    }
    return [
        f"{file}: {requirement} allows {advisory['id']} ({advisory['what']}): "
        f"raise it to {advisory['fixed']}"
        for file, requirement in wanted
        for advisory in content["advisories"]
        if canonicalize_name(requirement.name) == canonicalize_name(advisory["package"])
        and (canonicalize_name(requirement.name), advisory["id"]) not in accepted
        and affected(requirement, advisory)
    ]


def test_no_lower_limit_meets_an_advisory() -> None:
    wanted = requirements()
    assert {"torch", "onnx", "Pillow", "opencv-python-headless"} <= {r.name for _, r in wanted}
    assert holes(wanted) == []


@pytest.mark.parametrize(
    "text",
    [
        "torch>=2.5",
        "torch==2.9.1",
        "onnx>=1.14",
        "pyarrow>=14",
        "pillow",
        "opencv-python-headless>=4.5.4,<5",
        "opencv-python-headless>=4.8.1.78,<5",
        "setuptools>=70.1,<80",
    ],
)
def test_a_hole_is_noticed(text: str) -> None:
    assert holes([("a file", Requirement(text))])


def test_the_list_says_from_when_it_is() -> None:
    content = known()
    assert isinstance(content["date"], datetime.date)
    for advisory in content["advisories"]:
        assert {"package", "id", "fixed", "what"} <= advisory.keys()
    assert all(entry["why"] for entry in content["accepted"])


def test_every_requirement_has_a_pinned_version() -> None:
    pinned = {
        canonicalize_name(Requirement(line).name)
        for line in (ROOT / "tools" / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    for file, requirement in requirements():
        exact = any(limit.operator == "==" for limit in requirement.specifier)
        if file in ("requirements.txt", "tools/avatar.txt", "tools/training.txt") and not exact:
            assert canonicalize_name(requirement.name) in pinned, f"{file}: {requirement}"


def test_the_set_up_uses_the_pinned_versions() -> None:
    script = (ROOT / "tools" / "setup.sh").read_text()
    assert script.index("tools/constraints.txt") < script.index("pip_install -r requirements.txt")
    assert 'export PIP_CONSTRAINT="$venv/constraints.txt"' in script
