"""What `serving` is compared with: the application of AWS's own XGBoost container, for gunicorn's gevent workers.

As sagemaker-xgboost-container does it (encoder.py, serve_utils.py): the delimiter is sniffed, the rows become a numpy array
and a DMatrix. One thread a process, which is the kind way to run it on two cores.
"""

from __future__ import annotations

import csv
import os

import numpy as np
import xgboost as xgb
from flask import Flask, Response, request

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
    rows = [[cell or "nan" for cell in line.split(delimiter)] for line in text.split("\n")]
    predicted = booster.predict(xgb.DMatrix(np.array(rows).astype(np.float32), nthread=1), validate_features=False)
    return Response(",".join(str(value) for value in predicted.ravel().tolist()), mimetype="text/csv")
