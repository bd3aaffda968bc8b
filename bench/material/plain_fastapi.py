"""What `serving` is compared with: FastAPI as tutorials write it; a data frame per request, XGBoost's own threads."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import xgboost as xgb
from fastapi import FastAPI
from pydantic import BaseModel

from insights.feature_table import FEATURE_NAMES

booster = xgb.Booster(model_file=os.environ["BENCH_MODEL"])
application = FastAPI()


class Rows(BaseModel):
    instances: list[dict[str, float | None]]


@application.get("/ping")
def ping() -> dict[str, str]:
    return {"status": "ok"}


@application.post("/invocations")
def invocations(rows: Rows) -> dict[str, Any]:
    frame = pd.DataFrame(rows.instances, columns=list(FEATURE_NAMES), dtype=float)
    return {"predictions": booster.predict(xgb.DMatrix(frame), validate_features=False).tolist()}
