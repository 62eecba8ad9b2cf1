"""A screen as a window or on the whole display, with pygame (SDL).

SDL also works without X (KMS), and in tests without any display. pygame is imported only here, on
the window's own thread.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.errors import FacePerceptionError

_PATIENCE = 10.0  # seconds to wait for the display
# SDL's last resorts, which show nothing.
_INVISIBLE = ("offscreen", "dummy")


class NoDisplayError(FacePerceptionError, RuntimeError):
    """Raised if there is no display or no pygame; the text gives the reason and the fix."""


class WindowScreen:
    """A window with the face; ``full`` fills the display.

    The user closes it with the window's button or Escape; `problem` then says so. Raises
    NoDisplayError if no window can be opened.

    SDL chooses the display: X or Wayland if the environment names one, else the kernel's (KMS, for
    a robot without X; needs access to /dev/dri). The environment variable ``SDL_VIDEODRIVER``
    overrides that, for example with `dummy`.

    >>> screen = WindowScreen(title="robot")
    >>> image = np.zeros((512, 512, 3), np.uint8)  # usually from a Renderer
    >>> screen.show_frame(ScreenFrame(0, image, position=0.0, at=0.0))
    >>> screen.wanted  # until the user closes the window
    True
    >>> screen.close()
    """

    def __init__(self, *, full: bool = False, title: str = "face") -> None:
        self.problem = ""
        self.driver = ""
        self.shown = 0
        self.dropped = 0
        self._full, self._title = full, title
        self._condition = threading.Condition()
        self._frame: ScreenFrame | None = None
        self._closed = False
        self._failed = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="window", daemon=True)
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            self._closed = True
            raise NoDisplayError(
                f"the display did not answer within {_PATIENCE:.0f} s: set SDL_VIDEODRIVER, for "
                "example to x11"
            )
        if self._failed:
            self._thread.join(1)
            raise NoDisplayError(self._failed)

    @property
    def wanted(self) -> bool:
        return not self._closed

    def show_frame(self, frame: ScreenFrame) -> None:
        if frame.image is None:
            return
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify()

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        """Does nothing: the sound of a window is played on the loudspeaker."""

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(3)

    def _run(self) -> None:
        try:
            pygame = self._open()
        except ImportError:
            self._failed = (
                "a window needs the Python package pygame: pip install pygame, or use the web page"
            )
            return
        except Exception as error:
            driver = os.environ.get("SDL_VIDEODRIVER") or "chosen by SDL"
            self._failed = (
                f"no display can be opened (SDL, driver {driver}: {error}): set DISPLAY or "
                "WAYLAND_DISPLAY; on a robot without X give this user access to /dev/dri (group "
                "`video` or `render`); or use the web page"
            )
            return
        finally:
            self._ready.set()
        try:
            self._loop(pygame)
        except Exception as error:
            self.problem = f"the window failed: {error}"
        finally:
            self._closed = True
            pygame.display.quit()

    def _open(self) -> Any:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        # Starts the display only: SDL's audio would occupy the device that plays the speech.
        pygame.display.init()
        self.driver = pygame.display.get_driver()
        if self.driver in _INVISIBLE and not os.environ.get("SDL_VIDEODRIVER"):
            pygame.display.quit()
            raise NoDisplayError("SDL finds no display")
        flags = pygame.FULLSCREEN if self._full else pygame.RESIZABLE
        self._surface = pygame.display.set_mode((0, 0) if self._full else (512, 512), flags)
        pygame.display.set_caption(self._title)
        pygame.mouse.set_visible(not self._full)
        return pygame

    def _loop(self, pygame: Any) -> None:
        while True:
            with self._condition:
                if self._frame is None and not self._closed:
                    self._condition.wait(0.05)
                if self._closed:
                    return
                frame, self._frame = self._frame, None
            for event in pygame.event.get():
                escape = event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE
                if event.type == pygame.QUIT or escape:
                    self.problem = (
                        "the window was closed by the user: restart the node to open it again"
                    )
                    return
            if frame is not None:
                self._draw(pygame, frame)
                self.shown += 1

    def _draw(self, pygame: Any, frame: ScreenFrame) -> None:
        surface = pygame.display.get_surface()
        width, height = surface.get_size()
        image = frame.image
        assert image is not None
        tall, wide = image.shape[:2]
        scale = min(width / wide, height / tall)
        size = max(1, round(wide * scale)), max(1, round(tall * scale))
        if size != (wide, tall):
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
        picture = pygame.image.frombuffer(np.ascontiguousarray(image).data, size, "RGB")
        surface.fill((0, 0, 0))
        surface.blit(picture, ((width - size[0]) // 2, (height - size[1]) // 2))
        pygame.display.flip()
