"""A model as the workflow's tuning step would choose it, without the platform around it: the same search, the same fit."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xgboost as xgb

from local.sagemaker.search import Range, Search
from training_container.hyperparameters import TUNED, Hyperparameters
from training_container.predictor import Predictor
from training_container.split_file import Split
from training_container.train import fit, write_model

SEARCHED = {
    name: Range(
        name,
        "Integer" if span.whole else "Continuous",
        span.low,
        span.high,
        "Logarithmic" if name == "eta" else "Linear",
    )
    for name, span in TUNED.items()
}
AT_ONCE = 2  # trials that run side by side, one thread each; told in order, so that the search repeats


@dataclass(frozen=True)
class Tuned:
    """`losses` of every trial in order; the best one's booster is cut at its best iteration."""

    hyperparameters: Hyperparameters
    booster: xgb.Booster
    losses: list[float]

    def written(self, splits: Mapping[str, Split], folder: Path) -> Predictor:
        """The calibrated model, as train writes it."""
        best = int(self.booster.best_iteration)
        write_model(self.hyperparameters, self.booster[: best + 1], best, splits, folder)
        return Predictor.load(folder)


def tuned(kind: str, splits: Mapping[str, Split], *, trials: int) -> Tuned:
    """The best of so many trials on the validation split; with one trial the defaults."""
    if trials == 1:
        return _best([_fitted({"kind": kind}, splits)])
    search = Search(SEARCHED, strategy="Bayesian", objective={"Type": "Minimize"}, seed=None)
    ended: list[tuple[Hyperparameters, xgb.Booster]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while len(ended) < trials:
            asked = [search.suggest() for _ in range(min(AT_ONCE, trials - len(ended)))]
            found = pool.map(
                lambda given: _fitted({"kind": kind, **given, "nthread": "1"}, splits), [a[1] for a in asked]
            )
            for (trial, _), answer in zip(asked, found, strict=True):
                search.tell(trial, answer[1].best_score)
                ended.append(answer)
    return _best(ended)


def _fitted(given: Mapping[str, str], splits: Mapping[str, Split]) -> tuple[Hyperparameters, xgb.Booster]:
    hyperparameters = Hyperparameters.parse(given)
    kind = hyperparameters.kind
    return hyperparameters, fit(hyperparameters, splits["train"].labelled(kind), splits["validation"].labelled(kind))


def _best(ended: list[tuple[Hyperparameters, Any]]) -> Tuned:
    hyperparameters, booster = min(ended, key=lambda pair: pair[1].best_score)
    return Tuned(hyperparameters, booster, [booster.best_score for _, booster in ended])


@contextlib.contextmanager
def silent() -> Any:
    """The trials announce every round; a bench's screen is its table."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
