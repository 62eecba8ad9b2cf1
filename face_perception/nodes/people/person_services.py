"""The services of the people node that list and forget enrolled persons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from face_perception.errors import InputError, one_line
from face_perception.people import PeopleRecognition
from face_perception.ros import messages
from face_perception.ros.requests import answering
from face_perception.srv import ForgetPerson, ListPersons

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode


class PersonServices:
    """Offers ``~/forget_person`` and ``~/list_persons``; make it in the ``setup`` of the node."""

    def __init__(self, node: PerceptionNode[Any], people: PeopleRecognition) -> None:
        self._node = node
        self._people = people
        node.serve(ForgetPerson, "~/forget_person", answering(self._forget))
        node.serve(ListPersons, "~/list_persons", answering(self._list))

    def _forget(self, request: Any, response: Any) -> None:
        person_id = request.person_id
        if bool(person_id) == bool(request.everybody):
            raise InputError("give a person_id, or set everybody to true: one of them, not both")
        response.forgotten = self._people.forget(person_id)
        if person_id and not response.forgotten:
            raise InputError(f"{one_line(person_id, 80)} is not enrolled")
        whom = one_line(person_id, 80) if person_id else f"all {response.forgotten} persons"
        response.message = f"forgot {whom}; gaze calibrations stay (gaze/delete_calibration)"
        self._node.get_logger().info(response.message)

    def _list(self, request: Any, response: Any) -> None:
        store = self._people.store
        recognised = self._people.persons
        for person in store.load_all():
            response.person_ids.append(person.person_id)
            response.looks.append(len(person.templates))
            response.enrolled.append(messages.time(person.made))
            response.recognised.append(person.person_id in recognised)
        others = [
            name
            for name, known in zip(response.person_ids, response.recognised, strict=True)
            if not known
        ]
        response.message = f"{len(response.person_ids)} persons in {store.folder}"
        if others:
            response.message += f"; enrol again to recognise: {', '.join(others)}"
