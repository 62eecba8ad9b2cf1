"""One ``Model`` for every network: cards, the cache they are fetched into, and what runs them."""

from face_perception.inference.batch_size import batch_for
from face_perception.inference.gate import Deviation, Disagreement
from face_perception.inference.measure import (
    Speed,
    Times,
    VariantReport,
    compare_variants,
    gemm_peak,
    overhead,
    speeds,
)
from face_perception.inference.model import Model, Progress, load, onnxruntime_version, recording
from face_perception.inference.models.cards import (
    UNTRAINED,
    Card,
    ModelError,
    Port,
    catalogue,
    find,
)
from face_perception.inference.models.derive import build, export, make_variant, variant_of
from face_perception.inference.models.install import Made, check_name, install
from face_perception.inference.models.store import Check, fetch, sample_photo, verify
from face_perception.inference.models.variants import VARIANTS, Variant
from face_perception.inference.reference_inputs import read_captured, write_captured
from face_perception.inference.tensorrt.api import tensorrt_version
from face_perception.inference.tensorrt.cuda import Gpu, find_gpu

__all__ = [
    "UNTRAINED",
    "VARIANTS",
    "Card",
    "Check",
    "Deviation",
    "Disagreement",
    "Gpu",
    "Made",
    "Model",
    "ModelError",
    "Port",
    "Progress",
    "Speed",
    "Times",
    "Variant",
    "VariantReport",
    "batch_for",
    "build",
    "catalogue",
    "check_name",
    "compare_variants",
    "export",
    "fetch",
    "find",
    "find_gpu",
    "gemm_peak",
    "install",
    "load",
    "make_variant",
    "onnxruntime_version",
    "overhead",
    "read_captured",
    "recording",
    "sample_photo",
    "speeds",
    "tensorrt_version",
    "variant_of",
    "verify",
    "write_captured",
]
