"""Runs the jobs of a sweep as trials of Ray Tune, on the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from face_perception.errors import one_line
from face_perception.learning.machine_share import MachineShare, take_share
from face_perception.learning.processes import ATTEMPTS
from face_perception.learning.sweep_jobs import KILLED, Finished, Job, run_job
from face_perception.optional_modules import extra
from face_perception.ray_cluster import joined

_FIX = "pip install 'ray[tune]>=2.44' on each machine of the cluster"
_JOB = "job"


def run_on_ray(
    jobs: Sequence[Job],
    data: Path | None,
    out: Path,
    split: str,
    address: str,
    add: Callable[[Finished], None],
) -> None:
    """Runs each job as a trial that takes one CPU; ``add`` gets each when it is finished.

    A trial whose worker or machine is lost starts again on another one, ``ATTEMPTS`` times in all,
    and continues after the last epoch that its job finished. All machines must see ``data`` and
    ``out`` under the same names. Raises what ``joined`` raises, and MissingDependencyError without
    Ray Tune.
    """
    by_name = {job.name: job for job in jobs}
    with joined(address), extra("--ray", _FIX):
        from ray import tune

        class _Told(tune.Callback):
            def on_trial_complete(self, *_: Any, trial: Any, **__: Any) -> None:
                found = trial.last_result
                add(Finished(by_name[trial.config[_JOB]], found["figures"], found["failed"]))

            def on_trial_error(self, *_: Any, trial: Any, **__: Any) -> None:
                why = f"its worker was lost {ATTEMPTS} times ({one_line(trial.get_error(), 200)})"
                add(Finished(by_name[trial.config[_JOB]], {}, f"{why}: {KILLED}"))

        def train_one(config: Mapping[str, Any]) -> None:
            take_share(MachineShare(processors=1))
            done = run_job(by_name[config[_JOB]], data, out, split)
            tune.report({"figures": dict(done.figures), "failed": done.failed})

        tune.Tuner(
            tune.with_resources(train_one, {"cpu": 1}),
            param_space={_JOB: tune.grid_search(list(by_name))},
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(out),
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                callbacks=[_Told()],
                verbose=0,
            ),
        ).fit()
