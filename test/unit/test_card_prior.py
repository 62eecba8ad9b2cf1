"""The prior of a gaze network is that of its card; a card without one gets the neutral prior."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from face_perception import paths
from face_perception.gaze import GAZE_NETWORKS, NETWORK_PRIOR, SMALL_GAZE, AxisPrior, EstimatorPrior
from face_perception.gaze.card_prior import (
    PRIOR_FACT,
    prior_from_values,
    prior_of_card,
    prior_values,
)
from face_perception.inference import Card, ModelError, find_card
from face_perception.outside_files import read_yaml

PITCH = AxisPrior(gain=1.5, cross=0.02)
MEASURED = EstimatorPrior(yaw=AxisPrior(gain=0.98), pitch=PITCH, noise=0.04)


def card(**facts: Any) -> Card:
    """Returns the card of the small network, with these facts besides its own and without its
    prior.
    """
    bundled = find_card(SMALL_GAZE, GAZE_NETWORKS)
    kept = {name: value for name, value in bundled.facts.items() if name != PRIOR_FACT}
    return replace(bundled, facts=MappingProxyType(kept | facts))


def test_the_bundled_network_has_a_measured_prior_and_a_retrained_one_has_not() -> None:
    measured = prior_of_card(find_card(SMALL_GAZE, GAZE_NETWORKS))
    assert measured == prior_from_values(read_yaml(paths.resource("resources/gaze/prior.yaml")))
    assert measured != NETWORK_PRIOR
    assert measured.pitch.gain > 1.2  # looks up and down are underestimated
    assert prior_of_card(card()) == NETWORK_PRIOR


def test_a_prior_goes_through_a_card() -> None:
    read = prior_of_card(card(prior=prior_values(MEASURED)))
    assert prior_values(read) == prior_values(MEASURED)
    assert read.pitch.cross == 0.02
    assert prior_from_values({"pitch": {"gain": 2}}).pitch == AxisPrior(gain=2.0)
    assert prior_from_values({}) == EstimatorPrior()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "the prior must have values by name"),
        ({"pitch": 3}, "pitch must have values by name"),
        ({"roll": {}}, "the prior has no value roll"),
        ({"yaw": {"gian": 1.0}}, "yaw has no value gian: did you mean gain?"),
        ({"noise": "much"}, "noise must be a finite number of at least 0.0001, not 'much'"),
        ({"pitch": {"cross": 0}}, "pitch.cross must be a finite number of at least 0.0001, not 0"),
        ({"pitch": {"gain": float("nan")}}, "pitch.gain must be a finite number"),
        ({"yaw": {"bias": -0.1}}, "yaw.bias must be a finite number of at least 0, not -0.1"),
        ({"yaw": {"bias": True}}, "yaw.bias must be a finite number of at least 0"),
    ],
)
def test_a_wrong_prior_is_refused(content: Any, said: str) -> None:
    with pytest.raises(ModelError, match="small_gaze has a wrong prior") as caught:
        prior_of_card(card(prior=content))
    assert said in str(caught.value)
