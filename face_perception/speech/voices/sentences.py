"""Splits text into sentences that a voice says one after the other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from face_perception.errors import InputError

LONGEST_TEXT = 20_000  # characters: about 20 minutes of speech
LONGEST_PIECE = 200  # characters: about 12 s of speech
# The first piece is shorter, because the listener waits for it.
_LONGEST_FIRST = 100
_LONGEST_WORD = 60  # characters; longer ones, such as addresses, are cut
# The end of a sentence, with closing quotes and brackets. A full stop needs a space after it.
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])")
_CLAUSE = re.compile(r"(?<=[,;:—–、，；：])\s*")
# A tag of SSML, XML or HTML. Not "a < b": a name follows "<" at once.
_TAG = re.compile(r"""</?[A-Za-z][\w:.-]*(\s+[\w:.-]+\s*=\s*("[^"<]*"|'[^'<]*'))*\s*/?>""")
# A comment, a document type, a processing instruction, and the marks around text of XML.
_MARK = re.compile(
    r"<!--.{0,2000}?-->|<![A-Za-z][^<>]{0,2000}>|<\?[^<>]{0,2000}\?>|<!\[CDATA\[|\]\]>", re.DOTALL
)
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
_ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "vs", "etc", "e.g", "i.e", "no", "jr", "sr", "approx"}
)


def split_text(text: str) -> list[str]:
    """Returns the sentences of a text, each on one line and at most ``LONGEST_PIECE`` long.

    Longer sentences are cut after a comma, else between words. Control characters, and tags and
    comments such as those of SSML, count as spaces.
    Raises InputError if the text is longer than ``LONGEST_TEXT`` or has no letter and no digit.

    >>> split_text("Dr. Smith is here.  He said: 'Hello!' Then he left")
    ['Dr. Smith is here.', "He said: 'Hello!'", 'Then he left']
    """
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"the text has {len(text)} characters: say at most {LONGEST_TEXT} at once, and the "
            "rest after that"
        )
    text = _TAG.sub(" ", _MARK.sub(" ", text))
    for entity, letter in _ENTITIES.items():
        text = text.replace(entity, letter)
    pieces: list[str] = []
    for line in re.split(r"[\r\n\v\f\x85\u2028\u2029]+", text):
        for sentence in _sentences(_plain(line)):
            pieces += _pieces(sentence, LONGEST_PIECE if pieces else _LONGEST_FIRST)
    pieces = [piece for piece in pieces if any(c.isalnum() for c in piece)]
    if not pieces:
        raise InputError("the text has no letter and no digit: there is nothing to say")
    return pieces


def _plain(line: str) -> str:
    """Returns a line with single spaces, and without control, private and unassigned characters.

    Surrogates, which are no characters, go too: no voice can be given them in UTF-8.
    """
    kept = (" " if unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") else c for c in line)
    return " ".join("".join(kept).split())


def _sentences(line: str) -> Iterator[str]:
    begin = 0
    for end in _SENTENCE.finditer(line):
        if _ends_sentence(line[begin : end.start()], line[end.end() :]):
            yield line[begin : end.end()].strip()
            begin = end.end()
    if line[begin:]:
        yield line[begin:]


def _ends_sentence(before: str, after: str) -> bool:
    """Returns whether a sentence ends between two parts of a line."""
    if not before.endswith("."):
        return True
    word = before[:-1].rpartition(" ")[2].lstrip("(\"'“‘").lower()
    initial = all(len(part) == 1 and part.isalpha() for part in word.split(".")) and word != "i"
    return not (initial or word in _ABBREVIATIONS or after[:1].islower())


def _pieces(sentence: str, longest: int) -> Iterator[str]:
    """Cuts a sentence into pieces, the first of at most ``longest`` characters."""
    piece = ""
    for part in _parts(sentence, longest):
        if piece and len(piece) + 1 + len(part) > longest:
            yield piece
            piece, longest = part, LONGEST_PIECE
        else:
            piece = f"{piece} {part}" if piece else part
    if piece:
        yield piece


def _parts(sentence: str, longest: int) -> Iterator[str]:
    """Yields a short sentence, else its clauses, or the words of clauses that are too long."""
    if len(sentence) <= longest:
        yield sentence
        return
    for clause in filter(None, _CLAUSE.split(sentence)):
        if len(clause) <= longest:
            yield clause
            continue
        for word in clause.split():
            for begin in range(0, len(word), _LONGEST_WORD):
                yield word[begin : begin + _LONGEST_WORD]
