"""The cost model: settings, counted resources, load, job durations and prices in; the lines of a bill out. No free tier is
deducted, nothing is bought in advance, and taxes are left out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from stacks.costs.counted import Counted
from stacks.costs.jobs import JobSeconds
from stacks.costs.load import HOURS_PER_MONTH, MINUTES_PER_MONTH, Load
from stacks.costs.prices import PriceTable, instance_hour
from stacks.serving_hours import WEEK_MINUTES
from stacks.settings import Settings

_KB_PER_GB = 1e6
_WEEKS_PER_MONTH = HOURS_PER_MONTH / (WEEK_MINUTES / 60)
# stacks/data_stack.py: what lies below monitoring/ expires after 90 days, raw exports after 180, features after 730.
_CAPTURE_MONTHS, _RAW_MONTHS, _FEATURE_MONTHS = 3, 6, 24
_RAW_KB, _FEATURE_KB = 0.1, 0.25  # one insight, exported and compressed; its row of 25 numbers beside other columns
_DEVICE_KB = 0.5  # the state of one device
_READS_PER_PREDICTION = 1.5  # a window of 12 insights and the last alert, eventually consistent, half a unit per 4 KB
_READS_PER_COLLECTION = 2  # the newest rows of a volume, up to 20 of 0.4 KB, consistent: a unit per 4 KB
_COLLECTION_METRICS = 6  # lambdas/metric_names.py
_EXPORTED_PER_SECOND = 5000  # rows of one function of the export
_WATCH_SECONDS = 120  # the own work of a job of WatchModels
_PAGE_CALLS_PER_MINUTE = 3  # devices, the open device's insights and its predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One position; `usd` is the quantity times the price."""

    component: str
    what: str
    quantity: float
    price: str
    usd: float

    def times(self, count: float) -> "Line":
        return replace(self, quantity=self.quantity * count, usd=self.usd * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A deployment and what is assumed of its load."""

    settings: Settings
    counted: Counted
    load: Load
    jobs: JobSeconds
    table: PriceTable

    @property
    def served_share(self) -> float:
        hours = self.settings.hours
        return 1.0 if hours is None else hours.minutes_per_week / WEEK_MINUTES

    def month(self, *, instances: int) -> list[Line]:
        """The bill of a month with so many instances behind each endpoint."""
        return [
            *self._endpoints(instances),
            *(line.times(self.load.trainings_per_month) for line in self.training()),
            *self._watch(),
            *self._tables(),
            *self._objects(),
            *self._functions(),
            *self.collection(),
            *self._front(),
            *self._watching(),
            *self._small(),
        ]

    def training(self) -> list[Line]:
        """The bill of one run of TrainModels with its promotions."""
        settings, load, jobs = self.settings, self.load, self.jobs
        kinds = [kind for kind in jobs.trial if settings.model_type in ("both", kind)]
        trial_count = settings.tuning_max_jobs * jobs.trial_instances
        trials = trial_count * sum(jobs.trial[kind] + load.job_overhead_seconds for kind in kinds)
        steps = [*jobs.engineer, *(jobs.evaluate[kind] for kind in kinds)]
        processing = sum(step + load.job_overhead_seconds for step in steps)
        rows = load.training_rows
        scanned_kb = rows * load.insight_kb
        export = self.counted.function_gb.get("export_insights", 0) * rows / _EXPORTED_PER_SECOND
        return [
            self._line("training", "tuning jobs", trials / 3600, instance_hour(settings.training_instance_type)),
            self._line("training", "processing", processing / 3600, instance_hour(settings.processing_instance_type)),
            self._line(
                "training",
                "their storage",
                (trials + processing) / 3600 / HOURS_PER_MONTH * load.job_volume_gb,
                "sagemaker_storage_gb_month",
            ),
            self._line("training", "workflow", load.transitions_per_training, "state_transition"),
            self._line("training", "table scan of the export", scanned_kb / 4 / 2, "dynamodb_read"),
            self._line("training", "export functions", export, "lambda_arm_gb_second"),
            self._line("training", "workflow log", load.workflow_log_mb / 1e3, "logs_ingested_gb"),
        ]

    def _endpoints(self, instances: int) -> Iterator[Line]:
        settings, load, count = self.settings, self.load, self.counted.endpoints * instances
        served = HOURS_PER_MONTH * self.served_share
        yield self._line("endpoints", "instances", count * served, instance_hour(settings.endpoint_instance_type))
        volume = count * load.endpoint_volume_gb * self.served_share
        yield self._line("endpoints", "their storage", volume, "sagemaker_storage_gb_month")
        moved = self._predictions * (load.request_kb + load.answer_kb) / _KB_PER_GB
        yield self._line("endpoints", "data in and out", moved, "sagemaker_data_gb")

    def _watch(self) -> Iterator[Line]:
        if "WatchModels" not in self.counted.machines:
            return
        job = (self.load.job_overhead_seconds + _WATCH_SECONDS) * self.counted.endpoints / 3600
        hours = self.load.watches_per_month * job
        yield self._line("watch", "processing", hours, instance_hour(self.settings.processing_instance_type))

    def _tables(self) -> Iterator[Line]:
        load, predictions = self.load, self._predictions
        insights = load.insights_per_month
        writes = insights * (math.ceil(load.insight_kb) + load.alert_share)
        states = insights + predictions
        yield self._line("tables", "insights written", writes, "dynamodb_write")
        yield self._line("tables", "states of devices", states, "dynamodb_write")
        yield self._line("tables", "predictions written", predictions * math.ceil(load.prediction_kb), "dynamodb_write")
        yield self._line("tables", "requests counted", self._requests, "dynamodb_write")
        fleet = max(1.0, load.devices * _DEVICE_KB / 4 / 2)
        reads = predictions * _READS_PER_PREDICTION + self._page_requests * fleet
        yield self._line("tables", "reads", reads, "dynamodb_read")
        months = self.settings.prediction_days * 24 / HOURS_PER_MONTH
        stored = insights * load.history_months * load.insight_kb + predictions * months * load.prediction_kb
        yield self._line("tables", "storage", stored / _KB_PER_GB, "dynamodb_storage_gb_month")
        yield self._line("tables", "point-in-time recovery", stored / _KB_PER_GB, "dynamodb_pitr_gb_month")
        yield self._line("tables", "streams", self._stream_calls, "dynamodb_stream_read_by_lambda")

    def _objects(self) -> Iterator[Line]:
        load, settings = self.load, self.settings
        captured_kb = self._predictions * settings.data_capture_percent / 100 * (load.request_kb + load.answer_kb)
        yield self._line("objects", "data capture", captured_kb * _CAPTURE_MONTHS / _KB_PER_GB, "s3_storage_gb_month")
        # At most one file for each variant and minute, as it depends on the traffic how many there are.
        files = self.counted.endpoints * MINUTES_PER_MONTH * self.served_share * (settings.data_capture_percent > 0)
        yield self._line("objects", "data capture, files", files, "s3_put")
        runs_kb = load.training_rows * (_RAW_KB * _RAW_MONTHS + _FEATURE_KB * _FEATURE_MONTHS)
        kept = runs_kb * load.trainings_per_month / _KB_PER_GB
        yield self._line("objects", "exports and features", kept, "s3_storage_gb_month")
        yield self._line("objects", "images", load.image_gb, "ecr_storage_gb_month")

    def _functions(self) -> Iterator[Line]:
        load, memory = self.load, self.counted.function_gb
        calls = {
            "predict": (self._predict_requests, load.predict_seconds),
            "read_fleet": (self._page_requests, load.other_seconds),
            "track_devices": (self._stream_calls, load.other_seconds),
        }
        for name, (count, seconds) in calls.items():
            yield self._line("functions", f"{name}, calls", count, "lambda_request")
            busy = count * seconds * memory.get(name, 0)
            yield self._line("functions", f"{name}, time", busy, "lambda_arm_gb_second")

    def collection(self) -> Iterator[Line]:
        """What reading EBS volumes costs beside the rows that it writes, which are insights like all others."""
        if "collect_volumes" not in self.counted.function_gb:
            return
        load, settings = self.load, self.settings
        runs = MINUTES_PER_MONTH / settings.ebs_every_minutes
        reads = runs * load.ebs_volumes
        asked = reads * load.ebs_metrics_per_volume
        yield self._line("EBS collection", "metrics asked for", asked, "get_metric_data_metric")
        yield self._line("EBS collection", "calls", runs * settings.ebs_shards, "lambda_request")
        busy = reads * load.ebs_seconds_per_volume * self.counted.function_gb["collect_volumes"]
        yield self._line("EBS collection", "time", busy, "lambda_arm_gb_second")
        yield self._line("EBS collection", "newest rows", reads * _READS_PER_COLLECTION, "dynamodb_read")
        yield self._line("EBS collection", "own metrics", _COLLECTION_METRICS, "custom_metric_month")

    def _front(self) -> Iterator[Line]:
        load = self.load
        yield self._line("API", "requests", self._requests, "api_request")
        out = (self._predictions + self._page_requests) * load.prediction_kb / _KB_PER_GB
        yield self._line("API", "data out", out, "data_out_gb")
        yield self._line("sign-in", "users", load.users, "cognito_user_month")
        yield self._line("sign-in", "service clients", self.counted.service_clients, "cognito_client_month")
        # A token lives an hour, and a client keeps it that long.
        tokens = self.counted.service_clients * HOURS_PER_MONTH
        yield self._line("sign-in", "tokens of services", tokens, "cognito_token")
        if self.counted.has_page:
            yield self._line("page", "requests", self._page_requests, "cloudfront_https_request")
            sent = self._page_requests * load.devices * _DEVICE_KB / _KB_PER_GB
            yield self._line("page", "data out", sent, "cloudfront_out_gb")

    def _watching(self) -> Iterator[Line]:
        load, counted = self.load, self.counted
        yield self._line("monitoring", "alarms, by metric", counted.alarm_metrics, "alarm_metric_month")
        yield self._line("monitoring", "composite alarms", counted.composite_alarms, "composite_alarm_month")
        yield self._line("monitoring", "dashboards", counted.dashboards, "dashboard_month")
        yield self._line("monitoring", "own metrics", load.custom_metrics, "custom_metric_month")
        logged = (self._requests + self._stream_calls) * load.log_kb_per_call / _KB_PER_GB
        yield self._line("monitoring", "logs written", logged, "logs_ingested_gb")
        kept = self.settings.rules.log_days / (HOURS_PER_MONTH / 24)
        yield self._line("monitoring", "logs kept", logged * kept, "logs_stored_gb_month")

    def _small(self) -> Iterator[Line]:
        hours = self.settings.hours
        switches = 0 if hours is None else 2 * len(hours.windows) * _WEEKS_PER_MONTH
        states = switches * self.load.transitions_per_switch
        yield self._line("off-hours", "workflow", states, "state_transition")
        yield self._line("events and mail", "schedules", self.counted.schedules, "eventbridge_rule")
        yield self._line("events and mail", "e-mails", self.load.emails_per_month, "sns_email")
        yield self._line("events and mail", "budgets", self.counted.budgets, "budget")

    @property
    def _predictions(self) -> float:
        return self.load.predictions_per_month(self.served_share)

    @property
    def _predict_requests(self) -> float:
        return self._predictions / self.load.predictions_per_request

    @property
    def _page_requests(self) -> float:
        return self.load.users * self.load.page_hours_per_user * 60 * _PAGE_CALLS_PER_MINUTE

    @property
    def _requests(self) -> float:
        return self._predict_requests + self._page_requests

    @property
    def _stream_calls(self) -> float:
        """A batch waits a second for more, so there are at most 60 a minute of each of the two streams."""
        written = (self.load.insights_per_month, self._predictions)
        return sum(min(rows, 60 * MINUTES_PER_MONTH) for rows in written)

    def _line(self, component: str, what: str, quantity: float, price: str) -> Line:
        usd = quantity * self.table.price(price).usd
        return Line(component=component, what=what, quantity=quantity, price=price, usd=usd)
