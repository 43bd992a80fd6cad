"""What an ablation file says, and the runs that follow."""

from pathlib import Path

import pytest
import yaml

from faceinsight import tiny
from faceinsight.ablation.plan import PlanError, changed, planned_runs, read_ablation

BASE = {
    "model": {
        "class_path": "System",
        "init_args": {
            "lr": 0.001,
            "network": {
                "class_path": "Net",
                "init_args": {"trunk": "${run:trunk}/vit.safetensors", "graph": {"tau": 0.4}},
            },
        },
    },
    "trainer": {"max_epochs": 3},
}


def write(folder: Path, **changes: object) -> Path:
    content = {
        "question": "Does it help?",
        "seeds": [0, 1],
        "base": BASE,
        "trunks": {"trunk": {"change": {"model.network": {"class_path": "ViT"}}}},
        "variants": {
            "full": {"section": "full model"},
            "full - graph": {"section": "left out", "against": "full", "change": {"model.network.graph": None}},
        },
    }
    path = folder / "ablation.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return path


def test_a_change_reaches_through_init_args_and_leaves_the_base_as_it_was() -> None:
    result = changed(BASE, {"model.network.graph": None, "trainer.max_epochs": 9})
    assert result["model"]["init_args"]["network"]["init_args"]["graph"] is None
    assert result["trainer"] == {"max_epochs": 9}
    assert BASE["trainer"] == {"max_epochs": 3}


def test_a_change_to_a_part_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(PlanError, match=r"no part 'netwrk'.*'network'"):
        changed(BASE, {"model.netwrk.graph": None})


def test_trunks_run_before_what_rests_on_them_and_have_no_row(tmp_path: Path) -> None:
    ablation = read_ablation(write(tmp_path))
    runs = planned_runs(ablation, tmp_path)
    assert [(run.variant.name, run.seed) for run in runs] == [
        ("trunk", 0), ("full", 0), ("full - graph", 0), ("trunk", 1), ("full", 1), ("full - graph", 1),
    ]  # fmt: skip
    assert [variant.name for variant in ablation.rows] == ["full", "full - graph"]
    network = runs[1].config["model"]["init_args"]["network"]["init_args"]
    assert network["trunk"] == f"{runs[0].folder}/vit.safetensors"
    assert runs[1].config["seed_everything"] == 0


def test_a_trunk_with_a_seed_of_its_own_is_one_run_for_all_seeds(tmp_path: Path) -> None:
    trunk = {"change": {"model.network": {"class_path": "ViT"}}}
    runs = planned_runs(read_ablation(write(tmp_path, trunks={"trunk": {**trunk, "seed": 7}})), tmp_path)
    assert [(run.variant.name, run.seed) for run in runs] == [
        ("trunk", 7), ("full", 0), ("full - graph", 0), ("full", 1), ("full - graph", 1),
    ]  # fmt: skip
    assert all(run.needs == (runs[0],) for run in runs[1:])
    with pytest.raises(PlanError, match="whole number, got 'seven'"):
        read_ablation(write(tmp_path, trunks={"trunk": {**trunk, "seed": "seven"}}))
    with pytest.raises(PlanError, match=r"unknown keys \['seed'\]"):
        read_ablation(write(tmp_path, variants={"full": {"seed": 1}}))


def test_a_folder_changes_when_the_run_or_its_trunk_changes_and_only_then(tmp_path: Path) -> None:
    before = [run.folder for run in planned_runs(read_ablation(write(tmp_path)), tmp_path)]
    again = [run.folder for run in planned_runs(read_ablation(write(tmp_path, question="Other words?")), tmp_path)]
    assert again == before
    assert len(set(before)) == 6
    trunk = {"trunk": {"change": {"model.network": {"class_path": "ResNet"}}}}
    after = [run.folder for run in planned_runs(read_ablation(write(tmp_path, trunks=trunk)), tmp_path)]
    assert not set(after) & set(before), "every run of this file rests on the trunk"
    other = {"full": {}, "alone": {"change": {"model.network": None}}}
    alone = [run.folder for run in planned_runs(read_ablation(write(tmp_path, variants=other)), tmp_path)]
    changed_trunk = write(tmp_path, variants=other, trunks=trunk)
    alone_after = [run.folder for run in planned_runs(read_ablation(changed_trunk), tmp_path)]
    same = [folder.name.split("-seed")[0] for folder in alone if folder in alone_after]
    assert same == ["alone", "alone"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [1, 1]}, r"seeds must be different numbers, at least one, got \[1, 1\]"),
        ({"seeds": []}, "seeds must be different numbers"),
        ({"seeds": None}, "'seeds' must be a list, got None"),
        ({"seeds": [True]}, "a seed is a whole number, got True"),
        ({"seeds": [-1]}, "a seed is a whole number, got -1; it may be 0"),
        ({"question": None}, "'question' must be text, got None"),
        ({"compared": ["acuracy"]}, "'compared' has 'acuracy', did you mean 'accuracy'"),
        ({"compared": []}, "'compared' is empty"),
        ({"variants": {"full": {"against": ["full"]}}}, "variant 'full': 'against' must be text"),
        ({"variants": {"full": {"section": None}}}, "variant 'full': 'section' must be text, got None"),
        ({"variants": {"full": {"change": {5: 1}}}}, "variant 'full' changes 5, which is no text"),
        ({"variants": {"full": {"change": {"model..lr": 1}}}}, "cannot change 'model..lr'"),
        (
            {"variants": {"full": {"change": {"model.lr": 1, "model": {}}}}},
            "'model' would undo the change of 'model.lr'",
        ),
        ({"base": {"root": "${root}/faces"}, "settings": {"root": "a"}}, r"'\$\{root\}/faces' holds '\$\{'"),
        ({"base": {"weights": "${rum:trunk}/a"}}, r"nor a run's folder"),
        ({"sedes": [1]}, r"unknown keys \['sedes'\], did you mean 'seeds'"),
        ({"seeds": ["one"]}, "a seed is a whole number, got 'one'"),
        ({"seeds": 1}, "'seeds' must be a list, got 1"),
        ({"variants": ["full"]}, "'variants' must be names with values"),
        ({"variants": {"full": {"change": 3}}}, "'full' and its 'change' must be names with values"),
        ({"variants": {True: {}}}, "a variant is named True, which is no text; quote it"),
        ({"variants": {"full": {"agianst": "x"}}}, r"variant 'full' has unknown keys \['agianst'\]"),
        ({"variants": {"full": {"against": "fll"}}}, "variant 'full' refers to 'fll', which is not in the file"),
        ({"trunks": {}}, "variant 'full' refers to 'trunk', which is not in the file"),
        ({"variants": {"trunk": {}}}, "two variants are named 'trunk'"),
    ],
)
def test_a_file_that_cannot_be_carried_out_says_why(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        read_ablation(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("    section: again", "line 8: 'section' stands a second time .first in line 7"),
        ("  full: {section: again}", "line 8: 'full' stands a second time .first in line 6"),
        ("seeds: [1]", "line 8: 'seeds' stands a second time .first in line 2"),
    ],
)
def test_what_stands_twice_is_refused_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "twice.yaml"
    once = "question: q\nseeds: [0]\nbase:\n  model: {lr: 1}\nvariants:\n  full:\n    section: first\n"
    path.write_text(once)
    assert [variant.name for variant in read_ablation(path).rows] == ["full"]
    path.write_text(f"{once}{line}\n")
    with pytest.raises(PlanError, match=f"twice.yaml, {says}"):
        read_ablation(path)


def test_a_circle_of_needs_is_named(tmp_path: Path) -> None:
    loop = {"change": {"model.network": {"class_path": "ViT", "weights": "${run:full}"}}}
    with pytest.raises(PlanError, match="in a circle: trunk -> full -> trunk"):
        planned_runs(read_ablation(write(tmp_path, trunks={"trunk": loop})), tmp_path)


def test_settings_are_swapped_by_another_file(tmp_path: Path) -> None:
    base = {"data": {"source": "${source}", "size": 96}}
    path = write(tmp_path, base=base, settings={"source": {"root": "drawn"}}, trunks={}, variants={"full": {}})
    other = tmp_path / "on_celeba.yaml"
    other.write_text("source: {root: celeba}")
    assert read_ablation(path).variants["full"].config == {"data": {"source": {"root": "drawn"}, "size": 96}}
    assert read_ablation(path, other).variants["full"].config["data"]["source"] == {"root": "celeba"}
    other.write_text("sorce: {root: celeba}")
    with pytest.raises(PlanError, match=r"\['sorce'\].*\['source'\]"):
        read_ablation(path, other)
    with pytest.raises(PlanError, match=r"\$\{source\} is not among"):
        read_ablation(write(tmp_path, base=base))


def extending(folder: Path, **changes: object) -> Path:
    content = {
        "extends": write(folder).name,
        "question": "And with fewer faces?",
        "variants": {
            "full": {"section": "all faces", "from": "full"},
            "few": {"section": "few", "against": "full", "from": "full - graph", "change": {"trainer.max_epochs": 9}},
        },
    }
    path = folder / "further.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return path


def test_a_file_that_extends_another_shares_its_runs_and_plans_only_what_it_needs(tmp_path: Path) -> None:
    first = planned_runs(read_ablation(write(tmp_path)), tmp_path)
    ablation = read_ablation(extending(tmp_path))
    runs = planned_runs(ablation, tmp_path)
    assert ablation.home == "ablation"
    assert [variant.name for variant in ablation.rows] == ["full", "few"]
    assert [run.variant.name for run in runs if run.seed == 0] == ["trunk", "full", "few"]
    folders = {(run.variant.name, run.seed): run.folder for run in first}
    assert all(folders[run.variant.name, run.seed] == run.folder for run in runs if run.variant.name != "few")
    network = runs[2].config["model"]["init_args"]["network"]["init_args"]
    assert network["graph"] is None
    assert runs[2].config["trainer"] == {"max_epochs": 9}


def test_rows_stand_in_the_order_of_the_file_that_extends(tmp_path: Path) -> None:
    variants = {"few": {"from": "full"}, "full - graph": {"from": "full - graph"}, "full": {"from": "full"}}
    ablation = read_ablation(extending(tmp_path, variants=variants))
    assert [variant.name for variant in ablation.rows] == ["few", "full - graph", "full"]


def test_a_variant_is_made_from_one_above_it(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="made from 'ful'"):
        read_ablation(extending(tmp_path, variants={"few": {"from": "ful"}}))


def test_a_comparison_with_what_has_no_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="compared with 'full'"):
        read_ablation(extending(tmp_path, variants={"few": {"from": "full", "against": "full"}}))


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="extends itself"):
        read_ablation(extending(tmp_path, extends="further.yaml"))


def test_other_weights_in_the_package_are_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def folders(part: str) -> list[str]:
        variants = {"full": {"section": "full model", "change": {"model.network": {"class_path": part}}}}
        runs = planned_runs(read_ablation(write(tmp_path, variants=variants)), tmp_path)
        return [run.folder.name for run in runs if run.variant.name == "full"]

    before = {part: folders(part) for part in ("faceinsight.tiny.image_encoder", "faceinsight.modules.ImageEncoder")}
    monkeypatch.setattr(tiny, "fingerprints", lambda: {"image_encoder": "of the next version"})
    after = {part: folders(part) for part in before}
    assert not {*before["faceinsight.tiny.image_encoder"]} & {*after["faceinsight.tiny.image_encoder"]}
    assert before["faceinsight.modules.ImageEncoder"] == after["faceinsight.modules.ImageEncoder"]


FILES = sorted(Path(__file__).parents[2].glob("experiments/*.yaml"))
EXPERIMENTS = [path for path in FILES if "question:" in path.read_text()]  # the others are settings


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_can_be_planned_and_compares_what_it_has(path: Path) -> None:
    ablation = read_ablation(path)
    rows = {variant.name for variant in ablation.rows}
    assert {variant.against for variant in ablation.rows} <= {*rows, None}
    runs = planned_runs(ablation, Path("out"))
    assert {run.variant.name for run in runs} >= rows
    assert len({run.folder for run in runs}) == len(runs)


def test_the_files_with_a_question_are_found() -> None:
    assert {path.stem for path in EXPERIMENTS} >= {"constraints", "constraints_celeba", "celeba_map"}


def test_a_setting_that_nothing_uses_is_refused_with_the_nearest_that_something_does(tmp_path: Path) -> None:
    base = Path("experiments/constraints.yaml").resolve()
    lines = [f"extends: {base}", "question: Is it?", "settings: {limit_trian: 60}", "variants: {mine: {from: full}}"]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    with pytest.raises(PlanError, match=r"'limit_trian'.*'limit_train'"):
        read_ablation(tmp_path / "mine.yaml")
