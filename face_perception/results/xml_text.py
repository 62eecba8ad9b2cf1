"""Makes any text one that an XML file can hold."""

from __future__ import annotations

import re

# All but the characters of XML 1.0 (section 2.2): control characters, halves of characters.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Returns a text with U+FFFD in the place of each character that XML does not have.

    A name or marker from a file may have such characters. Readers of XML refuse the whole file.

    >>> xml_text("a & b") == "a & b", xml_text("a" + chr(0) + "b") == "a" + chr(0xFFFD) + "b"
    (True, True)
    """
    return _NOT_XML.sub("\ufffd", text)
