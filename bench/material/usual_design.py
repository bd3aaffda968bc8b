"""What `serving` is compared with: the application of AWS's own XGBoost container, for gunicorn's gevent workers.

As aws/sagemaker-xgboost-container does it (algorithm_mode/serve.py, encoder.py): the delimiter is sniffed and logged, the
rows become an array of float64 and a DMatrix. One thread a process (OMP_NUM_THREADS), the kind way to run it.
"""

from __future__ import annotations

import csv
import logging
import os

import numpy as np
import xgboost as xgb
from flask import Flask, Response, request

logging.basicConfig(level=logging.INFO)
booster = xgb.Booster(model_file=os.environ["BENCH_MODEL"])
booster.set_param({"nthread": 1})
application = Flask(__name__)


@application.get("/ping")
def ping() -> Response:
    return Response(status=200)


@application.post("/invocations")
def invocations() -> Response:
    text = request.get_data().decode("utf-8").strip()
    sniffed = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
    delimiter = "," if sniffed.isalnum() else sniffed
    logging.info("Determined delimiter of CSV input is '%s'", delimiter)
    rows = [[cell or "nan" for cell in line.split(delimiter)] for line in text.split("\n")]
    predicted = booster.predict(xgb.DMatrix(np.array(rows).astype(float)), validate_features=False)
    return Response(",".join(str(value) for value in predicted.ravel().tolist()), mimetype="text/csv")
