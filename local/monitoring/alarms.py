"""CloudWatch's alarms: looked at once a minute of the laptop's clock, and what MiniStack leaves out of their API.

MiniStack 1.5.33 evaluates an alarm over every series of the metric's name, whatever the alarm's dimensions, lumps the
evaluation periods together, knows no missing data, no metric math and no suppressor, and looks only when somebody puts
a metric. Roll-back alarms of one endpoint must not answer for the other's errors, so its evaluation is replaced.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.clock import Clock
from local.monitoring import metric_math
from local.monitoring.announcing import Announcer
from local.monitoring.evaluation import values_of, wanted_state
from local.monitoring.points import ExpressionError
from local.monitoring.recorder import Recorder

logger = logging.getLogger("iops.alarms")

DATA_DELAY_SECONDS = 10.0
"""Endpoints write a minute's metrics when it has ended; alarms look a little later."""
LOOK_EVERY_SECONDS = 5.0
SUPPRESSOR_MEMBERS = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
SINGLE_METRIC_MEMBERS = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit")

Put = Callable[[Any, Mapping[str, Any], bool, bool], Any]


def register(clock: Clock, recorder: Recorder) -> None:
    from ministack.services import cloudwatch
    from ministack.services.cloudformation import provisioners

    announcer = Announcer(clock)
    evaluated = functools.partial(evaluate, clock=clock, recorder=recorder)
    cloudwatch._dispatch_alarm_actions = announcer.announce
    cloudwatch._evaluate_alarm = evaluated
    cloudwatch._evaluate_all_alarms = lambda: None  # a metric that is put is looked at when its minute has ended
    cloudwatch._put_metric_alarm = keeping_metrics(cloudwatch._put_metric_alarm, evaluated)
    cloudwatch._put_composite_alarm = keeping_suppressor(cloudwatch._put_composite_alarm, announcer)
    provisioners._cw_metric_alarm_record = record_with_metrics(provisioners._cw_metric_alarm_record)
    threading.Thread(target=_watch, args=(clock, evaluated, announcer), daemon=True, name="alarms").start()


def _watch(clock: Clock, evaluated: Callable[[dict[str, Any]], None], announcer: Announcer) -> None:
    from ministack.services import cloudwatch

    looked = None
    while True:
        time.sleep(clock.real(LOOK_EVERY_SECONDS))
        minute = clock.minute_of(time.time() - clock.real(DATA_DELAY_SECONDS))
        for alarm in list(cloudwatch._alarms.values()) if minute != looked else ():
            try:
                evaluated(alarm)
            except Exception:  # one alarm's fault must not silence the others
                logger.exception("the alarm %s could not be evaluated", alarm.get("AlarmName"))
        try:
            announcer.look()
        except Exception:
            logger.exception("held actions could not be looked at")
        looked = minute


def evaluate(alarm: dict[str, Any], *, clock: Clock, recorder: Recorder) -> None:
    """Move the alarm to the state that its data asks for."""
    from ministack.services import cloudwatch

    if not alarm.get("MetricName") and not alarm.get("Metrics"):
        return
    recorder.flush()
    values = values_of(alarm, now=time.time() - clock.real(DATA_DELAY_SECONDS), clock=clock)
    state, reason = wanted_state(alarm, values)
    before = alarm["StateValue"]
    if state == before:
        return
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def keeping_metrics(put: Put, evaluated: Callable[[dict[str, Any]], None]) -> Put:
    """_put_metric_alarm: an alarm on a math expression keeps its Metrics, which are checked first."""

    def kept(params: Any, data: Mapping[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
        from ministack.services import cloudwatch

        queries = data.get("Metrics") or []
        if not (is_cbor or is_json) and "Metrics.member.1.Id" in params:
            return _refused("the laptop takes Metrics in JSON or CBOR, not in the query protocol", is_cbor, is_json)
        try:
            if queries:
                metric_math.check(queries)
        except ExpressionError as wrong:
            return _refused(str(wrong), is_cbor, is_json)
        answer = put(params, data, is_cbor, is_json)
        if answer[0] < 300 and queries:
            alarm = cloudwatch._alarms[data["AlarmName"]]
            _become_expression(alarm, queries)
            evaluated(alarm)
        return answer

    return kept


def _become_expression(alarm: dict[str, Any], queries: Any) -> None:
    for member in SINGLE_METRIC_MEMBERS:
        alarm.pop(member, None)
    alarm["Metrics"] = list(queries)


def record_with_metrics(record: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """_cw_metric_alarm_record: a template's alarm on a math expression, which MiniStack refuses."""

    def recorded(name: str, props: dict[str, Any]) -> dict[str, Any]:
        queries = props.get("Metrics")
        if not queries:
            return record(name, props)
        metric_math.check(queries)
        bare = {member: value for member, value in props.items() if member != "Metrics"}
        alarm = record(name, {**bare, "MetricName": name, "Namespace": name})
        _become_expression(alarm, queries)
        return alarm

    return recorded


def keeping_suppressor(put: Put, announcer: Announcer) -> Put:
    """_put_composite_alarm: the suppressor and its periods, in effect before the new rule is evaluated."""

    def kept(params: Any, data: Mapping[str, Any], is_cbor: bool, is_json: bool = False) -> Any:
        from ministack.services import cloudwatch

        given = data if is_cbor or is_json else {name: cloudwatch._p(params, name) for name in SUPPRESSOR_MEMBERS}
        suppressor = {name: given[name] for name in SUPPRESSOR_MEMBERS if given.get(name) not in (None, "")}
        if problem := suppressor_problem(suppressor):
            return _refused(problem, is_cbor, is_json)
        name = data.get("AlarmName") or cloudwatch._p(params, "AlarmName")
        before = announcer.suppress(name, suppressor)
        answer = put(params, data, is_cbor, is_json)
        if answer[0] < 300:
            cloudwatch._composite_alarms[name].update(suppressor)
        else:
            announcer.suppress(name, before)
        return answer

    return kept


def suppressor_problem(given: Mapping[str, Any]) -> str | None:
    """PutCompositeAlarm: a suppressor and its two periods come together."""
    if not given:
        return None
    missing = [name for name in SUPPRESSOR_MEMBERS if name not in given]
    if missing:
        return f"{', '.join(missing)} must be given, as ActionsSuppressor and its two periods belong together"
    return None


def _refused(message: str, is_cbor: bool, is_json: bool) -> Any:
    from ministack.services import cloudwatch

    return cloudwatch._error("ValidationError", message, 400, use_json=is_json, use_cbor=is_cbor)
