"""``face-perception train``, ``evaluate`` and ``claims``: train recipes and measure the results.

The recipes are in ``learning``, which needs PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError
from face_perception.optional_modules import extra


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = add_command(
        subparsers, "train", "Train a network by a recipe, and install it as a model."
    )
    train.add_argument(
        "recipe",
        help="name of a recipe (dilated_net, geddnet, mimamo, mouth, multitask, musetalk, "
        "musetalk_stage2, small_action_units, small_gaze, syncnet), or its YAML file",
    )
    train.add_argument(
        "--data", type=Path, help="folder of the data set; default: synthetic people"
    )
    train.add_argument(
        "--out", type=Path, help="folder for checkpoints and log; default: out/RECIPE"
    )
    train.add_argument(
        "--resume", action="store_true", help="continue after the last finished epoch"
    )
    train.add_argument("--name", default="", help="name of the model; default: RECIPE_trained")
    train.set_defaults(run=_train)
    evaluate = add_command(
        subparsers, "evaluate", "Measure a trained network, or an installed model, on a data set."
    )
    evaluate.add_argument(
        "networks",
        nargs="+",
        metavar="NETWORK",
        help="folder that `train` wrote (several, such as the folds of a protocol, are also "
        "averaged), or the name of a model, or the path of its card",
    )
    evaluate.add_argument(
        "--data",
        type=Path,
        help="folder of the data set, or of .wav files for the recipe mouth; default: the data set "
        "of the training",
    )
    evaluate.add_argument(
        "--split",
        choices=("train", "validation", "test"),
        help="part of the data set; default: test for a folder and for a model that was trained "
        "on this data set; the whole data set for any other model",
    )
    evaluate.add_argument(
        "--results",
        type=Path,
        help="JSON file for the figures of a model, with hashes of model, data and code",
    )
    evaluate.add_argument(
        "--plots", type=Path, help="folder for the curves of a model, as SVG (needs Matplotlib)"
    )
    evaluate.set_defaults(run=_evaluate)
    claims = add_command(
        subparsers, "claims", "Test the claims of the published papers on synthetic people."
    )
    claims.add_argument(
        "--part",
        action="append",
        default=[],
        help="claim to test; repeat for several; default: all",
    )
    claims.add_argument(
        "--seeds",
        type=int,
        default=3,
        help="number of random seeds, without --columbia; default: %(default)s",
    )
    claims.add_argument(
        "--out",
        type=Path,
        help="page to write; default: docs/claims.md, or out/claims_PART.md with --part",
    )
    claims.add_argument(
        "--work",
        type=Path,
        default=Path("out/claims"),
        help="folder for finished parts, from which an interrupted run continues; default: "
        "%(default)s",
    )
    claims.add_argument(
        "--columbia",
        type=Path,
        metavar="DIR",
        help="folder of grey bands of both eyes of the Columbia Gaze Data Set: test the claims "
        "about gaze on these people instead",
    )
    claims.add_argument(
        "--size",
        default="reduced",
        help="how much --columbia trains: quick (about 4 minutes of a processor, to try the "
        "command), reduced (about 11 minutes) or full (about 55 minutes); default: %(default)s",
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
    try:
        made = runs.train(
            args.recipe,
            args.data,
            out,
            resume=args.resume,
            name=name,
            report=_report,
        )
    except KeyboardInterrupt:
        if (out / _module("run_folder").SETTINGS).exists():
            _report(f"stopped: `train --resume` with the same --out ({out}) continues")
        raise
    together = _module("several_machines").launched()
    if together is not None and together.rank:
        return 0  # the first process installs the model
    card = install_model(made)
    for key, value in card.facts["evaluation"].items():
        print(f"{key}: {value}")
    print(f"{card.name}: {card.path}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    folders = [Path(name) for name in args.networks if Path(name).is_dir()]
    if folders and len(folders) < len(args.networks):
        raise InputError("some of these are folders of `train` and some are models: give one kind")
    if not folders:
        return _measure_models(args)
    if args.results or args.plots:
        raise InputError(
            "--results and --plots are for an installed model: give the name of the model that "
            "`train` installed"
        )
    runs = _module("runs")
    found = [runs.evaluate(folder, args.data, args.split, _report) for folder in folders]
    for folder, figures in zip(folders, found, strict=True):
        for key, value in figures.items():
            print(f"{key}: {value:g}" if len(found) == 1 else f"{folder}: {key}: {value:g}")
    if len(found) > 1:
        print("\n".join(_means(found)))
    return 0


def _means(found: Sequence[Mapping[str, float]]) -> list[str]:
    """Returns a line for each figure of several networks: mean, least and greatest value.

    A network without the figure, or with NaN, does not count.
    """
    lines = []
    for key in dict.fromkeys(key for figures in found for key in figures):
        values = [value for one in found if math.isfinite(value := one.get(key, math.nan))]
        if values:
            of_all = f"{sum(values) / len(values):.4g} ({min(values):.4g} to {max(values):.4g})"
            lines.append(f"mean of {len(values)}: {key}: {of_all}")
    return lines


def _measure_models(args: argparse.Namespace) -> int:
    """Measures installed models by the protocols of the papers."""
    if len(args.networks) > 1 and (args.results or args.plots):
        raise InputError("--results and --plots take one model: give one")
    if args.data is None:
        raise InputError(
            f"{args.networks[0]} is not a folder that `train` wrote: to measure a model of that "
            "name, give --data"
        )
    measure = _module("protocols.measurement").measure
    for name in args.networks:
        found = measure(name, args.data, args.split)
        if len(args.networks) > 1:
            print(f"{name}:")
        print("\n".join(found.lines()))
        if args.results:
            found.save(args.results)
        for file in found.save_plots(args.plots) if args.plots else ():
            _report(str(file))
    return 0


def _claims(args: argparse.Namespace) -> int:
    if args.columbia and args.part:
        raise InputError("--columbia and --part exclude each other: leave one of them out")
    name = "_".join(["out/claims", *args.part]) if args.part else "docs/claims"
    out = args.out or Path(f"{name}.md")
    if args.columbia:
        write = _module("claims.columbia").write_columbia
        page = write(args.columbia, out, args.size, _report, args.work)
    else:
        write = _module("claims.table").write_claims
        page = write(out, args.part, args.seeds, _report, args.work)
    print(page, end="")
    return 0
