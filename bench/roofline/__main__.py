"""``python -m bench.roofline FILE.md``: writes the page of estimated times."""

import sys
from pathlib import Path

from bench.roofline.page import roofline_page

if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m bench.roofline FILE.md")
    Path(sys.argv[1]).write_text(roofline_page(), encoding="utf-8")
