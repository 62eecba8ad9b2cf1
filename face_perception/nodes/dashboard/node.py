"""The dashboard node: serves a web page with the picture, the results, and buttons."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2

from face_perception.media import BitDepth, ImageError, image_from_compressed, image_from_message
from face_perception.nodes.dashboard import shown_values
from face_perception.nodes.dashboard.commands import Commands
from face_perception.nodes.dashboard.graph_state import GraphState
from face_perception.ros import images
from face_perception.ros.driver import PerceptionNode
from face_perception.settings import setting
from face_perception.web import DashboardPage, WebSettings

_LOOK_PERIOD = 1.0  # seconds between two looks at browsers and publishers
_COMMAND_PERIOD = 0.2  # seconds
_QUALITY = 70  # percent, of the JPEG


@dataclass(frozen=True)
class DashboardParameters(WebSettings):
    """Parameters of the dashboard node."""

    web_port: int = setting(
        8080,
        "Port of the web page. 0: a free one, which the log and the diagnostics name.",
        minimum=0,
        maximum=65_535,
    )
    picture: bool = setting(True, "Show the camera's picture on the page.")
    compressed: bool = setting(False, "Read image/compressed instead of image.")
    rate: float = setting(
        4.0,
        "Largest number of updates of the page per second, while somebody looks at it.",
        minimum=0.2,
        maximum=10.0,
        unit="Hz",
    )
    width: int = setting(
        640,
        "Width of the picture on the page; a wider image is made smaller. Without a picture: "
        "width of the black area on which results are drawn.",
        minimum=64,
        maximum=1920,
        unit="pixels",
    )


@dataclass(frozen=True)
class _Shown:
    """A picture on the page: its message, its JPEG, and its pixels per pixel of the image."""

    image: bytes = b""
    jpeg: bytes = b""
    scale: float = 1.0


class DashboardNode(PerceptionNode[DashboardParameters]):
    """Reads results, diagnostics and images while a browser shows them; publishes nothing."""

    computes_for_subscribers = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("dashboard", DashboardParameters, **kwargs)

    def without_effect(self, values: DashboardParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if not values.picture:
            yield "picture is false", ("compressed",)

    def start(self) -> None:
        values = self.values
        image = "image/compressed" if values.compressed else "image"
        self._graph = GraphState(self, self.resolve_topic_name(image) if values.picture else "")
        self._depth = BitDepth()
        self._shown = _Shown()
        self._commands = Commands(self)
        self._page = DashboardPage(
            values.web_host,
            values.web_port,
            command=self._commands.put,
            origins=values.origins,
            token=values.token(),
        )
        self.on_end(self._page.close)
        self.on_end(self._graph.end)
        self.get_logger().info(f"the dashboard is on {self._page.shown_link}")
        self._making = self.worker(self._show)
        self.timer(_LOOK_PERIOD, self._look)
        self.timer(_COMMAND_PERIOD, self._commands.work)
        self.timer(1.0 / values.rate, self._update)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        values = {
            "page": self._page.address,
            "browsers": str(self._page.browser_count),
            "page, dropped": str(self._page.dropped),
            "page, refused": str(self._page.refused),
        }
        return self._graph.problem, values

    def _look(self) -> None:
        if self._page.browser_count:
            self._graph.look()
        else:
            self._graph.end()

    def _update(self) -> None:
        if self._page.wanted:
            self._graph.take()
            self._making.put(time.monotonic())

    # On the worker's thread.

    def _show(self, _: float) -> None:
        found = self._graph.snapshot()
        # An image that is shown already is not made again.
        if not found.image or found.image is not self._shown.image:
            self._shown = self._made(found.image)
        jpeg, scale, size = self._shown.jpeg, self._shown.scale, (0, 0)
        if not jpeg:
            scale, size = shown_values.area(found.results, self.values.width)
        data = {
            "stamp": found.stamp,
            "picture": bool(jpeg),
            "size": size,
            # Boxes of another image would be beside the faces.
            **shown_values.shapes({} if found.image and found.lag else found.results, scale),
            "people": shown_values.people(found.results),
            "state": self._graph.problem
            or shown_values.state(
                self._graph.image_silence, self._graph.faces_silence, found, self._graph.image
            ),
            "nodes": shown_values.nodes(dict(self._graph.diagnostics), time.monotonic()),
            "session": shown_values.session(*self._graph.session),
            "hint": self._commands.hint,
        }
        self._page.show(data, jpeg)
        self.count("output")

    def _made(self, image: bytes) -> _Shown:
        """Returns the picture of a message, without a JPEG if the message cannot be shown."""
        if not image:
            return _Shown()
        if (message := self._graph.read_image(image)) is None:
            return _Shown(image)
        try:
            if hasattr(message, "format"):
                pixels = image_from_compressed(message)
            else:
                pixels = image_from_message(message, self._depth)
        except ImageError as error:
            self.count("refused")
            self.warn_throttled(f"image: {error}", key="image refused")
            return _Shown(image)
        height, width = pixels.shape[:2]
        scale = min(1.0, self.values.width / width)
        if scale < 1:
            size = (self.values.width, max(1, round(height * scale)))
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)
        return _Shown(image, images.to_compressed(pixels, _QUALITY).data.tobytes(), scale)
