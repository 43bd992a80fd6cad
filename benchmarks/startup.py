"""How long it takes until something happens: imports, the model that ships, and what surrounds the runs of an ablation.

    python -m benchmarks.startup                            # about three minutes

Each contender is a process of its own; they take turns. Seconds are the process's own on the CPU: what other processes
take is not in them.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.tables import reported
from benchmarks.timing import Timing
from faceinsight.ablation.plan import planned_runs, read_ablation
from faceinsight.ablation.run import read_error, read_result
from faceinsight.ablation.work import carry_out_all
from faceinsight.training.configure import silence_tips

BARE = "the packages that tiny needs, imported"

#: What each contender runs after it has started its clock.
STATEMENTS = {
    BARE: (
        "import timm, torch_geometric.nn, segmentation_models_pytorch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM"
    ),
    "import faceinsight": "import faceinsight",
    'from_pretrained("tiny")': 'import faceinsight\nfaceinsight.FaceInsight.from_pretrained("tiny")',
}

#: Runs of an ablation that train nothing by gradient: what they spend is nearly all around the training. The first one
#: is left out of the table: it draws and encodes the faces where that has not been done.
CLOSED_FORM = ("evidence alone", "evidence + gain", "evidence + gain + decoding", "majority class")


def spent(statements: str) -> float:
    """Return the CPU seconds of some statements in a fresh process."""
    timed = f"import time\nstart = time.process_time()\n{statements}\nprint(time.process_time() - start)"
    command = [sys.executable, "-W", "ignore", "-c", timed]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def start(rounds: int) -> pd.DataFrame:
    """Return a row for each contender."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(rounds):
        for name, statements in STATEMENTS.items():
            seconds[name].append(spent(statements))
    timings = {name: Timing(tuple(each)) for name, each in seconds.items()}
    return pd.DataFrame(
        {
            "what": list(timings),
            "CPU seconds": [each.median for each in timings.values()],
            "x": [each.ratio(timings[BARE]) for each in timings.values()],
        }
    )


def around_runs(file: Path, names: Sequence[str] = CLOSED_FORM, seed: int = 0) -> pd.DataFrame:
    """Return a row for each run but the first: CPU seconds in all, and the seconds in which it trained and tested.

    Args:
        file: the experiment.
        names: its variants that are run.
        seed: of the runs.
    """
    silence_tips()
    rows = []
    with TemporaryDirectory() as folder:
        runs = {run.variant.name: run for run in planned_runs(read_ablation(file), Path(folder), [seed])}
        for name in names:
            start = time.process_time()
            carry_out_all([runs[name]], lambda event: None)
            total, result = time.process_time() - start, read_result(runs[name].folder)
            if result is None:
                raise RuntimeError(f"the run {name!r} of {file} failed; see {read_error(runs[name].folder)}")
            rows.append({"run": name, "CPU seconds": total, "training and test": result.seconds})
    frame = pd.DataFrame(rows[1:])
    return frame.assign(around=frame["CPU seconds"] - frame["training and test"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes of each contender")
    parser.add_argument("--experiment", type=Path, default=Path("experiments/constraints.yaml"))
    parser.add_argument("--output", type=Path, help="the first table as CSV")
    options = parser.parse_args(arguments)
    reported("Until something happens", start(options.rounds), options.output)
    reported("Around the runs of an ablation", around_runs(options.experiment), None)


if __name__ == "__main__":
    main()
