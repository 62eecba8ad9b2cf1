"""An error about an unknown name of a model lists the names that can be used there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from face_perception.affect import AFFECT_NETWORKS
from face_perception.gaze import GAZE_NETWORKS, SMALL_GAZE, load_gaze
from face_perception.inference import ANY_NETWORK, ModelError, Purpose, catalogue, find_card, load
from face_perception.motion import MIMAMO_NETWORKS, load_mimamo
from face_perception.pipeline import Perception
from face_perception.speech import MOUTH_NETWORKS


def offered(error: ModelError) -> set[str]:
    """Returns the names that an error lists."""
    listed = str(error).partition(": use ")[2].partition("the path of")[0]
    return set(listed.removeprefix("one of ").split(", ")) - {""}


@pytest.mark.parametrize(
    ("ask", "purpose"),
    [
        (load_gaze, GAZE_NETWORKS),
        (lambda name: Perception.load(gaze=name), GAZE_NETWORKS),
        (lambda name: Perception.load(affect=name), AFFECT_NETWORKS),
        (load_mimamo, MIMAMO_NETWORKS),
        (load, ANY_NETWORK),
    ],
    ids=["gaze", "run --gaze", "run --affect", "motion", "load"],
)
def test_an_unknown_name_gets_the_names_that_can_be_used(
    ask: Callable[[str], object], purpose: Purpose
) -> None:
    with pytest.raises(ModelError, match="there is no model 'nobody'") as caught:
        ask("nobody")
    cards = {name for name, card in catalogue().items() if purpose.fits(card)}
    assert offered(caught.value) == {*cards, *purpose.bundled, *purpose.others}
    assert str(caught.value).endswith(purpose.made_by)


@pytest.mark.parametrize(
    ("purpose", "there", "missing"),
    [
        (GAZE_NETWORKS, {"geometric", SMALL_GAZE}, {"astronaut", "face_mesh", "expression"}),
        (AFFECT_NETWORKS, {"expression", "expression_fer"}, {"astronaut", "blendshapes"}),
        (MIMAMO_NETWORKS, set(), {"astronaut", "expression"}),
        (MOUTH_NETWORKS, {"bands", "trained"}, {"astronaut", "expression"}),
        (ANY_NETWORK, {"expression", "face_mesh"}, {"astronaut", "grace_hopper"}),
    ],
    ids=["gaze", "affect", "motion", "mouth", "any network"],
)
def test_the_names_of_a_purpose(purpose: Purpose, there: set[str], missing: set[str]) -> None:
    with pytest.raises(ModelError) as caught:
        find_card("nobody", purpose)
    assert there <= offered(caught.value)
    assert not missing & offered(caught.value)


def test_cards_of_the_package_that_one_purpose_uses() -> None:
    assert find_card(SMALL_GAZE, GAZE_NETWORKS).path.name == "small_gaze.onnx"
    assert find_card("trained", MOUTH_NETWORKS).path.name == "mouth.onnx"
    with pytest.raises(ModelError, match="there is no model 'small_gaze'"):
        find_card(SMALL_GAZE, AFFECT_NETWORKS)
