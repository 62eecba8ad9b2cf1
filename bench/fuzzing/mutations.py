"""Makes inputs: bytes of a good file changed at random, and texts from a grammar (hypothesis)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import yaml
from damage import places_of

_TOKENS = (
    *(b"[", b"]", b"{", b"}", b"- ", b": ", b"&a ", b"*a", b"<<: ", b"!!int ", b"!!float ", b"\n"),
    *(b"!!binary ", b"!!timestamp ", b"2026-99-99", b"1e999", b".nan", b".inf", b"0x", b"null"),
    *(b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"PK\x03\x04", b"PK\x05\x06"),
    *(b"\x89PNG\r\n\x1a\n", b"IHDR", b"\xff\xd8\xff", b"\x93NUMPY", b"'descr': '|O'", b"RIFF"),
    *(b"9" * 400, b"-", b"\xed\xa0\x80", b"\xe2\x80\xae", b"../", b"/dev/zero", b"%YAML 1.0\n"),
)


def seeds_of_inputs(seed: int) -> Iterator[bytes]:
    """Yields endlessly 8 random bytes, from which a target makes one input."""
    rng = random.Random(seed)
    while True:
        yield rng.randbytes(8)


def changed(good: bytes, rng: random.Random) -> bytes:
    """Returns a copy with one to eight changes: bits, bytes, blocks, lengths or tokens."""
    data = bytearray(good)
    for _ in range(1 + min(int(rng.expovariate(0.7)), 7)):
        at = rng.randrange(len(data) + 1)
        length = min(1 + int(rng.expovariate(0.1)), 4096)
        kind = rng.randrange(9)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = rng.choice(_TOKENS)
        elif kind == 4:
            data[at:at] = rng.randbytes(length)
        elif kind == 5:
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 8, 64))
        elif kind == 6:
            data[at : at + 4] = rng.randrange(1 << 32).to_bytes(4, rng.choice(("little", "big")))
        elif kind == 7:
            del data[at:]
        else:
            other = rng.randrange(len(data) + 1)
            data[at : at + length] = data[other : other + length]
        if len(data) > 900_000:
            del data[900_000:]
    return bytes(data)


def from_grammar(good: bytes, language: str, count: int, seed: int) -> Iterator[bytes]:
    """Yields up to ``count`` texts of YAML or JSON that are like a good one.

    Values of any type, made by hypothesis, replace values of the good text, or all of it. Yields
    nothing if hypothesis is not installed.
    """
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError:
        return
    content = yaml.safe_load(good) if language == "yaml" else json.loads(good)
    places = list(places_of(content))
    leaves = (
        strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.sampled_from((10**40, -1, 0, 2**31, 2**63, 1e308))
        | strategies.floats()
        | strategies.text(max_size=40)
        | strategies.dates()
        | strategies.binary(max_size=20)
    )
    if language == "json":
        leaves = strategies.none() | strategies.booleans() | strategies.integers()
        leaves |= strategies.floats() | strategies.text(max_size=40)
    values = strategies.recursive(
        leaves,
        lambda inner: (
            strategies.lists(inner, max_size=5)
            | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=5)
        ),
        max_leaves=12,
    )
    made: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategies.sampled_from([*places, ()]), values)
    def make(place: tuple[Any, ...], value: Any) -> None:
        if not place:
            text = _dumped(value, language)
        else:
            at = content
            for key in place[:-1]:
                at = at[key]
            before, at[place[-1]] = at[place[-1]], value
            text = _dumped(content, language)
            at[place[-1]] = before
        made.append(text.encode("utf-8", "surrogatepass"))

    make()
    yield from made


def _dumped(value: Any, language: str) -> str:
    try:
        text: str = yaml.safe_dump(value) if language == "yaml" else json.dumps(value)
    except (yaml.YAMLError, UnicodeError, ValueError):
        return str(value)
    return text
