"""Shows the examples of docstrings as code on the documentation site (see ``hooks`` in mkdocs.yml).

The docstrings are read as Markdown, where a line that starts with ``>>>`` would be a quotation.
"""

from __future__ import annotations

from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

_BEFORE_FENCES = 40  # priority: before the extension that reads ``` blocks (25)


def fence_examples(lines: list[str]) -> list[str]:
    """Returns the Markdown lines with each example in a code block.

    An example begins with ``>>>`` and ends at the next empty line, as for doctest.
    """
    fenced: list[str] = []
    inside = False
    for line in lines:
        if not inside and line.startswith(">>> "):
            fenced += ["", "```pycon"]
            inside = True
        elif inside and not line.strip():
            fenced.append("```")
            inside = False
        fenced.append(line)
    return [*fenced, "```"] if inside else fenced


class _Preprocessor(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return fence_examples(lines)


class _Examples(Extension):
    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(_Preprocessor(md), "docstring_examples", _BEFORE_FENCES)


def on_config(config: Any) -> Any:
    """Adds the extension. MkDocs calls this."""
    config["markdown_extensions"].append(_Examples())
    return config
