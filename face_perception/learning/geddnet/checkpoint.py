"""``face-perception import geddnet``: makes the model ``geddnet`` from the published checkpoint."""

from __future__ import annotations

from face_perception.learning.geddnet.gaze_system import GazeSystem
from face_perception.learning.geddnet.tensorflow_variables import geddnet_from_variables

SYSTEM = GazeSystem(
    system="geddnet",
    model="geddnet",
    variables=131,
    task="gaze of one person from the face and both eyes (GEDDnet)",
    licence="none stated: GEDDnet is published without a licence file; ask its authors",
    read=geddnet_from_variables,
)

add_arguments, make = SYSTEM.add_arguments, SYSTEM.make
