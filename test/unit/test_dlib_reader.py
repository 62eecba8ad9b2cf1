"""Tests of the reader of dlib's face recognition network, on files with random weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from dlib_file import face_recognition_file, number

from face_perception.inference import ModelError

pytest.importorskip("onnx", reason="conversion needs onnx")

from face_perception.inference.conversion.dlib_reader import BLOCKS, read_face_recognition
from face_perception.inference.conversion.face_recognition import face_recognition


@pytest.fixture(scope="module")
def written() -> bytes:
    return face_recognition_file()


def test_all_weights_are_read(written: bytes) -> None:
    weights = read_face_recognition(written)
    assert weights.mean.tolist() == [122, 117, 104]
    assert weights.first.filters.shape == (32, 3, 7, 7)
    assert (weights.first.stride, weights.first.padding) == (2, 0)
    shapes = [(one.filters.shape[:2], two.stride) for one, two in weights.blocks]
    channels = [32, *(out for out, _ in BLOCKS)]
    assert shapes == [((out, into), 1) for into, out in itertools.pairwise(channels)]
    assert weights.linear.shape == (256, 128)
    stored = sum(
        array.size
        for one in (weights.first, *(c for pair in weights.blocks for c in pair))
        for array in (one.filters, one.bias, one.scale, one.offset)
    )
    assert 0 < len(written) - 4 * (stored + weights.linear.size) < 20_000


@pytest.mark.parametrize("share", [0, 1e-7, 1e-5, 0.1, 0.5, 0.999_999])
def test_a_file_that_is_cut_off_is_refused(written: bytes, share: float) -> None:
    with pytest.raises(ModelError, match=r"dlib's face recognition.*cut off.*fetch it again"):
        read_face_recognition(written[: int(share * len(written))])


def test_other_files_are_refused(written: bytes) -> None:
    at = written.index(b"con_4") + 5
    broken = {
        "bytes after the network": written + b"\0",
        "a layer is": written.replace(b"affine_", b"bn_con2", 1),
        "number has 127 bytes": b"\x7f" + written[1:],
        "side of the input is 151": written.replace(number(150), number(151), 1),
        "size of a tensor is": written[: at + 2] + b"\x08" + b"\xff" * 8 + written[at + 5 :],
        "weight is not a finite": written[: at + 11] + b"\x00\x00\xc0\x7f" + written[at + 15 :],
        "margin is not a number": written.replace(number(-27), number(-32000), 1),
        "mean is not a number": written.replace(number(122), b"\x08" + b"\xff" * 8, 1),
        "a number has 60 bytes": b"<html>not found</html>",
    }
    for said, data in broken.items():
        with pytest.raises(ModelError, match=said):
            read_face_recognition(data)


def test_no_damaged_byte_of_the_header_does_more_than_raise(written: bytes) -> None:
    """Every byte before the first weight, and 200 drawn ones (seed 11), set to several values."""
    rng = np.random.default_rng(11)
    start = written[:5000]
    header = written.index(b"con_4") + 16
    for at in (*range(header), *rng.integers(header, 5000, 200)):
        for value in (0, 127, 255):
            data = bytearray(start)
            data[at] = value
            with pytest.raises(ModelError):
                read_face_recognition(bytes(data))


def test_the_graph_is_the_layers_in_numpy(written: bytes) -> None:
    """The first two layers, computed here, on one corner of a picture that is black elsewhere."""
    import onnx
    import onnxruntime

    model = onnx.load_from_string(face_recognition(written))
    first = next(n for n in model.graph.node if n.op_type == "Conv").output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(first, 1, None))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    face = np.random.default_rng(11).uniform(0, 255, (2, 150, 150, 3)).astype(np.float32)
    template, found = session.run(["template", first], {"face": face})
    weights = read_face_recognition(written)
    window = (face[1, 10:17, 20:27] - weights.mean) / 256
    value = np.einsum("oihw,hwi->o", weights.first.filters, window) + weights.first.bias
    wanted = value * weights.first.scale + weights.first.offset
    assert found[1, :, 5, 10] == pytest.approx(wanted, abs=1e-4)
    assert found.shape == (2, 32, 72, 72)
    assert template.shape == (2, 128)
    assert np.isfinite(template).all()
