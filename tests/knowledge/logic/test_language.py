"""The rule language: what is read, how it is judged, how it is written back, and what a mistake is told."""

import itertools
import random

import pytest
import torch

from faceinsight.knowledge.logic.components import find_components
from faceinsight.knowledge.logic.formula import (
    And,
    AtLeastOne,
    AtMostOne,
    Atom,
    ExactlyOne,
    Formula,
    Iff,
    Implies,
    Not,
    Or,
    columns,
)
from faceinsight.knowledge.logic.language import RuleSyntaxError, UnknownNameError, parse_expression, parse_rules
from faceinsight.knowledge.schema import Schema

SCHEMA = Schema.from_names(["Bald", "Bangs", "Male", "5_o_Clock_Shadow", "East Asian", "android", "not"])
A, B, C = Atom("Bald"), Atom("Bangs"), Atom("Male")


def random_formula(rng: random.Random, names: list[str], depth: int) -> Formula:
    if depth == 0 or rng.random() < 0.2:
        return Atom(rng.choice(names))
    kind = rng.choice([Not, And, Or, Implies, Iff, AtLeastOne, AtMostOne, ExactlyOne])
    count = 1 if kind is Not else 2 if kind in (Implies, Iff) else rng.randint(2, 4)
    parts = [random_formula(rng, names, depth - 1) for _ in range(count)]
    return kind(*parts) if kind in (Not, Implies, Iff) else kind(tuple(parts))


def truth(formula: Formula, face: dict[str, bool]) -> bool:
    """Two-valued truth by Python's own connectives, an independent road."""
    match formula:
        case Atom(name):
            return face[name]
        case Not(operand):
            return not truth(operand, face)
        case Implies(left, right):
            return not truth(left, face) or truth(right, face)
        case Iff(left, right):
            return truth(left, face) == truth(right, face)
    values = [truth(part, face) for part in formula.parts]
    return {
        And: all(values),
        Or: any(values),
        AtLeastOne: sum(values) >= 1,
        AtMostOne: sum(values) <= 1,
        ExactlyOne: sum(values) == 1,
    }[type(formula)]


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Bald", A),
        ("not Bald and Bangs", And((Not(A), B))),
        ("not (Bald and Bangs)", Not(And((A, B)))),
        ("Bald or Bangs and Male", Or((A, And((B, C))))),
        ("Bald and Bangs or Male", Or((And((A, B)), C))),
        ("Bald and Bangs and Male", And((A, B, C))),
        ("Bald or Bangs -> Male", Implies(Or((A, B)), C)),
        ("Bald -> Bangs -> Male", Implies(A, Implies(B, C))),
        ("(Bald -> Bangs) -> Male", Implies(Implies(A, B), C)),
        ("Bald <-> Bangs -> Male", Iff(A, Implies(B, C))),
        ("Bald <-> Bangs <-> Male", Iff(Iff(A, B), C)),
        ("not not Bald", Not(Not(A))),
        ("exactly_one(Bald, not Bangs, Male -> Bald)", ExactlyOne((A, Not(B), Implies(C, A)))),
        ("at_most_one (Bald, Bangs,)", AtMostOne((A, B))),
        ("at_least_one(Bald)", AtLeastOne((A,))),
        ("5_o_Clock_Shadow -> Male", Implies(Atom("5_o_Clock_Shadow"), C)),
        ('"East Asian" or android', Or((Atom("East Asian"), Atom("android")))),
        ('not "not"', Not(Atom("not"))),
        ("Bald->Bangs#no space needed", Implies(A, B)),
    ],
)
def test_the_language_is_read_by_its_precedence(text: str, formula: Formula):
    assert parse_expression(text, SCHEMA) == formula


def test_a_text_holds_one_rule_a_line_with_comments_and_open_parentheses():
    text = """
        # of hair
        Bald -> not Bangs      # of course

        at_most_one(Bald,      # a line may end inside parentheses
                    Bangs)
        Male
    """
    assert [str(rule) for rule in parse_rules(text, SCHEMA)] == [
        "Bald -> not Bangs",
        "at_most_one(Bald, Bangs)",
        "Male",
    ]
    assert parse_rules("", SCHEMA) == parse_rules("# nothing\n", SCHEMA) == []
    assert len(parse_rules("Bald\r\nMale\r\n", SCHEMA)) == 2


def test_every_formula_written_is_read_back_as_it_was():
    rng = random.Random(0)
    formulas = [random_formula(rng, list(SCHEMA.names), depth) for depth in (1, 2, 3) for _ in range(80)]
    assert len(set(map(str, formulas))) > 150
    for formula in formulas:
        assert parse_expression(str(formula), SCHEMA) == formula


def test_formulas_agree_with_pythons_own_logic_on_every_face():
    rng = random.Random(1)
    names = ["Bald", "Bangs", "Male", "android"]
    faces = list(itertools.product([False, True], repeat=4))
    labels = columns(Schema.from_names(names), torch.tensor(faces).to(torch.int8) * 2 - 1)
    for _ in range(150):
        formula = random_formula(rng, names, 3)
        expected = [1 if truth(formula, dict(zip(names, face, strict=True))) else -1 for face in faces]
        assert formula.evaluate(labels).tolist() == expected, str(formula)


def test_what_undefined_labels_decide_holds_however_they_are_filled_in():
    rng = random.Random(2)
    names = ["Bald", "Bangs", "Male"]
    partial = list(itertools.product([-1, 0, 1], repeat=3))
    labels = columns(Schema.from_names(names), torch.tensor(partial, dtype=torch.int8))
    decided = 0
    for _ in range(100):
        formula = random_formula(rng, names, 2)
        for face, verdict in zip(partial, formula.evaluate(labels).tolist(), strict=True):
            options = [[True, False] if value == 0 else [value > 0] for value in face]
            outcomes = {truth(formula, dict(zip(names, full, strict=True))) for full in itertools.product(*options)}
            if verdict != 0:
                decided += 1
                assert outcomes == {verdict > 0}, (str(formula), face)
            elif 0 not in face:
                pytest.fail(f"{formula} is undecided on a fully labelled face")
    assert decided > 1000


@pytest.mark.parametrize(
    ("text", "face", "verdict"),
    [
        ("Bald and Bangs", (-1, 0), -1),
        ("Bald and Bangs", (1, 0), 0),
        ("Bald or Bangs", (1, 0), 1),
        ("Bald -> Bangs", (0, 1), 1),
        ("Bald -> Bangs", (1, 0), 0),
        ("Bald <-> Bangs", (1, 0), 0),
        ("exactly_one(Bald, Bangs, Bald)", (1, 0), -1),
        ("exactly_one(Bald, Bangs)", (1, 0), 0),
        ("exactly_one(Bald, Bangs)", (-1, -1), -1),
        ("at_most_one(Bald, Bangs)", (-1, 0), 1),
        ("at_least_one(Bald, Bangs)", (1, 0), 1),
    ],
)
def test_an_undefined_attribute_leaves_open_what_it_could_change(text: str, face: tuple[int, int], verdict: int):
    schema = Schema.from_names(["Bald", "Bangs"])
    labels = columns(schema, torch.tensor([face], dtype=torch.int8))
    assert parse_expression(text, schema).evaluate(labels).tolist() == [verdict]


def test_a_formula_names_its_attributes_once_in_the_order_of_mention():
    assert parse_expression("Male -> (Bald or Male) and not Bangs", SCHEMA).names == ("Male", "Bald", "Bangs")


ENDS = "expected 'and', 'or', '->', '<->' or the end of the rule"
STARTS = "expected an attribute, '(' or 'not'"


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("Bald -> NOT Bangs", 13, f"unexpected 'Bangs'; {ENDS}"),
        ("Bald ->", 8, f"the rule ends too early; {STARTS}"),
        ("Bald)", 5, f"unexpected ')'; {ENDS}"),
        ("(Bald", 6, "a parenthesis is still open; expected 'and', 'or', '->', '<->' or ')'"),
        ("exactly_one()", 13, f"unexpected ')'; {STARTS}"),
        ("exactly_one(Bald", 17, "a parenthesis is still open; expected 'and', 'or', '->', '<->', ',' or ')'"),
        ("Bald and or Male", 10, f"unexpected 'or'; {STARTS}"),
        ("Bald => Male", 6, "unexpected '='; expected '->' or '<->'"),
        ("Bald & Male", 6, "unexpected '&'; expected 'and'"),
        ('not "East', 5, "this quoted name does not end"),
        ("Bald\t$", 6, f"unexpected '$'; {ENDS}"),
    ],
)
def test_a_mistake_is_pointed_at_with_what_was_expected(text: str, column: int, problem: str):
    with pytest.raises(RuleSyntaxError) as caught:
        parse_rules(f"Male\n{text}", SCHEMA)
    assert str(caught.value) == "\n".join(
        [f"line 2, column {column}: {problem}", f"    {text}".replace("\t", " "), " " * (column + 3) + "^"]
    )
    assert (caught.value.line, caught.value.column) == (2, column)


def test_an_unknown_name_is_pointed_at_with_the_nearest_names():
    with pytest.raises(UnknownNameError) as caught:
        parse_rules("Male\nBald -> not Bang", SCHEMA)
    assert str(caught.value) == (
        "line 2, column 13: schema 'custom' has no attribute 'Bang'; did you mean 'Bangs' or 'Bald'?\n"
        "    Bald -> not Bang\n"
        "                ^"
    )
    assert caught.value.nearest[0] == "Bangs"


def test_an_expression_is_one_formula():
    with pytest.raises(RuleSyntaxError, match="expected one expression, got 2"):
        parse_expression("Bald\nMale", SCHEMA)
    with pytest.raises(RuleSyntaxError, match="expected one expression, got 0"):
        parse_expression("# nothing", SCHEMA)


def test_every_unknown_name_is_told_the_first_as_the_error_and_the_others_as_its_notes():
    schema = Schema.from_names(["Bald", "Bangs", "Smiling"])
    with pytest.raises(UnknownNameError, match=r"line 1, column 1: .*'Bold'") as caught:
        parse_rules("Bold -> not Bangs\nSmiling -> not (Bald and Bang)", schema)
    assert caught.value.nearest == ("Bald",)
    (note,) = caught.value.__notes__
    assert note.startswith(
        "line 2, column 26: schema 'custom' has no attribute 'Bang'; did you mean 'Bangs' or 'Bald'?"
    )


@pytest.mark.parametrize(
    "text",
    [
        "(" * 250 + "Bald" + " or Bangs)" * 250,
        "not " * 250 + "Bald",
        "Bald -> " * 250 + "Bald",
        "Bald <-> " * 250 + "Bald",
    ],
)
def test_formulas_nested_too_deeply_are_refused_at_their_place(text: str):
    with pytest.raises(RuleSyntaxError, match="nested more than 64 deep") as caught:
        parse_rules(f"Bald\n{text}", Schema.from_names(["Bald", "Bangs"]))
    assert caught.value.line == 2


def test_formulas_nested_as_deeply_as_is_taken_can_be_worked_with():
    schema = Schema.from_names(["Bald", "Bangs"])
    (rule,) = parse_rules("not (Bald and " * 30 + "Bangs" + ")" * 30, schema)
    assert parse_rules(str(rule), schema) == [rule]
    assert find_components([rule], schema)[0].count == 3
    long = " or ".join(["Bald"] * 1000)
    assert len(parse_rules(long, schema)) == 1
