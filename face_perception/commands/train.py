"""``face-perception train``, ``evaluate`` and ``claims``: recipes, trained and measured.

All of it is in ``training/``, where torch is.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from face_perception.commands.optional_modules import extra


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = subparsers.add_parser("train", help="train a recipe and make a model of it")
    train.add_argument("recipe", help="a name (geddnet, multitask, mouth), or a YAML file")
    train.add_argument("--data", type=Path, help="a data set's folder; default: drawn people")
    train.add_argument("--out", type=Path, help="checkpoints and log; default: out/<recipe>")
    train.add_argument("--resume", action="store_true", help="go on from the last epoch")
    train.add_argument("--name", default="", help="of the model; default: <recipe>_trained")
    train.set_defaults(run=_train)
    evaluate = subparsers.add_parser("evaluate", help="measure a trained run on a data set")
    evaluate.add_argument("out", type=Path, help="what train wrote")
    evaluate.add_argument(
        "--data", type=Path, help="default: what it was trained on; of a mouth: a folder of *.wav"
    )
    evaluate.add_argument(
        "--split", choices=("train", "validation", "test"), help="of the data set; default: test"
    )
    evaluate.set_defaults(run=_evaluate)
    claims = subparsers.add_parser("claims", help="the papers' claims, put to the test here")
    claims.add_argument("--part", action="append", default=[], help="default: all")
    claims.add_argument("--seeds", type=int, default=3)
    claims.add_argument(
        "--out", type=Path, help="default: docs/claims.md; with --part out/claims_<part>.md"
    )
    claims.add_argument(
        "--work", type=Path, default=Path("out/claims"), help="goes on here if interrupted"
    )
    claims.set_defaults(run=_claims)


def _module(name: str) -> Any:
    with extra("training", "pip install '.[training]' in the source tree"):
        return importlib.import_module(f"face_perception.learning.{name}")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _train(args: argparse.Namespace) -> int:
    from face_perception.inference import check_model_name, install_model

    runs = _module("runs")
    recipe = Path(args.recipe).stem
    name = args.name or f"{recipe}_trained"
    check_model_name(name)
    out = args.out or Path("out") / recipe
    made = runs.train(
        args.recipe,
        args.data,
        out,
        resume=args.resume,
        name=name,
        report=_report,
    )
    card = install_model(made)
    for key, value in card.facts["evaluation"].items():
        print(f"{key}: {value}")
    print(f"{card.name}: {card.path}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    found = _module("runs").evaluate(args.out, args.data, args.split, _report)
    for key, value in found.items():
        print(f"{key}: {value:g}")
    return 0


def _claims(args: argparse.Namespace) -> int:
    name = "_".join(["out/claims", *args.part]) if args.part else "docs/claims"
    out = args.out or Path(f"{name}.md")
    page = _module("claims.table").run(out, args.part, args.seeds, _report, args.work)
    print(page, end="")
    return 0
