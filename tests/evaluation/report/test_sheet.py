"""One small sheet in every format."""

import io

import pytest
from rich.console import Console

from faceinsight.evaluation.report.sheet import Sheet, latex, to_latex, to_markdown, to_rich

SHEET = Sheet(
    "Scores in %",
    ("variant", "mAP ↑"),
    (("", ("full", "91.20")), ("added_alone", ("a|b & c", "-0.20 [-0.3, +0.1]*")), ("added_alone", ("d", "–"))),
)


def test_markdown_by_hand() -> None:
    assert to_markdown(SHEET).splitlines() == [
        "**Scores in %**",
        "",
        "| variant | mAP ↑ |",
        "|:--|--:|",
        "| full | 91.20 |",
        r"| **added\_alone** |  |",
        r"| a\|b & c | -0.20 [-0.3, +0.1]\* |",
        "| d | – |",
    ]


def test_latex_by_hand() -> None:
    assert to_latex(SHEET).splitlines() == [
        "% Scores in %",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"variant & mAP $\uparrow$ \\",
        r"\midrule",
        r"full & 91.20 \\",
        r"\midrule",
        r"\multicolumn{2}{l}{\emph{added\_alone}} \\",
        r"a|b \& c & $-$0.20 {[}$-$0.3, +0.1{]}* \\",
        r"d & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize("special", "&%$#_{}")
def test_latex_specials_are_escaped(special: str) -> None:
    assert latex(f"a{special}b") == f"a\\{special}b"


def test_a_backslash_is_no_latex_command_and_a_hyphen_no_minus() -> None:
    assert latex(r"\input{x}") == r"\textbackslash{}input\{x\}"
    assert latex("ViT-16 a -1") == "ViT-16 a $-$1"


def test_the_terminal_names_a_group_once_and_prints_brackets() -> None:
    out = io.StringIO()
    Console(file=out, width=60).print(to_rich(SHEET))
    assert out.getvalue().count("added_alone") == 1
    assert "-0.20 [-0.3, +0.1]*" in out.getvalue()
