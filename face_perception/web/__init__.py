"""Serves web pages of the robot to browsers: one HTML page and one WebSocket."""

from face_perception.web.access import is_loopback, origin_allowed, read_web_token
from face_perception.web.dashboard_page import Command, DashboardPage
from face_perception.web.page_server import Client, PageServer, WebPageError
from face_perception.web.settings import WebSettings, ice_servers

__all__ = [
    "Client",
    "Command",
    "DashboardPage",
    "PageServer",
    "WebPageError",
    "WebSettings",
    "ice_servers",
    "is_loopback",
    "origin_allowed",
    "read_web_token",
]
