"""Loads and runs the networks: model cards, the model cache, backends, and the accuracy gate.

>>> import numpy as np
>>> from face_perception.inference import load
>>> model = load("face_mesh", backend="onnxruntime")
>>> outputs = model.infer({"image": np.zeros((1, 192, 192, 3), np.float32)})
>>> outputs["landmarks"].shape
(1, 478, 3)
"""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.inference.accuracy_gate import Deviation, Disagreement
    from face_perception.inference.batch_size import choose_batch_size
    from face_perception.inference.model import (
        Backend,
        Model,
        NetworkSettings,
        infer_batch,
        load,
        log_terms,
        onnxruntime_version,
        open_network,
        record_inputs,
    )
    from face_perception.inference.model_progress import ModelProgress
    from face_perception.inference.models.cards import UNTRAINED, Card, ModelError, Port
    from face_perception.inference.models.catalogue import catalogue, find_card, used_cards
    from face_perception.inference.models.derive import (
        build_tensorrt_engine,
        export_onnx_file,
        make_variant,
        read_variant,
    )
    from face_perception.inference.models.install import ModelBuild, check_model_name, install_model
    from face_perception.inference.models.purpose import ANY_NETWORK, Purpose
    from face_perception.inference.models.store import (
        FileCheck,
        download_wheel,
        fetch,
        library_archive,
        sample_photo,
        verify_models,
    )
    from face_perception.inference.models.variants import VARIANTS, Variant
    from face_perception.inference.reference_inputs import (
        read_reference_inputs,
        write_reference_inputs,
    )
    from face_perception.inference.speed_measurement import (
        CallTimes,
        VariantReport,
        compare_speeds,
        compare_variants,
        gemm_peak,
        infer_overhead,
        measure_speeds,
    )
    from face_perception.inference.tensorrt.api import tensorrt_version
    from face_perception.inference.tensorrt.cuda import Gpu, find_gpu
    from face_perception.inference.tensorrt.jetpack import find_jetpack, version_warning
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "ANY_NETWORK",
    "UNTRAINED",
    "VARIANTS",
    "Backend",
    "CallTimes",
    "Card",
    "Deviation",
    "Disagreement",
    "FileCheck",
    "Gpu",
    "Model",
    "ModelBuild",
    "ModelError",
    "ModelProgress",
    "NetworkSettings",
    "Port",
    "Purpose",
    "Variant",
    "VariantReport",
    "build_tensorrt_engine",
    "catalogue",
    "check_model_name",
    "choose_batch_size",
    "compare_speeds",
    "compare_variants",
    "download_wheel",
    "export_onnx_file",
    "fetch",
    "find_card",
    "find_gpu",
    "find_jetpack",
    "gemm_peak",
    "infer_batch",
    "infer_overhead",
    "install_model",
    "library_archive",
    "load",
    "log_terms",
    "make_variant",
    "measure_speeds",
    "onnxruntime_version",
    "open_network",
    "read_reference_inputs",
    "read_variant",
    "record_inputs",
    "sample_photo",
    "tensorrt_version",
    "used_cards",
    "verify_models",
    "version_warning",
    "write_reference_inputs",
]
