"""Makes one self-contained web page of the results of clips, with figures and warnings."""

from face_perception.report.page import report_page

__all__ = ["report_page"]
