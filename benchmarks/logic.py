"""The exact logic against what else there is: time side by side, rules left broken, log-probability lost, error.

    python -m benchmarks.logic                 # the whole table, some minutes on 2 cores
    python -m benchmarks.logic --batches 256   # a quick one
    python -m benchmarks.logic --device cuda --batches 65536   # this library alone: the others here run on a CPU

Beside this library: KLay on a circuit compiled by PySDD, PySDD face by face, and PiShield's layer. What is not
installed (``pip install faceinsight[logic]``; PiShield by itself) is left out and said so.
"""

import argparse
import contextlib
import importlib.util
import io
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from benchmarks.tables import shown
from benchmarks.timing import interleaved
from faceinsight.knowledge.logic.clauses import prime_implicates
from faceinsight.knowledge.logic.components import MAX_MODELS, ComponentTooLargeError, find_components
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from faceinsight.modules.constrained import ConstrainedBernoulli
from faceinsight.modules.logic.enumeration import EnumeratedComponent
from faceinsight.modules.logic.layered import LayeredComponent
from faceinsight.modules.logic.shield import ShieldLayer
from faceinsight.modules.logical import semantic_loss

#: CelebA's rules as users of these tools have written them, the statistical ones among them: 927 models.
STRICT = """
No_Beard -> not (Goatee or Mustache or Sideburns)
Goatee or Mustache or "5_o_Clock_Shadow" or Sideburns or Bald -> Male
not No_Beard -> Male
Bald -> not (Bangs or Straight_Hair or Wavy_Hair or Black_Hair or Blond_Hair or Brown_Hair)
at_most_one(Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair)
not (Straight_Hair and Wavy_Hair)
not (Bangs and Receding_Hairline)
"""

Clauses = list[list[int]]


def rule_sets() -> Iterator[tuple[str, RuleSet]]:
    """Yield what is measured on: real rules, and random sparse ones of growing size."""
    yield "CelebA, strict", RuleSet.parse(STRICT.strip(), Schema.load("celeba"))
    yield "FH37K", RuleSet.load("fh37k")
    for size, count, spread in ((20, 30, None), (40, 60, None), (40, 80, None), (60, 90, None), (80, 160, 4)):
        kind = "random" if spread is None else "local"
        yield f"{size} attributes, {count} {kind} clauses", random_rules(size, count, spread)


def random_rules(size: int, count: int, spread: int | None, seed: int = 0) -> RuleSet:
    """Clauses of two or three literals over random attributes, or over neighbours up to ``spread`` apart."""
    draw = random.Random(seed)
    schema = Schema.from_names([f"a{number}" for number in range(size)])
    rules = []
    for _ in range(count):
        centre = draw.randrange(size)
        near = range(size) if spread is None else range(max(0, centre - spread), min(size, centre + spread + 1))
        literals = [draw.choice(["", "not "]) + f"a{number}" for number in draw.sample(near, draw.choice([2, 3]))]
        rules.append(" or ".join(literals))
    return RuleSet.parse(rules, schema)


def clauses_of(rules: RuleSet) -> Clauses:
    """Return the rules as the other tools read them: clauses of signed numbers from 1 on."""
    place = {name: number + 1 for number, name in enumerate(rules.schema.names)}
    found = [clause for formula in rules.formulas for clause in prime_implicates(formula)]
    return [[place[name] if shown else -place[name] for name, shown in sorted(clause)] for clause in found]


def backward(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Callable[[], Tensor]:
    """One forward and backward pass of a mean over faces."""

    def run() -> Tensor:
        leaf = logits.detach().requires_grad_()
        value = loss(leaf)
        value.mean().backward()
        finish(logits)
        return value.detach()

    return run


def finish(logits: Tensor) -> None:
    """Wait until a GPU has done what it was told to do."""
    if logits.is_cuda:
        torch.cuda.synchronize(logits.device)


class Circuit:
    """A PySDD circuit of the rules, compiled once; KLay reads it, and so does a loop over faces."""

    def __init__(self, rules: RuleSet) -> None:
        from pysdd.sdd import SddManager, Vtree

        clauses, start = clauses_of(rules), time.perf_counter()
        self.variables = len(rules.schema)
        self.manager = SddManager.from_vtree(Vtree(var_count=self.variables, vtree_type="balanced"))
        self.manager.auto_gc_and_minimize_on()
        node = self.manager.true()
        for clause in clauses:
            either = self.manager.false()
            for literal in clause:
                either = self.manager.disjoin(either, self.manager.literal(literal))
            node = self.manager.conjoin(node, either)
            node.ref()
        self.node, self.seconds = node, time.perf_counter() - start

    def klay(self) -> Callable[[Tensor], Tensor]:
        """KLay's own evaluation in log space."""
        import klay

        circuit = klay.Circuit()
        circuit.add_sdd(self.node)
        module = circuit.to_torch_module(semiring="log", compile=False)

        def loss(logits: Tensor) -> Tensor:
            return -module(F.logsigmoid(logits), F.logsigmoid(-logits)).reshape(len(logits))

        return loss

    def face_by_face(self, logits: Tensor) -> Tensor:
        """``-log WMC`` and its derivative by one weighted count a face, as semantic-loss loops do."""
        found = []
        for face in logits.detach().double():
            counter = self.node.wmc(log_mode=True)
            for number, (yes, no) in enumerate(zip(F.logsigmoid(face), F.logsigmoid(-face), strict=True), 1):
                counter.set_literal_weight(self.manager.literal(number), yes.item())
                counter.set_literal_weight(self.manager.literal(-number), no.item())
            found.append(-counter.propagate())
            for number in range(1, self.variables + 1):
                counter.literal_derivative(self.manager.literal(number))
        return torch.tensor(found)


def pishield(rules: RuleSet) -> Callable[[Tensor], Tensor]:
    """PiShield's layer on the same clauses, in ascending order of the attributes."""
    from pishield.propositional_requirements.shield_layer import ShieldLayer as PiShieldLayer

    lines = [
        " or ".join(f"{'not ' if each < 0 else ''}y_{abs(each) - 1}" for each in clause) for clause in clauses_of(rules)
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "rules.txt"
        path.write_text("\n".join(lines) + "\n")
        ascending = ",".join(map(str, range(len(rules.schema))))
        layer = PiShieldLayer(len(rules.schema), str(path), "custom", ascending)
    return lambda logits: layer(logits.sigmoid())


def engines(rules: RuleSet, device: torch.device) -> dict[str, list[EnumeratedComponent | LayeredComponent]]:
    """Our two ways to sum over models, each forced, where it is possible."""
    found: dict[str, list[EnumeratedComponent | LayeredComponent]] = {}
    if max(component.count for component in rules.components) <= MAX_MODELS:
        found["enumeration"] = [EnumeratedComponent.of(each, device, torch.float32) for each in rules.components]
    return found | {"diagram": [LayeredComponent.of(each, device) for each in rules.components]}


def summed(components: Sequence[EnumeratedComponent | LayeredComponent]) -> Callable[[Tensor], Tensor]:
    return lambda logits: -torch.stack([each.log_partition(logits) for each in components]).sum(0)


def losses(
    rules: RuleSet, installed: set[str], device: torch.device
) -> tuple[dict[str, Callable[[Tensor], Tensor]], Circuit | None]:
    """Everything that gives the semantic loss of a batch."""
    found = {"faceinsight": lambda logits: semantic_loss(logits, rules)}
    found |= {f"  by {name}": summed(components) for name, components in engines(rules, device).items()}
    if not {"pysdd", "klay"} <= installed:
        return found, None
    circuit = Circuit(rules)
    found["KLay + PySDD"] = circuit.klay()
    return found, circuit


def measure_losses(
    name: str, rules: RuleSet, faces: int, installed: set[str], device: torch.device
) -> list[dict[str, object]]:
    """Forward and backward of the semantic loss, with the error against float64."""
    logits = drawn_logits(rules, faces, device)
    contenders, circuit = losses(rules, installed, device)
    runs = {each: backward(loss, logits) for each, loss in contenders.items()}
    few = logits[: min(16, faces)]
    if circuit is not None:
        runs["PySDD, face by face"] = lambda: circuit.face_by_face(few)
    exact = semantic_loss(logits.double(), rules)
    timings = interleaved(runs)
    rows = []
    for each, timing in timings.items():
        scale = faces / len(few) if each.startswith("PySDD") else 1
        value = runs[each]().double()
        rows.append({
            "rules": name, "faces": faces, "what": "loss, forward + backward", "contender": each,
            "ms": 1e3 * timing.median * scale, "times ours": timing.ratio(timings["faceinsight"]) * scale,
            "error": (value - exact[: len(value)]).abs().max().item(),
        })  # fmt: skip
    return rows


def drawn_logits(rules: RuleSet, faces: int, device: torch.device) -> Tensor:
    """Return the same logits on every device."""
    return (torch.randn(faces, len(rules.schema), generator=torch.Generator().manual_seed(0)) * 2).to(device)


def waited(run: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Return what a contender gives, once it is there."""
    found = run(logits)
    finish(logits)
    return found


def measure_decoding(
    name: str, rules: RuleSet, faces: int, installed: set[str], device: torch.device
) -> list[dict[str, object]]:
    """Return the most probable consistent face, against layers that repair: broken faces and log-probability lost."""
    logits = drawn_logits(rules, faces, device)
    contenders: dict[str, Callable[[Tensor], Tensor]] = {
        "faceinsight, mode": lambda x: ConstrainedBernoulli(logits=x, rules=rules, validate_args=False).mode
    }
    with contextlib.suppress(ComponentTooLargeError):
        shield = ShieldLayer(rules=rules)
        contenders["faceinsight, ShieldLayer"] = lambda x: (shield(x) > 0).float()
    if "pishield" in installed:
        layer = pishield(rules)
        contenders["PiShield"] = lambda x: (layer(x) > 0.5).float()
    with torch.no_grad():
        timings = interleaved({each: lambda run=run: waited(run, logits) for each, run in contenders.items()})
        decided = {each: run(logits) for each, run in contenders.items()}
    decided, logits = {each: found.cpu() for each, found in decided.items()}, logits.cpu()
    best = (logits.double() * decided["faceinsight, mode"]).sum(1)
    rows = []
    for each, timing in timings.items():
        kept = ~rules.violations(decided[each] > 0.5).any(1)
        lost = (best - (logits.double() * decided[each]).sum(1))[kept]
        rows.append({
            "rules": name, "faces": faces, "what": "decoding", "contender": each,
            "ms": 1e3 * timing.median, "times ours": timing.ratio(timings["faceinsight, mode"]),
            "broken": 1 - kept.float().mean().item(), "nats lost": lost.mean().item() if len(lost) else float("nan"),
        })  # fmt: skip
    return rows


def sizes(name: str, rules: RuleSet) -> dict[str, object]:
    """How large the components are and how long it took to make them."""
    start = time.perf_counter()
    components = find_components(rules.formulas, rules.schema)
    seconds = time.perf_counter() - start
    largest = max(components, key=lambda each: each.diagram.nodes)
    return {
        "rules": name, "components": len(components), "attributes": len(largest), "models": largest.count,
        "diagram nodes": largest.diagram.nodes, "made in ms": 1e3 * seconds,
    }  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write ``logic.csv`` where asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--batches", type=int, nargs="+", default=[256, 4096], metavar="FACES")
    options.add_argument("--only", default="", metavar="TEXT", help="rule sets whose name has this text")
    options.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options.add_argument("--output", type=Path, metavar="FILE", help="write the rows as CSV")
    given = options.parse_args(words)
    known = ("pysdd", "klay", "pishield") if given.device.type == "cpu" else ()
    installed = {name for name in known if importlib.util.find_spec(name)}
    console = Console(width=150)
    beside = ", ".join(sorted(installed)) or "nothing"
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; beside it: {beside}")
    chosen = [(name, rules) for name, rules in rule_sets() if given.only in name]
    shown("Components", pd.DataFrame([sizes(name, rules) for name, rules in chosen]), console)
    rows = []
    for faces in given.batches:
        for name, rules in chosen:
            for measure in (measure_losses, measure_decoding):
                found = measure(name, rules, faces, installed, given.device)
                shown(f"{name}, {faces:,} faces", pd.DataFrame(found).drop(columns=["rules", "faces"]), console)
                rows += found
    if given.output is not None:
        pd.DataFrame(rows).to_csv(given.output, index=False)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        main()
