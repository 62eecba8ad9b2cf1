"""Makes one self-contained web page of the results of clips, and figures of accuracy."""

from face_perception.report.drawing import curve_figure
from face_perception.report.page import report_page

__all__ = ["curve_figure", "report_page"]
