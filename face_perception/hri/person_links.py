"""Which face is linked to which person, while the face is seen and shortly after."""

from __future__ import annotations

from collections.abc import Sequence

from face_perception.types import Attention, Face

# Seconds for which an id that is missing in the images stays, so that a face that is lost for an
# image does not make its readers begin again.
ID_HOLD = 0.5


class PersonLinks:
    """Remembers the links of faces to persons. A face that is missing keeps its link as its id.

    >>> links = PersonLinks()
    >>> links.update(0.0, [])
    []
    """

    def __init__(self) -> None:
        self.persons: dict[str, str] = {}  # by face id
        # Confidence by face and person: in the last image, and of all that last.
        self._here: dict[tuple[str, str], float] = {}
        self._recognised: dict[tuple[str, str], float] = {}
        self._seen: dict[str, float] = {}  # when each linked face was last seen, seconds

    def update(self, stamp: float, attention: Sequence[Attention]) -> list[tuple[str, str]]:
        """Returns the links that have ended, face id and person id, in order.

        ``attention`` are all faces in the image of ``stamp`` seconds. The link of a face that is
        missing also ends if stamps go back.
        """
        before = self.persons
        here = {item.face_id for item in attention}
        self.persons = {
            face_id: person_id
            for face_id, person_id in before.items()
            if face_id not in here and 0 <= stamp - self._seen[face_id] <= ID_HOLD
        }
        self.persons |= {item.face_id: item.person_id for item in attention if item.person_id}
        self._seen = {
            face_id: stamp if face_id in here else self._seen[face_id] for face_id in self.persons
        }
        links = self.persons.items()
        self._recognised = {
            pair: confidence
            for pair, confidence in self._recognised.items()
            if pair in links or pair in self._here
        }
        return sorted(before.items() - links)

    def note_recognised(self, faces: Sequence[Face]) -> None:
        """Notes which faces of an image were recognised, and how certainly.

        That is kept until the link ends, because a face may be missing in an image.
        """
        self._here = {
            (face.face_id, face.person_id): face.person_confidence
            for face in faces
            if face.person_id
        }
        self._recognised |= self._here

    def confidence(self, face_id: str, person_id: str) -> float:
        """Returns how certain a link is, [0, 1]: 1 if somebody made it, not a recognition."""
        return self._recognised.get((face_id, person_id), 1.0)
