"""What is assumed of the load: an option of `python -m stacks.costs` for each, with a default to be questioned."""

from dataclasses import dataclass, field, fields

HOURS_PER_MONTH = 730.0
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60


def _assumed(default: float, meaning: str) -> float:
    found: float = field(default=default, metadata={"meaning": meaning})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    devices: float = _assumed(200, "devices that send insights")
    interval_minutes: float = _assumed(5, "minutes between two insights of a device")
    predictions_per_minute: float = _assumed(80, "predictions asked for, of both kinds")
    predictions_per_request: float = _assumed(1, "predictions of one API request (up to 100)")
    trainings_per_month: float = _assumed(1, "runs of TrainModels a month")
    training_days: float = _assumed(30, "days of insights that a training reads")
    watches_per_month: float = _assumed(30, "runs of WatchModels a month, where it is deployed")
    users: float = _assumed(5, "people who sign in")
    page_hours_per_user: float = _assumed(40, "hours a month that a user keeps the page open; it asks once a minute")
    history_months: float = _assumed(12, "months of insights kept in the table")
    insight_kb: float = _assumed(0.4, "one stored insight")
    prediction_kb: float = _assumed(2.5, "one stored prediction with its contributions")
    request_kb: float = _assumed(4, "one window sent to an endpoint")
    answer_kb: float = _assumed(1.5, "one prediction answered")
    alert_share: float = _assumed(0.1, "share of insights with an alert, which the index holds too")
    predict_seconds: float = _assumed(0.1, "seconds of the predict function for one request")
    other_seconds: float = _assumed(0.05, "seconds of any other function for one call")
    log_kb_per_call: float = _assumed(1.5, "log lines of one function's call")
    workflow_log_mb: float = _assumed(20, "log of one execution of TrainModels, with its promotions")
    transitions_per_training: float = _assumed(500, "states entered by one training with its promotions")
    transitions_per_switch: float = _assumed(150, "states entered by one run of SwitchServing")
    ebs_volumes: float = _assumed(100, "EBS volumes with the tag, where their collection is on")
    ebs_metrics_per_volume: float = _assumed(11, "metrics asked for of a volume; 12 of one that spends burst credits")
    ebs_seconds_per_volume: float = _assumed(0.02, "seconds of the collecting function for one volume and run")
    custom_metrics: float = _assumed(60, "own metrics by name and dimensions that get values in a month")
    emails_per_month: float = _assumed(100, "e-mails of the topic")
    endpoint_volume_gb: float = _assumed(30, "storage volume of one endpoint instance")
    image_gb: float = _assumed(1, "container images kept")
    job_volume_gb: float = _assumed(30, "storage volume of a job's instance")
    job_overhead_seconds: float = _assumed(60, "seconds a job is billed for beside its own work (image, transfer)")

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value < 0 or (value == 0 and entry.name in ("interval_minutes", "predictions_per_request")):
                raise ValueError(f"--{entry.name.replace('_', '-')} is {value}; give a number above 0")

    @property
    def insights_per_month(self) -> float:
        return self.devices * MINUTES_PER_MONTH / self.interval_minutes

    @property
    def training_rows(self) -> float:
        return self.devices * self.training_days * 24 * 60 / self.interval_minutes

    def predictions_per_month(self, served_share: float) -> float:
        return self.predictions_per_minute * MINUTES_PER_MONTH * served_share
