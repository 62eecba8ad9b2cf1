"""One ``Model`` for every network: cards, the cache they are fetched into, and what runs them."""

from face_perception.inference.catalogue import Card, ModelError, Port, catalogue
from face_perception.inference.model import Model, load
from face_perception.inference.store import Check, fetch, sample_photo, verify

__all__ = [
    "Card",
    "Check",
    "Model",
    "ModelError",
    "Port",
    "catalogue",
    "fetch",
    "load",
    "sample_photo",
    "verify",
]
