"""``python -m bench.roofline FILE.md``: writes the page of estimates."""

import argparse
from pathlib import Path

from bench.roofline.page import roofline_page

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.md", help="page to write")
    parser.parse_args().file.write_text(roofline_page(), encoding="utf-8")
