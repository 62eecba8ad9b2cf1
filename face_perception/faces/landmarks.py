"""Indices of the 478 landmarks by part of the face.

The numbering is that of MediaPipe's attention mesh: 468 mesh points, then five points of each iris.
"Left" and "right" are the person's own, so the right eye is on the image's left.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.intp]


def _points(*indices: int) -> Indices:
    array = np.array(indices, np.intp)
    array.setflags(write=False)
    return array


NOSE_TIP = 4
SELLION = 168  # the deepest point of the nose's root, between the eyes
CHIN = 152
MOUTH_RIGHT = 61
MOUTH_LEFT = 291

# Corners of the eyes: the outer ones are near the ears, the inner ones near the nose.
RIGHT_OUTER_CANTHUS = 33
RIGHT_INNER_CANTHUS = 133
LEFT_INNER_CANTHUS = 362
LEFT_OUTER_CANTHUS = 263

# Lid margins from the outer to the inner canthus, both included. Points of the same position in the
# upper and the lower array lie above each other.
RIGHT_EYE_UPPER = _points(33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_EYE_LOWER = _points(33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER = _points(263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_EYE_LOWER = _points(263, 249, 390, 373, 374, 380, 381, 382, 362)

# Centre of the iris and four points on its rim.
RIGHT_IRIS_CENTRE = 468
LEFT_IRIS_CENTRE = 473
RIGHT_IRIS_RIM = _points(469, 470, 471, 472)
LEFT_IRIS_RIM = _points(474, 475, 476, 477)

# Edges of the brows from the temple to the nose.
RIGHT_BROW_UPPER = _points(70, 63, 105, 66, 107)
RIGHT_BROW_LOWER = _points(46, 53, 52, 65, 55)
LEFT_BROW_UPPER = _points(300, 293, 334, 296, 336)
LEFT_BROW_LOWER = _points(276, 283, 282, 295, 285)

# Edges of the lips from the right to the left corner of the mouth, both included. The outer edge
# borders on the skin, the inner edge on the opening of the mouth.
LIPS_OUTER_UPPER = _points(61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = _points(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = _points(78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = _points(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

# Outline of the face, clockwise in the image, starting at the forehead.
FACE_OVAL = _points(
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)

# The 68 points of iBUG 300-W, dlib and DWPose in their order: jaw from the right ear to the left,
# brows, bridge and base of the nose, eyes, outer and inner lips. The jaw points of the mesh lie on
# the outline that a camera in front of the face sees.
POINTS_68 = _points(
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
    *(78, 82, 13, 312, 308, 317, 14, 87),
)
# Points whose convex hull covers the nose from its bridge to its wings.
NOSE_HULL = _points(6, 197, 4, 1, 2, 97, 326, 98, 327, 64, 294, 129, 358, 48, 278, 49, 279)
