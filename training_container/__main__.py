"""The image's entry point: `python -m training_container generate|engineer|merge|train|evaluate|serve|watch`.

Without paths a command works on the SageMaker contract's; slow libraries are imported by the command that needs them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from insights.schema import KINDS
from training_container.errors import UnusableInput
from training_container.hyperparameters import FIXED, SWITCHES, TUNED
from training_container.sagemaker_contract import ContainerPaths, cores, leave_at_once, run_contained

if TYPE_CHECKING:
    from training_container.merge import Choices

MOST_WORKERS = 256


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """A wrong argument of a job's definition belongs into the failure file like any other input."""
        raise UnusableInput(f"{message}; {' '.join(self.format_usage().split())}")


def main(argv: list[str]) -> int:
    paths = ContainerPaths.from_environment(os.environ)

    def command() -> None:
        arguments = _parser().parse_args(argv)
        arguments.command(arguments, paths)

    return run_contained(command, paths)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m training_container", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_generate(commands)
    _add_engineer(commands)
    _add_merge(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_watch(commands)
    serve = commands.add_parser("serve", help="answer /ping and /invocations")
    serve.add_argument("--model", type=Path)
    serve.add_argument("--port", type=int)
    serve.set_defaults(command=_serve)
    return parser


def _add_generate(commands: argparse._SubParsersAction[_Parser]) -> None:
    generate = commands.add_parser("generate", help="a synthetic fleet's insights")
    generate.add_argument("--records", type=int, default=10_000)
    generate.add_argument("--seed", type=int, default=7)
    generate.add_argument("--output", type=Path)
    generate.add_argument("--collector", choices=("good", "realistic"), default="good", help="gaps, nulls, clock skew")
    for name, meaning in (
        ("lost", "share of rows lost one by one"),
        ("outages", "share of rows lost in stretches"),
        ("nulls", "share of null cells"),
        ("skew-seconds", "how far a device's clock may be off"),
    ):
        generate.add_argument(f"--{name}", type=float, help=f"{meaning}; the collector's otherwise")
    generate.add_argument("--futures", type=int, help="simulated for each row by the oracle; 0: no oracle")
    generate.set_defaults(command=_generate)


def _add_engineer(commands: argparse._SubParsersAction[_Parser]) -> None:
    engineer = commands.add_parser("engineer", help="insights to features, labels and splits")
    engineer.add_argument("--input", type=Path, help="a file of insights, or a folder of them")
    engineer.add_argument("--output", type=Path, help="of one instance the features, of several the shards for merge")
    engineer.add_argument("--labels", choices=("given", "hindsight"), default="given")
    engineer.add_argument("--instance", type=int, help="which of several this is, from 0; SageMaker says it itself")
    engineer.add_argument("--instances", type=int, help="that share an export's objects; each needs its manifest")
    engineer.add_argument("--manifest", type=Path, help="folder with the export's manifest.json, if not in the input")
    engineer.add_argument("--oracle", type=Path, help="folder with the generator's oracle.npz, if not in the input")
    _add_choices(engineer)
    engineer.set_defaults(command=_engineer)


def _add_merge(commands: argparse._SubParsersAction[_Parser]) -> None:
    merge = commands.add_parser("merge", help="the features of one run from the shards of several instances")
    merge.add_argument("--input", type=Path, help="folder with every instance's shard")
    merge.add_argument("--output", type=Path)
    _add_choices(merge)
    merge.set_defaults(command=_merge)


def _add_choices(command: argparse.ArgumentParser) -> None:
    """What the features folder shall be: whoever writes it needs them, an instance that writes a shard does not."""
    command.add_argument("--previous", type=Path, help="folder with the splits.json of an earlier run")
    command.add_argument("--tables", "--format", choices=("csv", "parquet", "none"), default="csv")
    command.add_argument("--split", choices=("device", "time"), default="device")
    command.add_argument("--seed", type=int, default=7)
    command.add_argument(
        "--train-parts", type=_positive, default=1, help="files of the training split, of whole devices"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _add_train(commands: argparse._SubParsersAction[_Parser]) -> None:
    train = commands.add_parser("train", help="fit and calibrate one model")
    train.add_argument("--kind", choices=KINDS)
    train.add_argument("--input", type=Path, help="engineer's output folder")
    train.add_argument("--model", type=Path)
    for name in (*TUNED, *FIXED, *SWITCHES):
        train.add_argument(f"--{name.replace('_', '-')}", dest=f"hp_{name}", metavar="VALUE")
    train.set_defaults(command=_train)


def _add_evaluate(commands: argparse._SubParsersAction[_Parser]) -> None:
    evaluate = commands.add_parser("evaluate", help="judge a model on the test split, beside its rivals")
    evaluate.add_argument("--kind", choices=KINDS, required=True)
    evaluate.add_argument("--model", type=Path, help="model folder or model.tar.gz")
    evaluate.add_argument("--live", type=Path, help="the model in service, to be compared with on the same rows")
    evaluate.add_argument("--input", type=Path, help="engineer's output folder")
    evaluate.add_argument("--output", type=Path)
    evaluate.set_defaults(command=_evaluate)


def _add_watch(commands: argparse._SubParsersAction[_Parser]) -> None:
    watch = commands.add_parser("watch", help="compare what a model was asked with what it was trained on")
    watch.add_argument("--kind", choices=KINDS, required=True)
    watch.add_argument("--model", type=Path, help="model folder or model.tar.gz")
    watch.add_argument("--captured", type=Path, help="folder of SageMaker's captured requests (.jsonl)")
    watch.add_argument("--outcomes", type=Path, help="stored predictions with feedback and outcome, a file or folder")
    watch.add_argument("--output", type=Path)
    watch.add_argument("--start", help="of the period, ISO 8601; every captured request if not given")
    watch.add_argument("--end", help="of the period, not included")
    watch.add_argument("--model-version", default="", help="whose answers are judged; all if not given")
    watch.add_argument("--report-uri", default="", help="where the report will be found, for watch.json")
    watch.set_defaults(command=_watch)


def _generate(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.generate import chosen_collector, generate_files

    generate_files(
        records=arguments.records,
        seed=arguments.seed,
        output=arguments.output or paths.processing_output("generated"),
        by_hand=arguments.output is not None,
        collector=chosen_collector(arguments.collector, vars(arguments)),
        futures=arguments.futures,
    )


def _engineer(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.engineer import Place, Source, engineer, engineer_shard

    source = Source(
        insights=arguments.input or paths.processing_input("raw"),
        manifest=arguments.manifest or paths.processing_input("manifest"),
        oracle=arguments.oracle or paths.processing_input("oracle"),
        labels=arguments.labels,
    )
    place = _place(arguments, paths)
    if place[1] == 1:
        engineer(source, arguments.output or paths.processing_output("features"), _choices(arguments, paths))
    else:
        engineer_shard(source, arguments.output or paths.processing_output("features"), Place(*place))


def _place(arguments: argparse.Namespace, paths: ContainerPaths) -> tuple[int, int]:
    if arguments.instances is None and arguments.instance is None:
        return paths.processing_place()
    index, count = arguments.instance or 0, arguments.instances or 1
    if not 0 <= index < count:
        raise UnusableInput(f"--instance {index} of --instances {count} does not exist; they count from 0")
    return index, count


def _merge(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.merge import merge

    shards, output = paths.processing_input("shards"), paths.processing_output("features")
    merge(arguments.input or shards, arguments.output or output, _choices(arguments, paths))


def _choices(arguments: argparse.Namespace, paths: ContainerPaths) -> Choices:
    from training_container.merge import Choices

    return Choices(
        previous=arguments.previous or paths.processing_input("previous"),
        split=arguments.split,
        seed=arguments.seed,
        tables=arguments.tables,
        train_parts=arguments.train_parts,
    )


def _train(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.train import Place, train

    given = {
        name.removeprefix("hp_"): value
        for name, value in vars(arguments).items()
        if name.startswith("hp_") and value is not None
    }
    if arguments.kind:
        given["kind"] = arguments.kind
    folders = {
        name: arguments.input / "columnar" if arguments.input else paths.channel(name)
        for name in ("train", "validation", "calibration")
    }
    # By hand a folder is all there is; a job's hosts are those of its resource configuration.
    place = Place(scratch=paths.scratch) if arguments.input else Place(paths.hosts(), paths.end_lost, paths.scratch)
    train({**paths.hyperparameters(), **given}, folders, arguments.model or paths.model, place)


def _evaluate(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.evaluation.evaluate import evaluate

    evaluate(
        arguments.kind,
        model=arguments.model or paths.processing_input("model"),
        features=arguments.input or paths.processing_input("features"),
        output=arguments.output or paths.processing_output("evaluation"),
        live=arguments.live or paths.processing_input("live"),
    )


def _watch(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.watching.captures import period_of
    from training_container.watching.watch import watch

    watch(
        arguments.kind,
        model=arguments.model or paths.processing_input("model"),
        captured=arguments.captured or paths.processing_input("captured"),
        outcomes=arguments.outcomes or paths.processing_input("outcomes"),
        output=arguments.output or paths.processing_output("watch"),
        period=period_of(arguments.start, arguments.end),
        model_version=arguments.model_version,
        report_uri=arguments.report_uri,
    )


def _serve(arguments: argparse.Namespace, paths: ContainerPaths) -> None:
    from training_container.serve import serve

    serve(
        arguments.model or paths.model,
        host=os.environ.get("BIND_HOST", "0.0.0.0"),  # noqa: S104 - a container is reached through its own interface
        port=arguments.port or _port(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        model_version=os.environ.get("MODEL_PACKAGE_ARN", ""),
        workers=_workers(os.environ.get("SERVE_WORKERS", "")),
    )


def _workers(text: str) -> int:
    """Processes that answer; one a core where nothing is said."""
    if text and (not text.isdecimal() or len(text) > 9 or not 0 < int(text) <= MOST_WORKERS):
        raise UnusableInput(f"SERVE_WORKERS is {text!r}; give a number from 1 to {MOST_WORKERS}, or leave it out")
    return int(text) if text else cores()


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or not 0 < int(text) < 65_536:
        raise UnusableInput(f"SAGEMAKER_BIND_TO_PORT is {text!r}; give a port from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    end_code = main(sys.argv[1:])
    if end_code and sys.argv[1:2] == ["train"]:
        leave_at_once(end_code)
    sys.exit(end_code)
