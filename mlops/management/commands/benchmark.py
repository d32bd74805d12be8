"""Measure the product's own models on data sets in folders.

python manage.py benchmark maintenance --data ../shared/data/cmapss --json figures.json
python manage.py benchmark classify --data ../shared/data/ai4i2020

Other kinds live in `mlops.benchmarks`, one module each.
"""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from django.core.management.base import BaseCommand, CommandError

from mlops import artifacts, trees
from mlops.artifacts import Identity
from mlops.benchmarks import (
    BadFolder,
    Figures,
    anomaly,
    classify,
    monitoring,
    quality,
    vibration,
    vision,
)
from mlops.lives import UnusableLives
from mlops.maintenance import evaluation, rul, run_to_failure
from mlops.maintenance.packing import pack, unpack
from mlops.maintenance.run_to_failure import RunToFailure

PUBLISHED_AS = "published (capped RMSE / NASA score; conventions differ, see the module)"

# What measures each kind, and which options it takes beside the folder.
KINDS: Final[dict[str, tuple[Callable[..., Figures], tuple[str, ...]]]] = {
    "anomaly": (anomaly.run, ()),
    "classify": (classify.run, ("target", "ignored")),
    "monitoring": (monitoring.run, ()),
    "quality": (quality.run, ("target", "ignored")),
    "vibration": (vibration.run, ()),
    "vision": (vision.run, ()),
}


class Command(BaseCommand):
    help = "Train and test the product's models on a folder of data, beside published figures."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["maintenance", *KINDS])
        parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
        parser.add_argument("--json", type=Path, help="also write the figures to this file")
        parser.add_argument(
            "--cap", default=str(evaluation.CONVENTIONAL_CAP), metavar="STEPS|auto",
            help="horizon of training and capped figures (default: the literature's 125)",
        )  # fmt: skip

        parser.add_argument("--target", help="classify, quality: the column of the outcome")
        parser.add_argument(
            "--ignore", dest="ignored", action="append", default=[], metavar="COLUMN",
            help="classify, quality: a column that must not be an input (may be repeated)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["data"].is_dir():
            raise CommandError(f"{options['data']} is not a folder.")
        metrics = self._measured(options)
        if options["json"]:
            options["json"].write_text(json.dumps({"metrics": metrics}, indent=2) + "\n")

    def _measured(self, options: dict[str, Any]) -> Figures:
        if options["kind"] not in KINDS:
            return self._lives(options["data"], _cap(options["cap"]))
        run, taken = KINDS[options["kind"]]
        try:
            return run(
                options["data"], say=self.stdout.write, **{name: options[name] for name in taken}
            )
        except BadFolder as error:
            raise CommandError(str(error)) from error

    def _lives(self, folder: Path, cap: float | None) -> Figures:
        metrics: Figures = {}
        try:
            for data in run_to_failure.read_all(folder):
                metrics[data.name] = self._maintenance(data, cap)
        except run_to_failure.BadFolder as error:
            raise CommandError(str(error)) from error
        except (rul.NotEnoughLives, UnusableLives) as error:
            raise CommandError(f"{data.name}: {error}") from error
        return metrics

    def _maintenance(self, data: RunToFailure, cap: float | None) -> dict[str, float]:
        started = time.monotonic()
        training = rul.train(data.train, signals=data.signals, cap=cap)
        train_s = time.monotonic() - started
        model = _through_storage(training.model)
        figures = measure(model, data, cap=cap or model.cap)
        figures |= {"train_s": round(train_s, 1), "cap": model.cap}
        figures["n_regimes"] = float(len(model.spec.standardiser.regimes))
        self._print(data.name, figures, training)
        return figures

    def _print(self, name: str, figures: dict[str, float], training: rul.Training) -> None:
        out = self.stdout.write
        out(f"{name}: horizon {figures['cap']:g} steps")
        out(
            f"  RMSE {figures['rmse_capped']:.2f} (truth capped), "
            f"{figures['rmse_uncapped']:.2f} (truth as it is); "
            f"NASA score {figures['nasa_score']:.0f} / {figures['nasa_score_uncapped']:.0f}"
        )
        out(
            f"  intervals cover {figures['coverage_80']:.0%} (80 %), "
            f"{figures['coverage_90']:.0%} (90 %); regimes {figures['n_regimes']:.0f}; "
            f"trained in {figures['train_s']:.0f} s"
        )
        out(
            f"  on training units never seen: RMSE {training.metrics['rmse_capped']:.2f} over "
            f"whole lives (by age alone {training.metrics['rmse_by_age_alone']:.2f})"
        )
        if figures["n_refused"]:
            out(f"  {figures['n_refused']:.0f} test units have too little history to say anything")
        known = [
            f"{method} {results[name][0]} / {results[name][1]:g}"
            for method, results in evaluation.PUBLISHED.items()
            if name in results
        ]
        if known:
            out(f"  {PUBLISHED_AS}: {', '.join(known)}")


def _cap(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        cap = float(text)
    except ValueError:
        cap = 0.0
    if not cap > 0:
        raise CommandError("--cap: expected a number of steps above 0, or auto.")
    return cap


def _through_storage(model: rul.RulModel) -> rul.RulModel:
    """Seal and open the model as serving does: what is measured is what would be served."""
    identity = Identity("benchmark", "remaining_life", "benchmark", 1)
    key = "benchmark"
    return unpack(
        artifacts.open_sealed(
            artifacts.seal(pack(model), identity=identity, key=key), identity=identity, key=key
        )
    )


def measure(model: rul.RulModel, data: RunToFailure, *, cap: float) -> dict[str, float]:
    """Forecast every test unit from its last row and compare with what was left.

    `n_refused` counts units whose history is too short; they are in no other figure.
    """
    onnx = trees.OnnxModel(model.serialised)
    forecasts: list[rul.Forecast] = []
    left: list[float] = []
    for life, true in zip(data.test, data.left, strict=True):
        try:
            forecasts.append(model.forecast(life, onnx))
        except rul.TooLittleHistory:
            continue  # the product would say so; counted as refused
        left.append(float(true))
    if not forecasts:
        raise CommandError(f"{data.name}: every test unit is too short to forecast.")
    predicted = np.array([forecast.rul for forecast in forecasts])
    figures: dict[str, float] = {"n_refused": float(len(data.test) - len(forecasts))}
    for level in rul.REPORTED_LEVELS:
        ends = np.array([forecast.intervals[level] for forecast in forecasts])
        figures |= evaluation.report(
            np.array(left), predicted, ends[:, 0], ends[:, 1], level=level, cap=cap
        )
    return {name: round(value, 4) for name, value in figures.items()}
