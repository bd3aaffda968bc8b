"""`python -m stacks.costs [-c name=value ...] [--devices N ...]`: what the settings at hand cost a month and a training.

Settings are read as the stacks read them: cdk.json's "iops" and `-c` overrides.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from stacks.application import build_application
from stacks.costs.bill import Model
from stacks.costs.counted import Counted
from stacks.costs.jobs import ASSUMED, measured
from stacks.costs.load import Load
from stacks.costs.prices import PriceTable, UnknownPrice
from stacks.costs.report import as_json, as_text
from stacks.settings import InvalidSetting, Settings

_ROOT = Path(__file__).resolve().parent.parent.parent


def main(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    try:
        load = Load(**{entry.name: getattr(given, entry.name) for entry in fields(Load)})
        app = _app(dict(pair.split("=", 1) for pair in given.context))
        model = _model(app, load, given.run)
        told = as_json(model)
    except (InvalidSetting, UnknownPrice, ValueError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(told, indent=1) + "\n")
    print(as_text(model))
    print(f"\n{given.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.costs", description=__doc__)
    parser.add_argument("-c", dest="context", action="append", default=[], metavar="name=value", type=_pair)
    parser.add_argument("--run", type=Path, default=Path("build/run.json"), help="a measured run (make run)")
    parser.add_argument("--json", type=Path, default=Path("build/cost.json"), help="the same for programs")
    for entry in fields(Load):
        parser.add_argument(
            f"--{entry.name.replace('_', '-')}",
            type=float,
            default=entry.default,
            help=f"{entry.metadata['meaning']} ({entry.default:g})",
        )
    return parser


def _pair(text: str) -> str:
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no name=value, such as stage=prod")
    return text


def _app(overrides: Mapping[str, str]) -> cdk.App:
    """No file is bundled: only what is declared counts."""
    context = json.loads((_ROOT / "cdk.json").read_text())["context"]
    return cdk.App(context={**context, **overrides, "aws:cdk:bundling-stacks": []}, outdir=tempfile.mkdtemp())


def _model(app: cdk.App, load: Load, run: Path) -> Model:
    settings = Settings.from_context(app)
    build_application(app, code=lambda: lambda_.Code.from_inline("pass"))
    templates = {stack.stack_name: stack.template for stack in app.synth().stacks}
    found: Any = json.loads(run.read_text()) if run.is_file() else None
    jobs = ASSUMED if found is None else measured(found, settings=settings, rows=load.training_rows)
    return Model(
        settings=settings,
        counted=Counted.from_templates(templates),
        load=load,
        jobs=jobs,
        table=PriceTable.read(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
