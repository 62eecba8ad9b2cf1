"""One ``Model`` for every network: cards, the cache they are fetched into, and what runs them."""

from face_perception.inference.captured import read_captured, write_captured
from face_perception.inference.catalogue import Card, ModelError, Port, catalogue, find
from face_perception.inference.export import build, export, make_variant, variant_of
from face_perception.inference.gate import Deviation
from face_perception.inference.measure import (
    Times,
    VariantReport,
    compare_variants,
    gemm_peak,
    time_in_turns,
)
from face_perception.inference.model import Model, load, recording
from face_perception.inference.store import Check, fetch, sample_photo, verify
from face_perception.inference.variants import VARIANTS, Variant

__all__ = [
    "VARIANTS",
    "Card",
    "Check",
    "Deviation",
    "Model",
    "ModelError",
    "Port",
    "Times",
    "Variant",
    "VariantReport",
    "build",
    "catalogue",
    "compare_variants",
    "export",
    "fetch",
    "find",
    "gemm_peak",
    "load",
    "make_variant",
    "read_captured",
    "recording",
    "sample_photo",
    "time_in_turns",
    "variant_of",
    "verify",
    "write_captured",
]
