"""Tests the checks of parameter files and names before anything starts. Needs no ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from face_perception.bringup import graph
from face_perception.bringup.parameter_file import known_parameters
from face_perception.bringup.ros_names import check_namespace, check_topic
from face_perception.errors import InputError
from face_perception.ros.environment import check_ros_environment

SECTION = "  ros__parameters:\n"


def options(tmp_path: Path, text: str, **more: object) -> graph.GraphOptions:
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    return graph.GraphOptions(parameter_file=str(file), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # What ROS ignores without a message.
        (
            "/**/gase:\n" + SECTION + "    beta: 1.0\n",
            "line 1: there is no node gase: did you mean",
        ),
        ("/gaze:\n" + SECTION + "    beta: 1.0\n", "line 1: /gaze is not the node /head/gaze"),
        ("gaze:\n" + SECTION + "    beta: 1.0\n", "line 1: /gaze is not the node /head/gaze"),
        ("/left/**:\n" + SECTION + "    beta: 1.0\n", "no node of this graph fits /left/**"),
        (
            "/**/gaze:\n" + SECTION + "    compresed: true\n",
            "line 3: gaze has no parameter compresed: did you mean compressed?",
        ),
        ("/**:\n" + SECTION + "    max_facs: 1\n", "line 3: none of the nodes has parameter max_f"),
        ("/**/camera:\n" + SECTION + "    raet: 1\n", "camera has no parameter raet: did you mean"),
        ("hello\n", "line 1: write a section for each node"),
        # What would end a node each time that it starts, of other packages' nodes, too.
        ("my-robot:\n" + SECTION + "    x: 1\n", "line 1: 'my-robot' is no name of nodes, and ROS"),
        ("/gaze/:\n" + SECTION + "    beta: 1.0\n", "line 1: '/gaze/' is no name of nodes"),
        ("5:\n" + SECTION + "    x: 1\n", "line 1: '5' is no name of nodes"),
        ("~:\n" + SECTION + "    x: 1\n", "line 1: '~' is no name of nodes"),
        ("'':\n" + SECTION + "    x: 1\n", "line 1: '' is no name of nodes"),
        ("a//b:\n" + SECTION + "    x: 1\n", "line 1: 'a//b' is no name of nodes"),
        ("/a/*b:\n" + SECTION + "    x: 1\n", "line 1: '/a/*b' is no name of nodes"),
        ("head:\n  küche:\n    ros__parameters: {x: 1}\n", "line 2: 'küche' is no name of nodes"),
        ("%YAML 1.2\n---\n/**/gaze:\n" + SECTION + "    beta: 1.0\n", "ROS reads only YAML 1.1"),
        (
            "/**/gaze:\n" + SECTION + '    model: "\\ud800"\n',
            r"line 3: '\ud800' is not UTF-8 text, which ROS needs",
        ),
        (
            "/**/attention:\n" + SECTION + "    robot_point: [0.0, -0.12, 0]\n",
            "line 3: robot_point: ROS cannot read a list of integers and other numbers: write 0.0",
        ),
        ("/**/gaze:\n" + SECTION + "    beta: [1, a]\n", "line 3: beta: ROS reads only lists"),
        (
            "/**/gaze:\n" + SECTION + "    beta: [[1]]\n",
            "line 3: beta: ROS cannot read a list in a list",
        ),
        ("/**/gaze:\n  beta: 1.0\n", "line 1: there is no ros__parameters: below /**/gaze"),
        (
            "/**/gaze:\n  ros__parameter:\n    beta: 1.0\n",
            "'ros__parameter' is not ros__parameters",
        ),
        ("/**/gaze:\n" + SECTION, "line 2: write parameters"),
        ("/**/gaze:\n\tros__parameters:\n", "line 2: this is not YAML"),
        (
            "/**/gaze:\n" + SECTION + "    beta: &a 1.0\n    max_gap: *a\n",
            "line 4: ROS cannot read the alias",
        ),
        ("/**/gaze:\n" + SECTION + "    beta: 1.0\n    beta: 2.0\n", "line 4: beta is given twice"),
        ("- 1\n", "line 1: write a section for each node"),
        # Values of a wrong type.
        ("/**/gaze:\n" + SECTION + "    beta: fast\n", "line 3: beta: 'fast' is not a number"),
        ("/**/gaze:\n" + SECTION + "    beta: true\n", "line 3: beta: True is not a number"),
        ("/**/gaze:\n" + SECTION + "    compressed: 1\n", "compressed: 1 is not true or false"),
        ("/**/face_tracker:\n" + SECTION + "    max_faces: 4.5\n", "4.5 is not a whole number"),
        ("/**/attention:\n" + SECTION + "    robot_point: 1.0\n", "1.0 is not a list of numbers"),
        ("/**/camera:\n" + SECTION + "    frame_id: yes\n", "True is not a text: write 'True' in"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        options(tmp_path, text, namespace="head")
    assert said in str(refused.value)
    assert "robot.yaml" in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_file_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        options(tmp_path, "[" * 3000 + "]" * 3000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/**/gaze:\n" + SECTION + "    beta: 3\n    model: 'geometric'\n    max_gap: 5e-1\n",
        "/head/gaze:\n" + SECTION + "    beta: 1.0\n",
        "head:\n  gaze:\n    ros__parameters: {beta: 1.0}\n",
        "/*/gaze:\n" + SECTION + "    beta: 1.0\n",
        "/**:\n" + SECTION + "    use_sim_time: true\n    beta: 1.0\n",
        # Only integers, or only other numbers.
        "/**/attention:\n" + SECTION + "    robot_point: [0, 1, 2]\n",
        "/**/camera:\n" + SECTION + "    source: 0\n",  # a node that is not started
        "/**/gaze:\n" + SECTION + "    qos_overrides: {/head/gaze: {publisher: {depth: 3}}}\n",
        # Two graphs with one file.
        "/left/gaze:\n" + SECTION + "    beta: 1.0\n/head/gaze:\n" + SECTION + "    beta: 2.0\n",
        "/left/**:\n" + SECTION + "    beta: 1.0\n/head/**:\n" + SECTION + "    beta: 2.0\n",
    ],
)
def test_a_right_file_is_accepted(text: str, tmp_path: Path) -> None:
    assert options(tmp_path, text, namespace="head").warnings == []


def test_nodes_of_other_packages_are_named(tmp_path: Path) -> None:
    (said,) = options(tmp_path, "/**/planner:\n" + SECTION + "    x: 1\n").warnings
    assert "robot.yaml, line 1: no node of face_perception is called planner" in said


def test_the_example_of_the_documentation_is_accepted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "robot.md").read_text()
    example = page.split("`robot.yaml` holds", 1)[1].split("```yaml\n", 1)[1].split("```", 1)[0]
    assert options(tmp_path, example, namespace="head").warnings == []


def test_every_node_has_its_parameters_in_config() -> None:
    """The check takes the known parameters from there."""
    for node in graph.NODES:
        assert known_parameters(node.name)["autostart"] is True


RULE = "is not a ROS name"


@pytest.mark.parametrize(
    "name",
    [
        *("küche", "head//cam", "head/1cam", "~", "a-b", "a b", "head__a", "{ns}", "a/", "x" * 300),
        *("//", "head\n", "./head", "head/~", "ｈead"),
    ],
)
def test_names_that_rcl_refuses(name: str) -> None:
    if name != "a/":  # a slash at the end of a namespace is allowed
        with pytest.raises(InputError, match="ROS name"):
            check_namespace(name)
    for topic in (name, f"{name}/image"):
        if topic == "~/image":  # names in the node's own namespace
            check_topic("image topic", topic)
            continue
        with pytest.raises(InputError, match="ROS name"):
            check_topic("image topic", topic)


@pytest.mark.parametrize(
    "options",
    [
        {"parameters": {"camera": {"source": "caf\udce9.jpg"}}},
        {"parameters": {"talking_face": {"portrait": "caf\udce9.jpg"}}},
        {"parameter_file": "caf\udce9.yaml"},
    ],
)
def test_names_of_files_that_ros_cannot_take_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"'caf\\udce9.* is not UTF-8 text, which ROS needs: "):
        graph.GraphOptions(**options)


@pytest.mark.parametrize("field", ["image", "camera_info", "speech", "audio"])
def test_all_topics_of_the_graph_are_checked(field: str) -> None:
    with pytest.raises(InputError, match=f"{field} topic 'camera-1/x' {RULE}"):
        graph.GraphOptions(**{field: "camera-1/x"})  # type: ignore[arg-type]
    graph.GraphOptions(**{field: "/camera_1/X"}, namespace="/head/left/")  # type: ignore[arg-type]


WRONG_ENVIRONMENT = {
    "ROS_DOMAIN_ID": (["-1", "233", "abc", "1.5", " ", "٣", "9" * 5000], "a number from 0 to 232"),
    "ROS_AUTOMATIC_DISCOVERY_RANGE": (["localhost", "1", "NOT_SET"], "SUBNET or LOCALHOST or OFF"),
    "ROS_LOCALHOST_ONLY": (["yes", "true", "2"], "0 or 1"),
    "ROS_STATIC_PEERS": (
        ["###", "127.0.0.1:7400", "127.0.0.300", " 127.0.0.1", "127.0.0.1,127.0.0.2", "::1",
         "127.0.0.1;127.0.0.1 ", "a" * 300, "k\udce9", "a..b"],
        "without spaces and ports, with a semicolon",
    ),
    "ROS_DISCOVERY_SERVER": (
        ["###", ":", "127.0.0.1:0", "127.0.0.1:99999", "x:y", "127.0.0.1:11811,127.0.0.2:11811"],
        "such as 192.168.1.2:11811",
    ),
    "FASTDDS_DEFAULT_PROFILES_FILE": (["/nowhere/a.xml", "/"], "which is not a file"),
    "FASTRTPS_DEFAULT_PROFILES_FILE": (["/nowhere/a.xml"], "which is not a file"),
    "ROS_SECURITY_ENABLE": (["1", "TRUE"], "true or false"),
    "ROS_SECURITY_STRATEGY": (["enforce"], "Enforce or Permissive"),
    "RCUTILS_COLORIZED_OUTPUT": (["yes"], "0 or 1"),
    "RCUTILS_LOGGING_USE_STDOUT": (["2"], "0 or 1"),
    "RCUTILS_LOGGING_BUFFERED_STREAM": (["on"], "0 or 1"),
}  # fmt: skip
RIGHT_ENVIRONMENT = {
    "ROS_DOMAIN_ID": ["", "0", "007", "232"],
    "ROS_AUTOMATIC_DISCOVERY_RANGE": ["", "SUBNET", "OFF"],
    "ROS_STATIC_PEERS": ["", ";", "127.0.0.1", "127.0.0.1;127.0.0.2;", "localhost"],
    "ROS_DISCOVERY_SERVER": ["", "127.0.0.1:11811", ";robot.local", "TCPv4:[127.0.0.1]:42100"],
    "FASTDDS_DEFAULT_PROFILES_FILE": ["", __file__],
    "ROS_SECURITY_ENABLE": ["", "false"],
}


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [(name, value, fix) for name, (values, fix) in WRONG_ENVIRONMENT.items() for value in values],
)
def test_a_wrong_variable_of_ros_is_refused(name: str, value: str, fix: str) -> None:
    """Each node would end at once and be started again for ever, or would find no other node."""
    with pytest.raises(InputError, match=rf"variable {name} .*{fix}") as error:
        check_ros_environment({name: value})
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("name", "value"), [(n, value) for n, values in RIGHT_ENVIRONMENT.items() for value in values]
)
def test_a_right_variable_of_ros_is_accepted(name: str, value: str) -> None:
    check_ros_environment({name: value})
    check_ros_environment({})


def test_security_without_a_keystore_is_refused(tmp_path: Path) -> None:
    secure = {"ROS_SECURITY_ENABLE": "true"}
    for more in ({}, {"ROS_SECURITY_KEYSTORE": str(tmp_path)}):
        with pytest.raises(InputError, match=r"ROS_SECURITY_KEYSTORE is .*create_keystore"):
            check_ros_environment({**secure, **more})
    (tmp_path / "enclaves").mkdir()
    check_ros_environment({**secure, "ROS_SECURITY_KEYSTORE": str(tmp_path)})


def test_a_middleware_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "rmw_typesupport"
    index.mkdir(parents=True)
    for name in ("rmw_implementation", "rmw_fastrtps_cpp", "rmw_cyclonedds_cpp"):
        (index / name).write_text("")
    prefixes = f"/nowhere:{tmp_path}"
    for name in ("rmw_fastrtps_cpp", "rmw_cyclonedds_cpp", ""):
        check_ros_environment({"AMENT_PREFIX_PATH": prefixes, "RMW_IMPLEMENTATION": name})
    with pytest.raises(InputError, match="set the variable to rmw_cyclonedds_cpp or rmw_fastrtps"):
        check_ros_environment({"AMENT_PREFIX_PATH": prefixes, "RMW_IMPLEMENTATION": "rmw_zenoh"})
