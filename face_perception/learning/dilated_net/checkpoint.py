"""``face-perception import dilated-net``: makes the model ``dilated_net`` from a checkpoint."""

from __future__ import annotations

from face_perception.learning.dilated_net.network import dilated_net_from_variables
from face_perception.learning.geddnet.gaze_system import GazeSystem

SYSTEM = GazeSystem(
    system="dilated-net",
    model="dilated_net",
    variables=74,
    task="gaze of one person from both eyes (Dilated-Net)",
    licence="none stated: the authors of Dilated-Net publish no weights; ask whoever trained these",
    read=dilated_net_from_variables,
)

add_arguments, make = SYSTEM.add_arguments, SYSTEM.make
