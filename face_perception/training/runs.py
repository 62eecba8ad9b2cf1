"""A run of a recipe in its folder: settings, drawn data, checkpoints, and its model at the end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from face_perception import dataset
from face_perception.files import write_whole
from face_perception.inference import Made
from face_perception.networks.geddnet import GEDDnet
from face_perception.training import geddnet_recipe, multitask_runs
from face_perception.training.recipe import read_recipe, recipe_file, task_of

_SETTINGS = "recipe.yaml"
_DATA = "data.txt"  # the folder of the data set


def train(
    recipe_name: str,
    data: Path | None,
    out: Path,
    *,
    resume: bool,
    name: str,
    report: Callable[[str], None],
) -> Made:
    """Trains, evaluates on the part ``test``, and returns the model.

    Without ``data`` people are drawn, into ``out/data``. With ``resume`` the settings and data are
    those of the run. Raises ValueError naming what is wrong with recipe, data or folder.
    """
    file = recipe_file(recipe_name)
    if task_of(out / _SETTINGS if resume else file) == "multitask":
        return multitask_runs.train(file, data, out, resume=resume, name=name, report=report)
    if resume and (out / _SETTINGS).exists():
        recipe = read_recipe(str(out / _SETTINGS))
        data = data or Path((out / _DATA).read_text(encoding="utf-8"))
    elif resume:
        raise ValueError(f"{out / _SETTINGS} is missing: no run to resume, train without --resume")
    else:
        recipe = read_recipe(recipe_name)
        if (out / "last.ckpt").exists():
            raise ValueError(f"{out} has an earlier run: --resume, or choose another --out")
    drawn = data is None
    if data is None:
        data = out / "data"
        if not data.exists():
            report(f"drawing {recipe.people} people into {data}")
            geddnet_recipe.write_people(data, recipe, workers=max(os.cpu_count() or 1, 1))
    found = dataset.read(data, geddnet_recipe.NEEDS)
    ours = geddnet_recipe.from_dataset(found.part("train"))
    others = geddnet_recipe.from_dataset(found.part("test"))
    settings = yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)
    write_whole(out / _SETTINGS, settings.encode())
    write_whole(out / _DATA, str(data.resolve()).encode())
    # A run that was stopped in its first epoch has no checkpoint yet: it begins anew.
    going_on = resume and (out / "last.ckpt").exists()
    report(f"training on {len(ours)} images of {found.name}; progress: tensorboard --logdir {out}")
    network = geddnet_recipe.train(ours, recipe, out=out, resume=going_on)
    return geddnet_recipe.made(
        name,
        network,
        recipe,
        others,
        trained_on=f"{found.name} ({found.made_by})",
        licence="Apache-2.0" if drawn else f"that of the data set {found.name}: {found.licence}",
    )


def evaluate(out: Path, data: Path | None, split: str) -> dict[str, float]:
    """Measures a run's network. Raises ValueError where there is no run, or no such data."""
    if task_of(out / _SETTINGS) == "multitask":
        return multitask_runs.evaluate(out, data, split)
    if not (out / "last.ckpt").exists() or not (out / _SETTINGS).exists():
        raise ValueError(f"{out} has no {_SETTINGS} and last.ckpt: give what `train` wrote")
    recipe = read_recipe(str(out / _SETTINGS))
    data = data or Path((out / _DATA).read_text(encoding="utf-8"))
    held = geddnet_recipe.from_dataset(dataset.read(data, geddnet_recipe.NEEDS).part(split))
    state = torch.load(out / "last.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    weights = {key.removeprefix("network."): value for key, value in state.items()}
    subjects = len(weights["bias"]) // 2 if recipe.decomposed else 0
    network = GEDDnet(subjects, dilated=recipe.dilated, width=recipe.width)
    network.load_state_dict(weights)
    return geddnet_recipe.evaluate(network.eval(), held)
