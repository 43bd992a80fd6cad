"""Mining: numbers against plain loops over the faces, proposals on tables made to have some, or none."""

from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from faceinsight.data.sources.celeba_lists import read_attributes
from faceinsight.knowledge.lint.mining import implications, measured, mine
from faceinsight.knowledge.logic.components import UnsatisfiableError
from faceinsight.knowledge.pair_counts import PairCounts, count_pairs
from faceinsight.knowledge.rules import RuleSet
from faceinsight.knowledge.schema import Schema
from tests.knowledge.random_rules import SCHEMA as RANDOM
from tests.knowledge.random_rules import consistent_faces, random_rules

SCHEMA = Schema.from_names(["a", "b", "c", "d"])
ANY = {"confidence": 0.0, "support": 0.0, "lift": 0.0}


def table(*rows: tuple[str, int]) -> Tensor:
    """Labels written as signs, each so many times: ``("+-0+", 30)``."""
    value = {"+": 1, "-": -1, "0": 0}
    return torch.tensor([[value[sign] for sign in signs] for signs, times in rows for _ in range(times)]).to(torch.int8)


def random_table(seed: int, faces: int, attributes: int) -> Tensor:
    """Independent attributes, each with its own frequency; about a tenth undefined."""
    draw = np.random.default_rng(seed)
    shown = draw.random((faces, attributes)) < draw.uniform(0.1, 0.9, attributes)
    labels = np.where(shown, 1, -1) * (draw.random((faces, attributes)) > 0.1)
    return torch.from_numpy(labels.astype(np.int8))


def counted(labels: list[list[int]], left: int, right: int, wanted: int) -> tuple[int, int, int, int]:
    """Faces with both defined; those that show ``left``; of these with ``right`` as wanted; all with that."""
    both = [(face[left], face[right]) for face in labels if face[left] and face[right]]
    shown = [other for one, other in both if one == 1]
    return len(both), len(shown), sum(other == wanted for other in shown), sum(other == wanted for _, other in both)


def fisher(faces: int, shown: int, kept: int, holds: int) -> float:
    """The chance of ``kept`` or more, by counting the ways."""
    ways = (comb(holds, each) * comb(faces - holds, shown - each) for each in range(kept, min(shown, holds) + 1))
    return sum(ways) / comb(faces, shown)


@pytest.mark.parametrize("seed", range(3))
def test_every_candidate_s_numbers_are_those_of_plain_loops(seed: int):
    labels = random_table(seed, faces=50, attributes=4)
    rows = {(row.left, row.right): row for row in measured(count_pairs(labels)).itertuples()}
    assert len(rows) == 2 * 4 * 3
    for left, right in permutations(range(4), 2):
        for wanted in (1, -1):
            faces, shown, kept, holds = counted(labels.tolist(), left, right, wanted)
            row = rows[left, right if wanted == 1 else right + 4]
            assert (row.faces, row.shown, row.kept) == (faces, shown, kept)
            expected = [kept / faces, kept / shown, kept / shown / (holds / faces), fisher(faces, shown, kept, holds)]
            assert [row.support, row.confidence, row.lift, row.p] == pytest.approx(expected, rel=1e-9)
            interval = stats.binomtest(kept, shown).proportion_ci(method="wilson")
            assert (row.low, row.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_p_values_of_large_tables_are_sums_of_logarithms_and_stay_between_0_and_1():
    draw = np.random.default_rng(0)
    for both, one, other, none in draw.multinomial(300_000, draw.dirichlet(np.ones(4), 20)).tolist():
        first, second, faces = both + one, both + other, both + one + other + none
        counts = PairCounts(
            together=torch.tensor([[first, both], [both, second]]),
            shown=torch.tensor([[first, first], [second, second]]),
            defined=torch.full((2, 2), faces),
        )
        for row in measured(counts).itertuples():
            holds = (second, first, faces - second, faces - first)[row.Index]
            assert 0 <= row.p <= 1
            log = stats.hypergeom.logsf(row.kept - 1, faces, holds, row.shown)
            assert row.p == pytest.approx(np.exp(log), rel=1e-6, abs=1e-300)


def test_p_values_are_corrected_over_all_candidates():
    labels = random_table(7, faces=60, attributes=4)
    labels[:, 1] = torch.where(torch.arange(60) % 8 > 0, labels[:, 0], labels[:, 1])  # b mostly follows a
    p = sorted(measured(count_pairs(labels))["p"])
    scale = len(p) * sum(1 / rank for rank in range(1, len(p) + 1))
    expected = {
        each: min(1.0, *(scale * later / rank for rank, later in enumerate(p, 1) if later >= each)) for each in p
    }
    proposals = mine(labels, SCHEMA, confidence=0.5, support=0.0, lift=1.0, alpha=1.0).proposals
    assert len(proposals) > 1
    assert [each.q for each in proposals] == pytest.approx([expected[each.p] for each in proposals])


def test_implications_and_exclusions_are_proposed_and_what_is_frequent_anyway_is_not():
    # a comes with b, c and d exclude each other, e is frequent whatever the rest; else everything with everything
    whole = ["+++-+", "++-++", "++--+", "-++-+", "-+-++", "-+--+", "--+-+", "---++", "----+"]
    labels = table(*((signs, 60) for signs in whole), ("--+--", 2), ("---+-", 2), ("++---", 2), ("-----", 4))
    schema = Schema.from_names(list("abcde"))
    mined = mine(labels, schema)
    assert mined.rules.texts == ("a -> b", "c -> not d")
    assert {rule.strength for rule in mined.rules} == {"statistical"}
    assert {"b -> e", "c -> e"} <= set(mine(labels, schema, lift=1.0, alpha=1.0).rules.texts)


def test_an_exclusion_is_told_once_and_from_the_side_with_the_higher_lift():
    labels = table(("+-", 100), ("-+", 300), ("--", 200))  # b is frequent, so that a face without it tells more
    (proposal,) = mine(labels, Schema.from_names(["a", "b"])).proposals
    assert proposal.rule == "a -> not b"
    assert proposal.lift == pytest.approx(1 / (300 / 600))
    assert (proposal.faces, proposal.shown, proposal.kept) == (600, 100, 100)


def test_equivalent_attributes_are_proposed_both_ways():
    mined = mine(table(("++", 100), ("--", 100)), Schema.from_names(["a", "b"]))
    assert set(mined.rules.texts) == {"a -> b", "b -> a"}


def test_undefined_labels_count_for_nothing():
    labels = table(("++", 100), ("-+", 50), ("--", 100))
    padded = torch.cat([labels, table(("+0", 500), ("0-", 500), ("00", 500))])
    assert (
        mine(padded, Schema.from_names(["a", "b"])).proposals == mine(labels, Schema.from_names(["a", "b"])).proposals
    )


def test_attributes_without_two_values_are_no_candidates():
    labels = torch.cat([table(("++", 100), ("-+", 50), ("--", 100)), table(("+0", 250))], dim=1)
    mined = mine(labels, SCHEMA)
    assert mined.rules.texts == ("a -> b",)
    assert mined.tested == 4
    assert mine(labels[:0], SCHEMA).proposals == ()


def test_nothing_is_proposed_that_groups_or_given_rules_imply():
    labels = table(("+--", 100), ("-+-", 100), ("--+", 100))
    plain, names = Schema.from_names(["a", "b", "c"]), {"a": "with a", "b": "with b", "c": "with c"}
    group = {"kind": "exactly_one", "labels": ["a", "b", "c"]}
    grouped = Schema.from_dict({"name": "grouped", "attributes": names, "groups": {"letter": group}})
    assert len(mine(labels, plain)) == 3
    assert len(mine(labels, grouped)) == 0
    assert mine(labels, plain, rules=RuleSet.parse("a -> not b\nb -> not c", plain)).rules.texts == ("a -> not c",)
    statistical = RuleSet.parse("at_most_one(a, b, c)", plain, "statistical")
    assert len(mine(labels, plain, rules=statistical)) == 0


def test_what_follows_in_a_chain_is_counted_and_not_proposed():
    labels = table(("+++", 100), ("-++", 50), ("--+", 50), ("---", 200))  # a -> b -> c
    mined = mine(labels, Schema.from_names(["a", "b", "c"]))
    assert sorted(mined.rules.texts) == ["a -> b", "b -> c"]
    assert mined.following == 1
    assert mined.rules.lint().ok
    known = RuleSet.parse("b -> c", mined.schema)
    assert mine(labels, mined.schema, rules=known).rules.texts == ("a -> b",)


def test_a_chain_may_run_through_a_contrapositive():
    labels = table(("++-", 100), ("-+-", 200), ("--+", 100), ("---", 100))  # c -> not b tells that b excludes c
    mined = mine(labels, Schema.from_names(["a", "b", "c"]))
    assert sorted(mined.rules.texts) == ["a -> b", "c -> not b"]
    assert mined.following == 1


def test_of_two_proposals_that_mean_the_same_the_affirmative_one_is_told():
    data = {"name": "two", "attributes": {"a": "with a", "Male": "who looks male", "Female": "who looks female"}}
    schema = Schema.from_dict(data | {"groups": {"gender": {"kind": "exactly_one", "labels": ["Male", "Female"]}}})
    mined = mine(table(("++-", 100), ("-+-", 100), ("--+", 200)), schema)
    assert mined.rules.texts == ("a -> Male",)
    assert mined.following == 1


@pytest.mark.parametrize(
    "rules",
    [*map(random_rules, range(12)), RuleSet.parse("not a\nb\nc -> d", RANDOM)],
    ids=lambda rules: rules.to_text(),
)
def test_literals_imply_each_other_where_every_consistent_face_says_so(rules: RuleSet):
    faces = [(*face, *(not value for value in face)) for face in consistent_faces(rules)]
    if not faces:
        with pytest.raises(UnsatisfiableError):
            implications(rules)
        return
    size = 2 * len(rules.schema)
    expected = [[all(face[c] for face in faces if face[a]) for c in range(size)] for a in range(size)]
    assert implications(rules).tolist() == expected


def test_on_independent_attributes_the_correction_leaves_few_tables_with_a_proposal():
    schema = Schema.from_names(list("abcdefgh"))
    tables = [random_table(seed, faces=120, attributes=8) for seed in range(100)]
    uncorrected = sum((measured(count_pairs(labels))["p"] <= 0.05).any() for labels in tables)
    corrected = sum(len(mine(labels, schema, **ANY)) > 0 for labels in tables)
    assert uncorrected > 60
    assert corrected <= 5  # of 100 at alpha 0.05; far fewer, for the correction bears any dependence


def test_a_dependence_is_found_that_the_correction_must_not_hide():
    labels = random_table(3, faces=400, attributes=4)
    labels[:, 1] = torch.where(torch.arange(400) % 20 > 0, labels[:, 0], labels[:, 1])
    assert "a -> b" in mine(labels, SCHEMA, confidence=0.8).rules.texts


def test_few_faces_are_no_proof_of_a_high_confidence():
    rows = [("++", 20), ("-+", 20), ("--", 100)]  # 20 of 20: the interval begins at 0.84
    assert len(mine(table(*rows), Schema.from_names(["a", "b"]))) == 0
    assert len(mine(table(*rows), Schema.from_names(["a", "b"]), confidence=0.83)) == 1
    assert len(mine(table(*rows), Schema.from_names(["a", "b"]), confidence=0.83, support=0.15)) == 0


def test_proposals_are_saved_with_their_numbers_and_read_back_only_when_asked_for(tmp_path: Path):
    schema = Schema.from_names(["Big Nose", "b"])
    mined = mine(table(("+-", 100), ("-+", 98), ("++", 2), ("--", 100)), schema, table="labels.txt", confidence=0.9)
    mined.rules.save(tmp_path / "rules.yaml")
    assert len(RuleSet.load(tmp_path / "rules.yaml", schema=schema)) == 0
    (rule,) = RuleSet.load(tmp_path / "rules.yaml", schema=schema, strength="all")
    assert rule.text == 'b -> not "Big Nose"'
    assert rule.source == (
        "mined from labels.txt: kept by 98 of 100 faces (98.00%, 95% interval 93.00% to 99.45%), lift 1.48, "
        f"support 32.67% of 300 faces, q {mined.proposals[0].q:.2g}"
    )


def test_the_report_is_a_table_and_a_frame():
    mined = mine(table(("+++", 100), ("-++", 50), ("--+", 50), ("---", 200)), Schema.from_names(["a", "b", "[c]"]))
    text = str(mined)
    assert text.startswith("2 statistical rules proposed over 'custom'")
    assert '│ b -> "[c]" │  37.50% │ 100.00% [97.50, 100.00] │      0 │ 2.00 │' in text
    assert "12 candidates tested; 1 more passed" in text
    assert "not people" in text
    frame = mined.frame()
    assert frame["rule"].tolist() == list(mined.rules.texts)
    assert list(frame.columns[:4]) == ["rule", "faces", "shown", "kept"]
    assert len(mine(random_table(0, 10, 4), SCHEMA).frame()) == 0


@pytest.mark.parametrize("threshold", [{"confidence": 95.0}, {"support": -0.1}, {"alpha": 1.5}, {"lift": -1.0}])
def test_a_threshold_out_of_its_range_is_refused(threshold: dict[str, float]):
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        mine(table(("+-+-", 5)), SCHEMA, **threshold)


def test_rules_over_other_attributes_are_refused():
    with pytest.raises(ValueError, match="the rules: other attributes"):
        mine(table(("+-+-", 5)), SCHEMA, rules=RuleSet(Schema.from_names(["a", "b"])))


def test_celeba_s_own_statistical_rules_are_among_what_its_annotation_proposes(celeba_root: Path):
    known = RuleSet.load("celeba")
    table = read_attributes(celeba_root / "list_attr_celeba.txt", known.schema)[0].to_numpy(np.int8, copy=True)
    mined = mine(torch.from_numpy(table), known.schema, rules=known)
    broken = {each.rule: each.shown - each.kept for each in mined.proposals}
    assert len(mined) == 42
    assert (broken["Wearing_Necktie -> Male"], broken["Bald -> Male"]) == (35, 17)
    assert (broken["Goatee -> Male"], broken["Mustache -> Male"]) == (13, 3)
    assert mined.rules.lint().ok
