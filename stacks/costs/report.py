"""A bill as people read it, and as programs do."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from stacks.costs.bill import Line, Model
from stacks.endpoint_stack import FEWEST_INSTANCES, MOST_INSTANCES

INSTANCES = (FEWEST_INSTANCES, MOST_INSTANCES)
_UNVERIFIED = "*"
_SERVED_ALWAYS = "always"


def as_json(model: Model) -> dict[str, Any]:
    """build/cost.json: amounts in USD, not rounded."""
    table = model.table
    months = {str(count): model.month(instances=count) for count in INSTANCES}
    training = model.training()
    used = sorted({line.price for lines in (*months.values(), training) for line in lines})
    return {
        "stage": model.settings.stage,
        "region": table.region,
        "endpoint_instance_type": model.settings.endpoint_instance_type,
        "serving_hours": model.settings.serving_hours,
        "served_share": model.served_share,
        "month": {count: _totals(lines) for count, lines in months.items()},
        "training": _totals(training),
        "assumptions": {entry.name: getattr(model.load, entry.name) for entry in fields(model.load)},
        "jobs": asdict(model.jobs),
        "prices": {
            name: asdict(table.price(name)) | {"read_on": table.sources[table.price(name).source]["read_on"]}
            for name in used
        },
        "sources": table.sources,
    }


def as_text(model: Model) -> str:
    settings, table = model.settings, model.table
    one, three = (model.month(instances=count) for count in INSTANCES)
    training = model.training()
    return "\n".join(
        [
            f"What stage {settings.stage} costs a month in {table.region}, in USD: list prices on demand, no free tier "
            "deducted, without taxes",
            f"endpoints: {model.counted.endpoints} of {settings.endpoint_instance_type}, serving "
            f"{settings.serving_hours or _SERVED_ALWAYS} ({model.served_share:.0%} of the time)",
            *_elsewhere(model),
            *_collected(model),
            "",
            *_aligned(
                [("component", "position", "quantity", "unit", "1 instance", "3 instances"), *_rows(model, one, three)]
            ),
            "",
            f"One training ({model.jobs.origin})",
            *_aligned([("component", "position", "quantity", "unit", "USD"), *_training_rows(model, training)]),
            "",
            "Assumed; each is an option, such as --devices 500",
            *_aligned(list(_assumptions(model))),
            "",
            f"Prices used (stacks/costs/prices.json); {_UNVERIFIED} no dated source for this region was found: check it",
            *_aligned([("price", "USD", "unit", "read on", "source"), *_price_rows(model, [*one, *training])]),
            *(f"  {name}: {source['what']}" for name, source in table.sources.items()),
        ]
    )


def _assumptions(model: Model) -> Iterable[tuple[str, ...]]:
    for entry in fields(model.load):
        value = getattr(model.load, entry.name)
        yield f"--{entry.name.replace('_', '-')}", f"{value:g}", entry.metadata["meaning"]


def _elsewhere(model: Model) -> list[str]:
    region = model.settings.region
    if region in (None, model.table.region):
        return []
    return [f"the setting region is {region}; these are the prices of {model.table.region}"]


def _collected(model: Model) -> list[str]:
    lines, volumes = list(model.collection()), model.load.ebs_volumes
    if not lines or not volumes:
        return []
    usd = sum(line.usd for line in lines) / volumes
    every = model.settings.ebs_every_minutes
    return [f"EBS collection: {volumes:g} volumes every {every} minutes, {_usd(usd)} for each of them"]


def _rows(model: Model, one: Sequence[Line], three: Sequence[Line]) -> Iterable[tuple[str, ...]]:
    for component in dict.fromkeys(line.component for line in one):
        pairs = [(a, b) for a, b in zip(one, three, strict=True) if a.component == component]
        yield component, "", "", "", *(_usd(sum(line.usd for line in lines)) for lines in zip(*pairs, strict=True))
        for single, triple in pairs:
            yield "", single.what, *_amount(model, single), _usd(single.usd), _usd(triple.usd)
    yield "total", "", "", "", *(_usd(sum(line.usd for line in lines)) for lines in (one, three))


def _training_rows(model: Model, lines: Sequence[Line]) -> Iterable[tuple[str, ...]]:
    for line in lines:
        yield line.component, line.what, *_amount(model, line), _usd(line.usd)
    yield "total", "", "", "", _usd(sum(line.usd for line in lines))


def _amount(model: Model, line: Line) -> tuple[str, str]:
    price = model.table.price(line.price)
    quantity = f"{line.quantity:,.0f}" if line.quantity >= 100 else f"{line.quantity:.3g}"
    return quantity, price.unit + _UNVERIFIED * (not price.verified)


def _price_rows(model: Model, lines: Iterable[Line]) -> Iterable[tuple[str, ...]]:
    for name in sorted({line.price for line in lines}):
        price = model.table.price(name)
        mark = _UNVERIFIED * (not price.verified)
        text = f"{price.usd:.10f}".rstrip("0").rstrip(".")
        yield name, text + mark, price.unit, model.table.sources[price.source]["read_on"], price.source


def _totals(lines: Sequence[Line]) -> dict[str, Any]:
    by_component: dict[str, float] = {}
    for line in lines:
        by_component[line.component] = by_component.get(line.component, 0.0) + line.usd
    return {
        "total": sum(by_component.values()),
        "by_component": by_component,
        "lines": [asdict(line) for line in lines],
    }


def _usd(amount: float) -> str:
    return f"{amount:,.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Numbers to the right, by the look of the last row."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    is_number = [any(row[i][:1].isdigit() for row in rows[1:]) for i in range(len(rows[0]))]
    return [
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in rows
    ]
