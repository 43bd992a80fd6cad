"""The rule language: one rule a line, over attribute names.

.. code-block:: text

    Bald -> not Bangs                                   # a comment
    No_Beard -> not (Goatee or Mustache or Sideburns)
    at_most_one(Black_Hair, Blond_Hair, Brown_Hair,
                Gray_Hair)                              # inside parentheses a line may end
    "East Asian" <-> not (White or Black)               # a name that is no plain word is quoted
    No_Beard                                            # an attribute alone is a rule too

``not`` binds tightest, then ``and``, ``or``, ``->`` (to the right), ``<->``; ``exactly_one``, ``at_most_one`` and
``at_least_one`` count the formulas in their parentheses. A plain word is letters, digits and underscores, so
``5_o_Clock_Shadow`` needs no quotes; a quoted name may hold anything but a double quote and a line end.
"""

import difflib
from collections.abc import Iterator, Sequence
from functools import cache

from lark import Lark, Token, Tree, UnexpectedInput

from faceinsight.errors import InputError
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
)
from faceinsight.knowledge.schema import Schema

__all__ = ["RuleSyntaxError", "UnknownNameError", "parse_expression", "parse_rules"]

GRAMMAR = r"""
    start: _line*
    _line: formula? _NEWLINE

    ?formula: implication | formula "<->" implication               -> iff
    ?implication: disjunction | disjunction "->" implication        -> implies
    ?disjunction: conjunction ("or" conjunction)*
    ?conjunction: negation ("and" negation)*
    ?negation: primary | "not" negation                             -> negated
    ?primary: NAME | QUOTED | "(" formula ")" | COUNT "(" formula ("," formula)* ","? ")"   -> count

    COUNT.2: /(exactly_one|at_most_one|at_least_one)(?=\s*\()/
    IMPLIES: "->"
    IFF: "<->"
    NAME: /\w+/
    QUOTED: /"[^"\n]+"/
    _NEWLINE: /\n/
    %ignore /[ \t\r\f]+/
    _WRONG.-1: /./
    %ignore /#[^\n]*/
"""

CONNECTIVES: dict[str, type] = {
    "iff": Iff,
    "implies": Implies,
    "disjunction": Or,
    "conjunction": And,
    "negated": Not,
    "exactly_one": ExactlyOne,
    "at_most_one": AtMostOne,
    "at_least_one": AtLeastOne,
}

#: What each terminal of the grammar is called in an error, in the order it is offered.
TERMINALS = {
    "NAME": "an attribute",
    "LPAR": "'('",
    "NOT": "'not'",
    "AND": "'and'",
    "OR": "'or'",
    "IMPLIES": "'->'",
    "IFF": "'<->'",
    "COMMA": "','",
    "RPAR": "')'",
    "_NEWLINE": "the end of the rule",
}

#: How deep a formula may be nested; our choice: what people write has ten levels at most.
MAX_DEPTH = 64

#: Signs that other languages write, and ours.
FOREIGN = {"=": "'->' or '<->'", "&": "'and'", "|": "'or'", "~": "'not'", "!": "'not'", "¬": "'not'", "→": "'->'"}


class RuleSyntaxError(InputError):
    """A text that is no rule; the message shows the line and points at the place.

    Attributes:
        line, column: the place, both counted from 1.
        expected: what could have stood there.
    """

    def __init__(self, problem: str, text: str, line: int, column: int, expected: tuple[str, ...] = ()) -> None:
        self.line, self.column, self.expected = line, column, expected
        wanted = (
            f"; expected {', '.join(expected[:-1])}{' or ' if expected[1:] else ''}{expected[-1]}" if expected else ""
        )
        shown = text.split("\n")[line - 1].replace("\t", " ")
        super().__init__(f"line {line}, column {column}: {problem}{wanted}\n    {shown}\n    {' ' * (column - 1)}^")


class UnknownNameError(RuleSyntaxError):
    """A rule that speaks of an attribute the schema does not have; the nearest names are offered.

    Attributes:
        name: the name as written.
        nearest: names of the schema that look like it, the nearest first.
    """

    def __init__(self, token: Token, schema: Schema, text: str) -> None:
        name = self.name = _plain(token)
        self.nearest = tuple(difflib.get_close_matches(name, schema.names, n=3, cutoff=0.5))
        hint = f"; did you mean {' or '.join(map(repr, self.nearest))}?" if self.nearest else ""
        problem = f"schema {schema.name!r} has no attribute {name!r}{hint}"
        super().__init__(problem, text, token.line or 1, token.column or 1)


def with_notes(errors: Sequence[UnknownNameError]) -> UnknownNameError:
    """Return the first of the errors; what the others say are its notes, so that all can be mended at once."""
    first, *others = errors
    for error in others:
        for said in (str(error), *getattr(error, "__notes__", ())):
            first.add_note(said)
    return first


def parse_rules(text: str, schema: Schema) -> list[Formula]:
    """Read every rule of ``text``, in order.

    Raises:
        RuleSyntaxError: the text is no rule of the language; the message gives line, column and what was expected.
        UnknownNameError: a name is not in the schema; the message gives line, column and the nearest names, its notes
            say the same of every other such name.

    >>> schema = Schema.from_names(["Bald", "Bangs", "Smiling"])
    >>> for formula in parse_rules("(Bald -> (not Bangs)) # of course", schema):
    ...     print(formula)
    Bald -> not Bangs
    >>> parse_rules("Bald -> not Bang", schema)
    Traceback (most recent call last):
    ...
    faceinsight.knowledge.logic.language.UnknownNameError: line 1, column 13: schema 'custom' has no attribute 'Bang';
    did you mean 'Bangs' or 'Bald'?
        Bald -> not Bang
                    ^
    """
    text = text.replace("\r\n", "\n")
    try:
        tree = _parser().parse(f"{text}\n")
    except UnexpectedInput:
        raise _syntax_error(text) from None
    tokens = _tokens(tree, text)
    names = [token for token in tokens if token.type in ("NAME", "QUOTED")]
    if unknown := [UnknownNameError(token, schema, text) for token in names if _plain(token) not in schema]:
        raise with_notes(unknown)
    return [_formula(node) for node in tree.children]


def parse_expression(text: str, schema: Schema) -> Formula:
    """Read one formula, such as a group's label (``not Male``); raises as :func:`parse_rules` does.

    >>> print(parse_expression("not Male", Schema.from_names(["Male"])))
    not Male
    """
    formulas = parse_rules(text, schema)
    if len(formulas) != 1:
        raise RuleSyntaxError(f"expected one expression, got {len(formulas)}", text, 1, 1)
    return formulas[0]


class _OpenLines:
    """Drops the line ends inside parentheses, so that a long rule may be broken there."""

    always_accept = ("_NEWLINE", "_WRONG")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            depth += (token.type == "LPAR") - (token.type == "RPAR")
            if token.type != "_NEWLINE" or depth <= 0:
                yield token


def _tokens(tree: Tree, text: str) -> list[Token]:
    """Return the tokens in their order; formulas that are nested too deeply to be worked with are refused."""
    tokens: list[Token] = []
    waiting: list[tuple[Tree | Token, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, Token):
            tokens.append(node)
            if depth > MAX_DEPTH:
                problem = f"this formula is nested more than {MAX_DEPTH} deep; split the rule"
                raise RuleSyntaxError(problem, text, node.line or 1, node.column or 1)
        else:
            waiting += [(child, depth + 1) for child in reversed(node.children)]
    return tokens


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", postlex=_OpenLines(), maybe_placeholders=False)


def _plain(token: Token) -> str:
    """Return a name without its quotes."""
    return str(token).strip('"')


def _formula(node: Tree | Token) -> Formula:
    if isinstance(node, Token):
        return Atom(_plain(node))
    word, children = node.data, node.children
    if word == "count":
        word, children = str(children[0]), children[1:]
    parts = [_formula(child) for child in children]
    connective = CONNECTIVES[word]
    return connective(*parts) if word in ("iff", "implies", "negated") else connective(tuple(parts))


def _syntax_error(text: str) -> RuleSyntaxError:
    """Where ``text`` stops being a rule, in the words of the rule language."""
    token, accepted = _first_wrong_token(text)
    expected = tuple(words for terminal, words in TERMINALS.items() if terminal in accepted)
    if token is None:  # only an open parenthesis swallows the last line's end
        lines = text.rstrip().split("\n")
        return RuleSyntaxError("a parenthesis is still open", text, len(lines), len(lines[-1]) + 1, expected)
    line, column = token.line or 1, token.column or 1
    if token == '"':
        return RuleSyntaxError("this quoted name does not end", text, line, column)
    if token in FOREIGN:
        return RuleSyntaxError(f"unexpected {str(token)!r}", text, line, column, (FOREIGN[token],))
    problem = "the rule ends too early" if token.type == "_NEWLINE" else f"unexpected {str(token)!r}"
    return RuleSyntaxError(problem, text, line, column, expected)


def _first_wrong_token(text: str) -> tuple[Token | None, set[str]]:
    """Return the first token that cannot stand where it does (None: the text's end), and what can.

    Read again step by step, because a LALR parser has often closed a rule before it reports what it refuses.
    """
    reader = _parser().parse_interactive(f"{text}\n")
    for token in reader.lexer_thread.lex(reader.parser_state):
        accepted = reader.accepts()
        if token.type not in accepted:
            return token, accepted
        reader.feed_token(token)
    return None, reader.accepts()
