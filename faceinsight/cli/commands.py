"""The command line: ``faceinsight predict | ablate | fit | validate | test | evaluate | probe | data | lint | mine``.

A command's libraries are imported when it runs, so that ``faceinsight --help`` answers at once. ``fit``, ``validate``
and ``test`` are LightningCLI's own (:class:`~faceinsight.training.configure.FaceCLI`).
"""

import json
import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import faceinsight
from faceinsight.errors import InputError, did_you_mean, message_of
from faceinsight.files import write_text

if TYPE_CHECKING:
    from rich.table import Table

    from faceinsight.knowledge.lint.findings import LintReport
    from faceinsight.knowledge.rules import RuleSet
    from faceinsight.knowledge.schema import Schema
    from faceinsight.models.face_insight import FaceInsight
    from faceinsight.models.predicting.predictions import Predictions

__all__ = ["main"]

#: Commands that are Lightning's own.
LIGHTNING = {
    "fit": "train any single configuration: faceinsight fit --config FILE",
    "validate": "measure a configuration's model on the validation split",
    "test": "measure a configuration's model on the test split",
}

EXIT_CODES = """exit codes:
  0    done
  1    a fault was found: a run failed (ablate); the rules have a finding or cannot be read, or --max-broken (lint);
       files cannot be read (data check, predict)
  2    a mistake in the command line, in a file or in the data; the message says where
  130  interrupted (Ctrl-C)
"""


def ablate(
    *,
    file: Path,
    settings: Path | None,
    output: Path | None,
    seeds: list[int] | None,
    workers: int,
    only: list[str] | None,
    rerun: list[str] | None,
) -> int:
    """Run the variants with every seed and print the table; 1 if a run failed, 130 if some are left to do."""
    from faceinsight.ablation import ablate as run

    report = run(file, settings=settings, output=output, seeds=seeds, workers=workers, only=only, rerun=rerun)
    asked = [variant for variant in report.variants if only is None or variant.name in only]
    if any(variant.waiting for variant in asked):
        return 130
    return int(any(variant.errors for variant in asked))


def evaluate(
    *,
    setting: str,
    model: str,
    data: list[str],
    output: Path | None,
    split: Literal["train", "val", "test"],
    readings: list[Literal["logits", "calibrated", "text"]],
    question: list[str] | None,
    rules: str | None,
    limit: int | None,
    broken: Literal["refuse", "skip"],
    batch_size: int,
    max_new_tokens: int,
    revision: str | None,
    dtype: str | None,
    device: str | None,
) -> int:
    """Measure a multimodal checkpoint as it is; ``setting`` has one value as yet."""
    from faceinsight.data.sources.by_name import source
    from faceinsight.evaluation.protocols.evaluate import evaluate_training_free
    from faceinsight.knowledge.rules import RuleSet
    from faceinsight.models.face_insight import FaceInsight

    place = usable_device(device)
    check_dtype(dtype)
    name, root = data
    faces = source(name, root)
    faces.prepare()
    table = faces.table()
    kept = None if rules == "none" else RuleSet.load(rules or table.schema.name, schema=table.schema)
    asked: dict[str, Any] = {} if question is None else {"question": question}
    network = FaceInsight.from_llava(model, schema=table.schema, revision=revision, dtype=dtype, **asked)
    evaluate_training_free(
        network.to(place),
        table,
        output or Path("runs", setting, f"{Path(model).resolve().name}-{name}"),
        split=split,
        show=readings,
        rules=kept,
        limit=limit,
        broken=broken,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
    return 0


def probe(
    *,
    model: str,
    data: list[str],
    output: Path | None,
    train: int,
    limit: int | None,
    split: Literal["train", "val", "test"],
    layers: int,
    crop: list[float] | None,
    broken: Literal["refuse", "skip"],
    batch_size: int,
    device: str | None,
) -> int:
    """Measure closed-form readouts at each stage of a model."""
    from faceinsight.data.images import Crop
    from faceinsight.data.sources.by_name import source
    from faceinsight.evaluation.protocols.probe import probe as climb

    place = usable_device(device)
    edges = None if crop is None else Crop(left=crop[0], right=crop[1], top=crop[2], bottom=crop[3])
    name, root = data
    faces = source(name, root)
    faces.prepare()
    table = faces.table()
    climb(
        any_model(model, table.schema).to(place),
        table,
        output or Path("runs", "probe", f"{Path(model).resolve().name}-{name}"),
        train_limit=train,
        limit=limit,
        split=split,
        layers=layers,
        crop=edges,
        broken=broken,
        batch_size=batch_size,
    )
    return 0


def any_model(name: str, schema: "Schema") -> "FaceInsight":
    """Return a saved model, or a LLaVA or InternVL checkpoint as it is, asked for these attributes.

    A saved model of other attributes is asked by its prompts alone: without evidence, and with no two attributes
    correlated.
    """
    import torch

    from faceinsight.knowledge.graph import LabelGraph
    from faceinsight.knowledge.schema import Schema
    from faceinsight.models.face_insight import FaceInsight

    config = Path(name, "config.json")
    if config.is_file() and "model_type" in json.loads(config.read_text("utf-8")):
        return FaceInsight.from_llava(name, schema=schema)
    model = FaceInsight.from_pretrained(name)
    if model.schema.names == schema.names:
        return model
    graph = None
    if model.correlation is not None or getattr(model.evidence, "gain", None) is not None:
        both = Schema.from_names([*dict.fromkeys((*schema.names, *model.schema.names))])
        graph = LabelGraph.from_labels(torch.eye(len(both)).bool(), both)  # no two together
    model = FaceInsight.from_pretrained(name, schema=schema, graph=graph)
    model.evidence = model.gate = None
    return model


def usable_device(name: str | None) -> str:
    """Return the device of a name; by default cuda if there is one, else the CPU.

    Raises:
        InputError: it is not a device, or this machine does not have it.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        known = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise InputError(f"--device {name}: not a device of this machine; it has {', '.join(known)}") from error
    return name


def check_dtype(name: str | None) -> None:
    """Refuse the name of a type that weights cannot have."""
    known = ("bfloat16", "float16", "float32", "auto")
    if name is not None and name not in known:
        hint = did_you_mean(name, known) or ";"
        raise InputError(f"--dtype {name}: not a type of weights{hint} known are {', '.join(known)}")


def predict(
    *,
    source: list[str],
    model: str,
    json_output: bool,
    csv: Path | None,
    annotate: Path | None,
    batch_size: int,
    device: str | None,
) -> int:
    """Print or write what a model says of the faces of pictures; 1 if some of them cannot be read."""
    from rich.console import Console

    from faceinsight.models.face_insight import FaceInsight
    from faceinsight.models.predicting.found import find_pictures
    from faceinsight.models.predicting.predictions import counted

    if csv is not None and csv.suffix.lower() != ".csv":
        complain(f"--csv {csv}: the file's ending must be .csv")
        return 2
    place, pictures = usable_device(device), source[0] if len(source) == 1 else source
    find_pictures(pictures)  # a mistake in a name is told before the model is loaded
    network = FaceInsight.from_pretrained(model).to(place)
    found = network.predict(pictures, batch_size=batch_size)
    if csv is not None:
        found.save(csv)
    if json_output:
        print(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
    elif csv is None and annotate is None:
        Console().print(group_table(found))
    if annotate is not None:
        save_plots(found, annotate)
    said = Console(stderr=True)
    written = [str(each) for each in (csv, annotate) if each is not None]
    faces = counted(len(found), "face") + (f": {', '.join(written)}" if written else "")
    said.print(faces, markup=False, highlight=False, soft_wrap=True)
    if found.broken:
        complain(f"{counted(len(found.broken), 'picture')} cannot be read:")
        for each in found.broken:
            said.print(f"  {each}", markup=False, highlight=False, soft_wrap=True)
    return int(bool(found.broken))


def group_table(found: "Predictions", rows: int = 20) -> "Table":
    """Return the groups of the first faces, each label with its probability, as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table("picture", box=None, pad_edge=False, header_style="bold")
    groups = found[0].groups if found else {}
    for name in groups:
        table.add_column(name.replace("_", " "))
    for face in found.faces[:rows]:
        cells = [
            "-" if label is None else f"{label.replace('_', ' ')} {face.group_probabilities[name][label]:.0%}"
            for name, label in face.groups.items()
        ]
        table.add_row(*map(Text, [Path(face.name).name, *cells]))
    if len(found) > rows:
        table.add_row(Text(f"... and {len(found) - rows:,} more; --csv FILE or --json for all"))
    return table


def save_plots(found: "Predictions", folder: Path) -> None:
    """Write each face's plot into a folder, by its number and its file's name."""
    from faceinsight.files import replacing

    for face in found:
        stem = re.sub(r"[^\w.-]+", "_", Path(face.name).stem)[:100]
        with replacing(folder / f"{face.index + 1:05d}_{stem}.png") as temporary:
            face.plot().savefig(temporary)


def check(*, name: str, root: Path, read_images: bool) -> int:
    """Print what is in a data set; 1 if files cannot be read."""
    from rich.console import Console

    from faceinsight.data.inspection.check import check as check_source
    from faceinsight.data.sources.by_name import source

    report = check_source(source(name, root), read_images=read_images)
    Console().print(report)
    return int(bool(report.broken))


def sheet(*, name: str, root: Path, output: Path, masks: bool) -> int:
    """Write a contact sheet of a data set."""
    from PIL import Image

    from faceinsight.data.inspection.sheet import save_sheet, sheet_of
    from faceinsight.data.sources.by_name import source

    if output.suffix.lower() not in Image.registered_extensions():
        complain(f"{output}: no picture format has the ending {output.suffix!r}; .png is a good one")
        return 2
    save_sheet(sheet_of(source(name, root), show_masks=masks), output)
    print(f"contact sheet: {output}")
    return 0


def lint(
    *,
    rules: str,
    schema: str | None,
    strength: Literal["logical", "all"],
    labels: Path | None,
    split: Path | None,
    by: list[str],
    max_broken: float | None,
    json_file: Path | None,
    undefined: float | None,
) -> int:
    """Print what is wrong with rules, and how labels keep them; 1 if the linter finds anything, or more than
    ``max_broken`` of the faces break a rule.
    """
    from rich.console import Console

    from faceinsight.knowledge.logic.language import RuleSyntaxError
    from faceinsight.knowledge.rules import RuleSet
    from faceinsight.knowledge.schema import Schema

    if labels is None and (split is not None or by or max_broken is not None):
        complain("--split, --by and --max-broken say something of labels; give them by --labels FILE")
        return 2
    try:
        read = RuleSet.load(rules, strength=strength, schema=None if schema is None else Schema.load(schema))
    except RuleSyntaxError as error:
        complain(message_of(error))
        return 1
    report = read.lint() if labels is None else linted(read, labels, split, by, undefined)
    Console().print(report)
    if json_file is not None:
        write_text(json_file, json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    broken = 0.0 if report.labels is None else report.labels.total_share
    if max_broken is not None and broken > max_broken:
        complain(f"{broken:.2%} of the faces break a rule, more than --max-broken {max_broken:.2%}")
        return 1
    return int(not report.ok)


def linted(rules: "RuleSet", labels: Path, split: Path | None, by: list[str], undefined: float | None) -> "LintReport":
    """Return the linter's report on rules and on labels, told apart by split where it is known, and as asked for."""
    from faceinsight.data.sources.label_files import read_labels
    from faceinsight.knowledge.lint.label_check import slices_by

    read = read_labels(labels, rules.schema, split, undefined=undefined)
    parts = {"split": read.split_masks()} if read.split else {}
    parts |= {name: slices_by(rules.schema, read.labels, name, undefined=0) for name in by}
    return rules.lint(read.labels, files=read.files, by=parts, undefined=0)


def mine(
    *,
    labels: Path,
    schema: str,
    confidence: float,
    support: float,
    lift: float,
    output: Path | None,
    undefined: float | None,
) -> int:
    """Print the regularities of a label table that may be worth a statistical rule, and write them as rules."""
    from rich.console import Console

    from faceinsight.data.sources.label_files import read_labels
    from faceinsight.knowledge.lint.mining import mine as mine_rules
    from faceinsight.knowledge.rules import RuleSet

    known = RuleSet.load(schema)
    thresholds = {"confidence": confidence, "support": support, "lift": lift}
    table = read_labels(labels, known.schema, undefined=undefined).labels
    mined = mine_rules(table, known.schema, rules=known, table=labels.name, undefined=0, **thresholds)
    Console().print(mined)
    if output is not None:
        mined.rules.save(output)
        print(f"rules: {output}")
    return 0


def parser() -> ArgumentParser:
    """Every command with its options; ``run`` is the function that carries it out."""
    described = "Face perception with a structured multimodal LLM: ablations, single runs, data, rules."
    top = Parser("faceinsight", description=described, epilog=EXIT_CODES, formatter_class=RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"faceinsight {faceinsight.__version__}")
    top.set_defaults(run=top.print_help)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")

    add_predict_options(command(commands, "predict", predict, "read the attributes of faces in photographs"))
    one = command(commands, "ablate", ablate, "train and test an ablation's variants; print the table")
    one.add_argument("file", type=Path, metavar="FILE", help="the ablation, e.g. experiments/constraints.yaml")
    one.add_argument("--settings", type=Path, metavar="FILE", help="settings instead of FILE's own: another data set")
    one.add_argument("--output", type=Path, metavar="DIR", help="for runs, tables and plot; runs/NAME by default")
    one.add_argument("--seeds", type=int, nargs="+", metavar="SEED", help="instead of FILE's own, e.g. --seeds 0 1")
    one.add_argument("--workers", type=int, default=1, metavar="N", help="processes that carry out runs side by side")
    one.add_argument("--only", nargs="+", metavar="NAME", help="carry out these variants alone, and what they rest on")
    one.add_argument(
        "--rerun", nargs="+", metavar="NAME", help="drop these variants' results, and what rests on them, and run again"
    )
    one.epilog = (
        "A finished run is found again while its configuration, the files that it names and the source of your own "
        "classes stay the same. To drop a run, delete its folder below DIR/runs. An experiment file is code: it "
        "imports and calls what it names, so run only files that you trust. A saved model is data."
    )
    for name, says in LIGHTNING.items():
        commands.add_parser(name, help=says, add_help=False)
    add_evaluate_options(command(commands, "evaluate", evaluate, "measure a multimodal checkpoint as it is, untrained"))
    add_probe_options(command(commands, "probe", probe, "find the stage of a model at which information is lost"))
    add_data_commands(command(commands, "data", None, "look at a data set: data check, data sheet"))

    add_lint_options(command(commands, "lint", lint, "check rules against each other, and against labels"))
    add_mine_options(command(commands, "mine", mine, "propose statistical rules from the regularities of labels"))
    return top


def add_predict_options(one: ArgumentParser) -> None:
    """Which pictures ``predict`` reads, by which model, and what it writes."""
    one.add_argument("source", nargs="+", metavar="SOURCE", help="pictures of one face each: files, folders, 'a/*.jpg'")
    one.add_argument("--model", default="tiny", metavar="DIR_OR_ID", help="default: tiny, which is in the package")
    told = one.add_mutually_exclusive_group()
    told.add_argument("--json", dest="json_output", action="store_true", help="print everything as JSON")
    told.add_argument("--csv", type=Path, metavar="FILE", help="write a row a face: its groups and all probabilities")
    one.add_argument("--annotate", type=Path, metavar="DIR", help="write a picture a face: parsing, bars, rules")
    one.add_argument("--batch-size", type=positive, default=32, metavar="N", help="faces at a time; default: 32")
    one.add_argument("--device", metavar="NAME", help="default: cuda if there is one, else cpu")


def add_evaluate_options(one: ArgumentParser) -> None:
    """Which model ``evaluate`` measures, on which faces, and how its answers are read."""
    one.add_argument("--setting", required=True, choices=("training-free",), help="training-free: nothing is trained")
    one.add_argument("--model", required=True, metavar="DIR_OR_ID", help="a LLaVA or InternVL checkpoint")
    one.add_argument("--data", required=True, nargs=2, metavar=("NAME", "ROOT"), help="a data set and its folder")
    one.add_argument("--output", type=Path, metavar="DIR", help="default: runs/SETTING/MODEL-NAME")
    one.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: test")
    one.add_argument(
        "--readings",
        nargs="+",
        choices=("logits", "calibrated", "text"),
        default=["logits", "calibrated"],
        help="text: also let the model write its answers, and parse them; default: logits calibrated",
    )
    one.add_argument(
        "--question",
        nargs="+",
        metavar="TEXT",
        help="asks for each attribute, with {prompt} in it; several are paraphrases, whose logits are averaged. An "
        "attribute with questions of its own in the catalog is asked those",
    )
    one.add_argument("--rules", metavar="CATALOG_OR_FILE", help="at the output; the data set's own by default, or none")
    one.add_argument("--limit", type=positive, metavar="N", help="only the first N faces of the split")
    one.add_argument(
        "--broken", choices=("refuse", "skip"), default="refuse", help="files that cannot be read; default: refuse"
    )
    one.add_argument("--batch-size", type=positive, default=16, metavar="N", help="faces at a time; default: 16")
    one.add_argument("--max-new-tokens", type=positive, default=16, metavar="N", help="of a text answer; default: 16")
    one.add_argument("--revision", metavar="COMMIT", help="of a hub model")
    one.add_argument("--dtype", metavar="TYPE", help="of the weights, e.g. bfloat16; as they were saved by default")
    one.add_argument("--device", metavar="NAME", help="default: cuda if there is one, else cpu")


def add_probe_options(one: ArgumentParser) -> None:
    """Which model ``probe`` looks into, and on which faces."""
    one.add_argument("model", metavar="MODEL", help="a saved model, tiny, or a LLaVA or InternVL checkpoint")
    one.add_argument("--data", required=True, nargs=2, metavar=("NAME", "ROOT"), help="a data set and its folder")
    one.add_argument("--output", type=Path, metavar="DIR", help="default: runs/probe/MODEL-NAME")
    one.add_argument("--train", type=positive, default=1000, metavar="N", help="faces to fit on; default: 1000")
    one.add_argument("--split", choices=("train", "val", "test"), default="test", help="measured; default: test")
    one.add_argument("--limit", type=positive, metavar="N", help="only the first N faces of the split")
    one.add_argument("--layers", type=positive, default=6, metavar="N", help="layers of the LLM; default: 6")
    edges = ("LEFT", "RIGHT", "TOP", "BOTTOM")
    one.add_argument("--crop", type=float, nargs=4, metavar=edges, help="shares of each picture that are cut off")
    one.add_argument(
        "--broken", choices=("refuse", "skip"), default="refuse", help="files that cannot be read; default: refuse"
    )
    one.add_argument("--batch-size", type=positive, default=16, metavar="N", help="faces at a time; default: 16")
    one.add_argument("--device", metavar="NAME", help="default: cuda if there is one, else cpu")


def positive(text: str) -> int:
    """Return a whole number of at least 1; argparse words the error."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def add_lint_options(one: ArgumentParser) -> None:
    """Add what ``lint`` reads, and what it reports."""
    one.add_argument("rules", metavar="CATALOG_OR_FILE", help="a catalog's name (celeba), a YAML file, or rule text")
    one.add_argument("--schema", metavar="CATALOG", help="the attributes, for a file of rules without its own")
    one.add_argument("--strength", choices=("logical", "all"), default="logical", help="all: statistical rules as well")
    one.add_argument(
        "--labels", type=Path, metavar="FILE", help="hold the rules against these: list_attr_celeba.txt, or a CSV"
    )
    one.add_argument(
        "--split", type=Path, metavar="FILE", help="tell the faces apart by split: list_eval_partition.txt, or a CSV"
    )
    one.add_argument(
        "--by", nargs="+", default=[], metavar="NAME", help="and by these groups or attributes, e.g. --by gender Young"
    )
    one.add_argument(
        "--max-broken", type=float, metavar="SHARE", help="fail if more of the faces break a rule, e.g. 0.03"
    )
    add_undefined(one)
    one.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write the whole report here as well")


def add_undefined(one: ArgumentParser) -> None:
    """Which value of a label table means undefined."""
    one.add_argument(
        "--undefined",
        type=float,
        metavar="VALUE",
        help="the value of undefined labels: 0 where the others are 1 and -1, any other (-1, nan) where they are 1 and "
        "0; needed for labels of 0 and 1",
    )


def add_mine_options(one: ArgumentParser) -> None:
    """Which labels ``mine`` reads, and how sure it must be."""
    one.add_argument("labels", type=Path, metavar="LABELS", help="the label table: list_attr_celeba.txt, or a CSV")
    one.add_argument("--schema", required=True, metavar="CATALOG", help="its attributes and the rules known already")
    one.add_argument("--confidence", type=float, default=0.95, metavar="SHARE", help="default: 0.95")
    one.add_argument("--support", type=float, default=0.01, metavar="SHARE", help="default: 0.01 of the faces")
    one.add_argument("--lift", type=float, default=1.1, metavar="FACTOR", help="default: 1.1; 1 is by chance")
    add_undefined(one)
    one.add_argument("--output", type=Path, metavar="FILE", help="write the proposed rules: rules.yaml")


def add_data_commands(data: ArgumentParser) -> None:
    """Add ``data check`` and ``data sheet``."""
    data.set_defaults(run=data.print_help)
    commands = data.add_subparsers(title="commands", metavar="COMMAND", parser_class=SetsParser)
    look = command(commands, "check", check, "files, splits, label counts, rules that the labels break")
    draw = command(commands, "sheet", sheet, "write a contact sheet: many faces on one picture")
    for each in (look, draw):
        each.add_argument("name", metavar="NAME", help="the data set")
        each.add_argument("root", type=Path, metavar="ROOT", help="its folder; drawn faces are drawn if there are none")
    look.add_argument("--read-images", action="store_true", help="decode every picture and name the broken ones")
    draw.add_argument("--output", type=Path, metavar="FILE", default=Path("sheet.png"), help="default: sheet.png")
    draw.add_argument("--masks", action="store_true", help="lay the parsing masks over the faces")


class Parser(ArgumentParser):
    """A parser that takes no abbreviations and says what is wrong in one line."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:
        """As argparse does it, with the nearest flag for one that is unknown."""
        known, left = super().parse_known_args(*arguments, **named)
        if flags := [word for word in left if word.startswith("--")]:
            hint = did_you_mean(flags[0], [flag for action in self._actions for flag in action.option_strings])
            self.error(f"unrecognized arguments: {' '.join(left)}{hint}")
        return known, left

    def error(self, message: str) -> NoReturn:
        """Print the mistake and where help is, and end with exit code 2."""
        complain(f"{message}; see {self.prog} --help")
        sys.exit(2)


class SetsParser(Parser):
    """The parser of ``data check`` and ``data sheet``: its help names all data sets, which takes their libraries."""

    def format_help(self) -> str:
        from faceinsight.data.sources.by_name import source_names

        for action in self._actions:
            if action.dest == "name":
                action.help = f"the data set: {', '.join(source_names())}"
        return super().format_help()


def command(commands: _SubParsersAction, name: str, run: Callable[..., int] | None, says: str) -> ArgumentParser:
    """Return a new command, with its line in the list of commands."""
    made: ArgumentParser = commands.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}.")
    made.set_defaults(run=run)
    return made


def carry_out(words: Sequence[str] | None) -> int:
    """Do what the words say; None for those of this process."""
    given = sys.argv[1:] if words is None else words
    if given and given[0] in LIGHTNING:
        from faceinsight.training.configure import FaceCLI, expected_warnings, silence_tips

        silence_tips()
        with expected_warnings():
            FaceCLI(None if words is None else list(words))
        return 0
    options = vars(parser().parse_args(given))
    return options.pop("run")(**options) or 0


def complain(message: str) -> None:
    """Print an error in red, its lines as they are."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(f"error: {message}", style="red"), soft_wrap=True)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, see :data:`EXIT_CODES`; the words are those of this process by default.

    Raises:
        SystemExit: words that are no command, ``--help`` and ``--version``.
        Exception: anything else than an :class:`~faceinsight.errors.InputError` or an error of the system, which may be
            a fault in the code.
    """
    try:
        return carry_out(words)
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning's answer to Ctrl-C is sys.exit(1)
            return 130
        raise
    except (InputError, OSError) as error:
        complain(message_of(error))
        return 2
