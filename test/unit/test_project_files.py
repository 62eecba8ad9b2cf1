"""Tests that the project files agree with each other: versions, pins, citations, forms,
workflows.
"""

from __future__ import annotations

import re
import runpy
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VERSION = ET.parse(ROOT / "package.xml").findtext("version") or ""


def test_the_version_is_that_of_package_xml() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert str(cited) == VERSION
    newest = re.search(r"^(.+)\n-{3,}$", (ROOT / "CHANGELOG.rst").read_text(), re.M)
    assert newest is not None
    # The form that ROS's release tools read: a version with its date, or the name of the next
    # release.
    assert re.fullmatch(rf"{re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)|Forthcoming", newest[1])


def test_nothing_else_states_the_version() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml", "*.cfg", "mkdocs.yml", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    # What installs the package under its own name or sets its version.
    stated = re.compile(
        rf"""(?:^|[^\w])(?:__version__|version)\s*[=:]\s*["']?{re.escape(VERSION)}\b"""
        rf"""|face.perception[ =v]*{re.escape(VERSION)}\b"""
    )
    found = [f for f in tracked if (ROOT / f).is_file() and stated.search((ROOT / f).read_text())]
    assert found == []


def pins() -> dict[str, str]:
    text = (ROOT / "tools" / "test.txt").read_text()
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.M))


def test_pre_commit_uses_the_pinned_versions() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    used = {hook["id"]: repo["rev"] for repo in repositories for hook in repo["hooks"]}
    assert used["ruff"] == used["ruff-format"] == f"v{pins()['ruff']}"
    assert used["mypy"] == f"v{pins()['mypy']}"


def test_the_citation_has_what_the_format_asks_for() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    for reference in cited["references"]:
        assert {"type", "title", "authors", "year"} <= reference.keys()
        assert all({"family-names", "given-names"} <= a.keys() for a in reference["authors"])


PAPERS = ("GEDDnet", "Dilated-Net", "multitask", "multitask_rnn", "MIMAMO-Net", "MuseTalk")


@pytest.mark.parametrize("system", PAPERS)
def test_every_published_system_is_cited(system: str) -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert any(re.search(rf"\b{system}\b", r["notes"]) for r in cited["references"])


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda f: f.stem
)
def test_issue_forms_are_well_formed(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    fields = [item for item in content["body"] if item["type"] != "markdown"]
    ids = [item["id"] for item in fields]
    assert len(ids) == len(set(ids)) > 0
    for item in fields:
        assert item["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert item["attributes"]["label"]
        if item["type"] in ("dropdown", "checkboxes"):
            assert item["attributes"]["options"]


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda f: f.stem)
def test_workflows_change_nothing_and_name_files_that_exist(workflow: Path) -> None:
    text = workflow.read_text()
    content = yaml.safe_load(text)
    assert content["permissions"] == {"contents": "read"}
    assert all("runs-on" in job and "steps" in job for job in content["jobs"].values())
    for path in re.findall(r"\b((?:tools|config|launch)/[\w/-]+\.\w+)", text):
        assert (ROOT / path).exists(), path


def test_workflows_cover_every_python_and_ros_that_is_promised() -> None:
    def matrix(name: str, job: str) -> dict[str, list[str]]:
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
        found: dict[str, list[str]] = workflow["jobs"][job]["strategy"]["matrix"]
        return found

    assert matrix("unit.yml", "unit")["python"] == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert matrix("ros.yml", "ros")["distro"] == ["humble", "jazzy", "kilted", "lyrical"]


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [("1.21.5", "numpy<2"), ("1.26.4", "numpy<2"), ("2.3.4", "numpy"), (None, "numpy")],
)
def test_numpy_is_that_of_ros(installed: str | None, wanted: str) -> None:
    """Humble and Jazzy have NumPy 1, Lyrical has NumPy 2.3."""
    rule = runpy.run_path(str(ROOT / "tools" / "numpy_of_ros.py"))["requirement"]
    assert rule(installed) == wanted
    for page in ("README.md", "docs/robot.md", "tools/setup.sh"):
        assert "tools/numpy_of_ros.py" in (ROOT / page).read_text()


def scripts() -> list[Path]:
    """Returns the programs in tools/ and bench/, except the one that Docker runs bare."""
    files = [file for folder in ("tools", "bench") for file in (ROOT / folder).glob("*.py")]
    programs = [f for f in files if re.search(r"__main__|sys\.argv\[1", f.read_text())]
    return sorted(f for f in programs if f.name != "numpy_of_ros.py")


@pytest.mark.parametrize("script", scripts(), ids=lambda file: file.name)
def test_help_of_a_script_is_help(script: Path) -> None:
    """`make_head.py --help` wrote a file of that name, and `generate.py --help` wrote the pages."""
    text = script.read_text()
    assert re.search(r"ArgumentParser\(|import main$", text, re.M), "takes --help for an argument"
    assert "sys.argv[1" not in text
