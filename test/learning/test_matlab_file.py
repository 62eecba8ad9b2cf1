"""Tests reading MATLAB files, against SciPy's writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.learning.data.matlab_file import read_matlab_arrays

scipy_io = pytest.importorskip("scipy.io")

ARRAYS: dict[str, Any] = {
    "matrix": np.arange(9.0).reshape(3, 3),
    "row": np.array([[1.5, -2.0]]),
    "small": np.array([[1, 2], [3, 4]], np.uint8),
    "x": np.array([[7]], np.int16),  # a short name in a small element
    "cube": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_of_numbers_are_read(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    others = {"text": "abc", "cell": np.array([1, "b"], object), "complex": np.array([[1j]])}
    scipy_io.savemat(path, {**ARRAYS, **others}, do_compression=compressed)
    found = read_matlab_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, want in ARRAYS.items():
        np.testing.assert_array_equal(found[name], want)


@pytest.mark.parametrize("compressed", [False, True])
def test_fields_of_structures_are_read(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    inner = {"gaze": ARRAYS["matrix"], "image": ARRAYS["cube"], "text": "abc"}
    several = np.array([(1,), (2,)], [("x", object)])
    scipy_io.savemat(
        path, {"data": {"left": inner, "n": 7}, "several": several}, do_compression=compressed
    )
    found = read_matlab_arrays(path)
    assert found.keys() == {"data.left.gaze", "data.left.image", "data.n"}
    np.testing.assert_array_equal(found["data.left.image"], ARRAYS["cube"])
    with pytest.raises((InputError, OSError)):
        read_matlab_arrays(path, most=100)


def test_many_compressed_arrays_count_together(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy_io.savemat(path, {f"zeros_{k}": np.zeros(50_000) for k in range(4)}, do_compression=True)
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match="would unpack to more than 1 MB"):
        read_matlab_arrays(path)


def test_another_type_of_the_numbers_is_no_array(tmp_path: Path) -> None:
    """SciPy's loadmat ends the process there."""
    path = tmp_path / "a.mat"
    scipy_io.savemat(path, {"matrix": ARRAYS["matrix"]})
    data = bytearray(path.read_bytes())
    at = data.index(b"\x09\0\0\0\x48\0\0\0")  # the tag of 72 bytes of double
    for kind in (0, 8, 10, 11, 16, 255):
        data[at] = kind
        path.write_bytes(data)
        assert "matrix" not in read_matlab_arrays(path)


def test_a_size_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy_io.savemat(path, {"matrix": ARRAYS["matrix"]})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x03\0\0\0\x03\0\0\0", b"\x03\0\0\0\x04\0\0\0"))
    with pytest.raises(InputError, match="9 numbers does not fit its size"):
        read_matlab_arrays(path)
    path.write_bytes(data[:-8])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_matlab_arrays(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InputError, match="not a MATLAB file of level 5"):
        read_matlab_arrays(path)
