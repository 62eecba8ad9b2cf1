"""Tests README and docs against the source tree: links, commands, tables, line width, and the
site.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from face_perception import cli
from face_perception.bringup import graph, launching
from face_perception.errors import MissingDependencyError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
WIDTH = 100
# Folders whose files a page may name.
FOLDERS = "|".join(
    ["bench", "config", "launch", "resources", "test", "tools", "face_perception"]
    + sorted(path.name for path in (ROOT / "face_perception").iterdir() if path.is_dir())
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> list[tuple[int, str]]:
    """Returns the numbered lines of a page outside code blocks and generated blocks."""
    text = re.sub(
        r"<!-- (.*?) -->.*?<!-- end of \1 -->",
        lambda block: "\n" * block[0].count("\n"),
        page.read_text(),
        flags=re.S,
    )
    lines, code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code:
            lines.append((number, line))
    return lines


def anchors(page: Path) -> list[str]:
    """Returns the anchors of a page's headings, as GitHub and the site form them."""
    headings = [line.lstrip("# ") for _, line in prose(page) if re.match(r"#+ ", line)]
    return [re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_headings_of_a_page_differ(page: Path) -> None:
    found = anchors(page)
    assert sorted(found) == sorted(set(found))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_not_longer_than_the_common_width(page: Path) -> None:
    if "Written by `face-perception" in page.read_text():
        pytest.skip("a command writes this page")
    # Tables cannot be wrapped, nor can a link or path that is longer than a line.
    long = [
        (number, line)
        for number, line in prose(page)
        if len(line) > WIDTH and not line.startswith("|") and " " in line.strip("-* ")[:WIDTH]
        if not re.search(r"\S{60,}", line)
    ]
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_rows_of_a_table_have_as_many_cells_as_its_header(page: Path) -> None:
    columns = 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("|"):
            columns = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        columns = columns or cells
        assert cells == columns, (number, line)


# Commands


def shell_lines(page: Path) -> Iterator[str]:
    """Yields the commands of a page: in shell blocks and in code within sentences."""
    text = page.read_text()
    for block in re.findall(r"```bash\n(.*?)```", text, re.S):
        yield from block.replace("\\\n", " ").splitlines()
    for block in re.findall(r"(?:^    face-perception .*\n)+", text, re.M):
        yield from (line.strip() for line in block.splitlines())
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    for code in re.findall(r"`([^`]+)`", text):
        yield " ".join(code.split())


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """Returns the parser of the innermost command that ``words`` name, and the words after it."""
    parser = cli._parser()
    while True:
        commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not commands or not words or words[0].startswith("-"):
            return parser, words
        # A page may name several commands at once: models quantize|compare.
        for word in words[0].split("|"):
            assert word in commands[0].choices, f"there is no command {word}"
        parser, words = commands[0].choices[words[0].split("|")[0]], words[1:]


def help_of(parser: argparse.ArgumentParser) -> str:
    """Returns what ``--help`` prints. It also completes the parser of ``import`` with its
    options.
    """
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        parser.parse_args(["--help"])
    return text.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_a_page_exist(page: Path) -> None:
    for line in shell_lines(page):
        match = re.match(r"(?:\. \S+ && |source \S+ && )?face-perception +(?=[a-z])(.*)", line)
        if not match or "SYSTEM" in line or "VERB" in line:
            continue
        words = shlex.split(match[1].split(" && ")[0].replace("…", ""), comments=True)
        parser, rest = parser_of([w.strip("[]") for w in words])
        if options := [w.split("=")[0] for w in rest if w.startswith("--")]:
            try:
                known = help_of(parser)
            except MissingDependencyError:
                continue  # the options of `import` are known only with PyTorch
            for option in options:
                assert re.search(rf"{option}\b", known), f"{line}: there is no {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_of_a_page_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in shell_lines(page):
        match = re.match(r"make ([a-z][a-z-]*)((?: +[A-Z]+=\S+)*)", line)
        if match:
            assert re.search(rf"^{match[1]}:", makefile, re.M), line
            for variable in re.findall(r"([A-Z]+)=", match[2]):
                assert f"$({variable})" in makefile, line


def launch_arguments(*files: str) -> list[str]:
    """Returns the argument names that the launch files declare (default: of all files)."""
    paths = [ROOT / "launch" / f for f in files] or [*(ROOT / "launch").glob("*.py")]
    text = "".join(path.read_text() for path in [*paths, Path(launching.__file__)])
    return re.findall(r'declare_argument\(\s*"(\w+)"', text)


@pytest.mark.parametrize(
    ("file", "pages"),
    [("perception", ("robot.md",)), ("avatar", ("robot.md", "avatar.md", "nodes/*.md"))],
)
def test_launch_arguments_are_documented(file: str, pages: tuple[str, ...]) -> None:
    page = "".join(found.read_text() for name in pages for found in DOCS.glob(name))
    names = launch_arguments(f"{file}.launch.py")
    assert {"namespace", "respawn"} <= set(names)
    for name in names:
        assert f"`{name}`" in page or f"{name}:=" in page, name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_launch_arguments_of_a_page_exist(page: Path) -> None:
    names = {*launch_arguments(), *(node.name for node in graph.NODES)}
    for line in shell_lines(page):
        if line.startswith("ros2 launch"):
            for argument in re.findall(r" (\w+):=", line):
                assert argument in names, f"{line}: there is no argument {argument}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_of_a_page_exist(page: Path) -> None:
    for line in shell_lines(page):
        for path in re.findall(rf"(?<![\w/~.])((?:{FOLDERS})/[\w/.-]+\.\w+)", line):
            if re.search("NAME|DATE|SYSTEM", path):
                continue  # stands for any file of that kind
            # A page may name a module without the folder of the package: gaze/geometric.py.
            places = (ROOT / path, ROOT / "face_perception" / path)
            assert any(place.exists() for place in places), f"{line}: there is no {path}"


def is_defined(dotted: str) -> bool:
    """Returns whether ``face_perception.a.b.name`` is a module, or a name in a module's source."""
    module, names = ROOT, dotted.split(".")
    while names and (module / names[0]).is_dir():
        module, names = module / names[0], names[1:]
    if names and module.joinpath(f"{names[0]}.py").exists():
        module, names = module / f"{names[0]}.py", names[1:]
    else:
        module = module / "__init__.py"
    return not names or bool(re.search(rf"\b{names[0]}\b", module.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_and_names_of_a_page_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"\bface_perception(?:\.\w+)+", text)
    for module, names in re.findall(r"^from (face_perception[\w.]*) import (.+)$", text, re.M):
        named += [f"{module}.{name}" for name in re.findall(r"\w+", names)]
    for dotted in named:
        generated = re.match(r"face_perception\.(msg|srv|action)\b", dotted)
        assert generated or is_defined(dotted), dotted


# Messages


def strings_of_the_source() -> str:
    """Returns all strings in the package, one a line; ``\0`` stands for what an f-string
    inserts.
    """
    found = []
    for path in sorted((ROOT / "face_perception").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "\0" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


# Messages of Fast DDS and of Python's faulthandler, which the pages explain as well.
FOREIGN = {
    *("[RTPS_TRANSPORT_SHM Error] Failed init_port", "SHM Transport is not supported"),
    *("Unable to Register", "Timeout (0:02:00)!"),
}


def test_messages_that_a_page_explains_exist() -> None:
    # In the tables of symptoms, code with a space is a message; "…" stands for data.
    strings = strings_of_the_source()
    missing = []
    for page in (DOCS / "troubleshooting.md", *(DOCS / "nodes").glob("*.md")):
        symptoms = re.findall(
            r"^\| what you see \|.*\n\|[-|]+\n((?:\|.*\n)+)", page.read_text(), re.M
        )
        for row in "".join(symptoms).splitlines():
            for message in re.findall(r"`([^`]* [^`]*)`", row.split("|")[1]):
                parts = [part.strip() for part in message.split("…")]
                missing += [
                    (name_of(page), message, part)
                    for part in parts
                    if part and part not in strings and part not in FOREIGN
                ]
    assert not missing


# The site


@pytest.mark.skipif(find_spec("material") is None, reason="pip install -r tools/docs.txt")
@pytest.mark.docs
def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    # Broken links, and pages that are in no menu, are warnings; --strict makes them errors. The API
    # reference reads the source: a site without it would miss these names.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "api" / "gaze" / "index.html").read_text()
    assert 'id="face_perception.gaze.GeometricGaze"' in page


def test_examples_of_docstrings_are_shown_as_code() -> None:
    pytest.importorskip("markdown")
    docs_hooks = importlib.import_module("tools.docs_hooks")
    lines = ["Adds.", "", ">>> 1 + 1", "2", "", "And ``>>> no`` more."]
    fenced = ["Adds.", "", "", "```pycon", ">>> 1 + 1", "2", "```", "", "And ``>>> no`` more."]
    assert docs_hooks.fence_examples(lines) == fenced
    assert docs_hooks.fence_examples([">>> 1"]) == ["", "```pycon", ">>> 1", "```"]


def test_the_site_asks_nobody_for_fonts() -> None:
    # Nothing in this project calls another machine unasked. That includes its documentation.
    assert "font: false" in (ROOT / "mkdocs.yml").read_text()
