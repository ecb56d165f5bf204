"""From a wanted sum of paths to the recursion formula that unrolls to it (eqs. 12 to 20), step by step.

The state before X[j] is held fast, so a recursion of order two, X[i] = A[i] X[i-1] + B[i] X[i-2], has no choice: the
sum from j to j + 1 is A[j+1], and the sum from j to j + 2 is A[j+2] A[j+1] + B[j+2]. These give A and B; if the sums
between blocks further apart don't follow from them, there is no recursion of order one or two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import sympy

from mmext.analysis.paths.algebra import ONE, Path, letter, paths_of, write_sum
from mmext.analysis.paths.wanted import Wanted
from mmext.backbones.formula import Formula, Term, parse_formula
from mmext.errors import UserError

FURTHEST = 7  # blocks between j and L in the check of a recursion
STARTS = (0, 1, 4)  # values of j in that check
SHOWN = 3  # blocks between j and L in the steps that are shown


@dataclass
class Derivation:
    """What was found for a wanted sum.

    Args:
        wanted: The sum.
        formula: The recursion formula, with relu(...) where the paper has it; None if there is none.
        order: 1 or 2; 0 if there is none.
        from_stem: A recursion that reads X[0] and has these paths from X[0] only; None if there is none.
        lines: The steps.
    """

    wanted: Wanted
    formula: Formula | None = None
    order: int = 0
    from_stem: Formula | None = None
    lines: list[str] = field(default_factory=list)


class Sums:
    """A wanted sum S(n) between blocks that are n apart, as terms in the weights of blocks 1 to n."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.known: dict[int, sympy.Expr] = {0: ONE}

    def __getitem__(self, n: int) -> sympy.Expr:
        if n not in self.known:
            self.known[n] = self.wanted.between(0, n)
        return self.known[n]

    def before(self, last: int, back: int) -> sympy.Expr:
        """The sum up to block ``last - back``."""
        return self[last - back]

    def depends_on_start(self, n: int) -> bool:
        """Whether the sum between blocks n apart is another one elsewhere in the network."""
        return any(sympy.expand(self.wanted.between(j, j + n) - moved(self[n], j)) != 0 for j in STARTS[1:])


def moved(expression: sympy.Expr, blocks: int) -> sympy.Expr:
    """The same sum, that many blocks later."""
    return sympy.Add(*[product(Path(path.factor, tuple((name, block + blocks) for name, block in path.letters)))
                       for path in paths_of(expression)])


def product(path: Path) -> sympy.Expr:
    """A path as a term of a sum."""
    return sympy.Mul(sympy.Rational(path.factor), *[letter(name, block) for name, block in path.letters])


def derive(text: str) -> Derivation:
    """Finds the recursion formula of a wanted sum of paths.

    Args:
        text: As ``Wanted`` reads it.

    Raises:
        UserError: The text can't be read or has no meaning.
    """
    wanted = Wanted(text)
    sums = Sums(wanted)
    found = Derivation(wanted)
    lines = found.lines
    lines.append(f'wanted: X[L] = ({wanted.text}) X[j]')
    if any(sums.depends_on_start(n) for n in range(1, FURTHEST + 1)):
        lines.append('The sum depends on where in the network the blocks are, and not on their distance alone; a '
                     'recursion formula is the same for every block.')
        return found
    first, second = coefficients(sums)
    show_steps(lines, sums, first, second)
    failed = first_failure(sums, first, second)
    if failed:
        lines.append(f'For L = j+{failed} that leaves a difference: {difference(sums, first, second, failed)}.')
        lines.append('The first two sums leave no other choice, so there is no recursion of order one or two.')
    else:
        found.order = 1 if second == 0 else 2
        lines.append(f'It holds for L = j+1 ... j+{FURTHEST} and j = {", ".join(map(str, STARTS))}: a recursion of '
                     f'order {("one", "two")[found.order - 1]}.')
        found.formula = buildable(lines, terms_of(first, 1), terms_of(second, 2))
    found.from_stem = stem_recursion(sums)
    return found


def coefficients(sums: Sums) -> tuple[sympy.Expr, sympy.Expr]:
    """The factors A and B of X[i-1] and X[i-2], for i = 2."""
    first = moved(sums[1], 1)
    return first, sympy.expand(sums[2] - first * sums[1])


def predicted(sums: Sums, first: sympy.Expr, second: sympy.Expr, n: int) -> sympy.Expr:
    """What the recursion makes of the sums between blocks n - 1 and n - 2 apart."""
    return sympy.expand(moved(first, n - 2) * sums[n - 1] + moved(second, n - 2) * sums[n - 2])


def first_failure(sums: Sums, first: sympy.Expr, second: sympy.Expr) -> int | None:
    """The least distance of blocks at which the recursion does not give the wanted sum; None if it always does."""
    return next((n for n in range(3, FURTHEST + 1)
                 if sympy.expand(predicted(sums, first, second, n) - sums[n]) != 0), None)


def difference(sums: Sums, first: sympy.Expr, second: sympy.Expr, n: int) -> str:
    """What is wanted and what the recursion gives, as far as they differ."""
    wrong = paths_of(sympy.expand(sums[n] - predicted(sums, first, second, n)))
    return f'wanted minus unrolled is {write_sum(wrong[:4], ("L", n))}' + (' + ...' if len(wrong) > 4 else '')


def show_steps(lines: list[str], sums: Sums, first: sympy.Expr, second: sympy.Expr) -> None:
    """Appends the steps of eqs. 12 to 20: the sums, the subtraction, the substitutions."""
    n = SHOWN

    def state(back: int) -> str:
        return f'X[L-{back}]' if back else 'X[L]'

    def total(expression: sympy.Expr) -> str:
        return f'({write_sum(paths_of(expression), ("L", n))}) X[j]'

    lines.append(f'(1) The sums for j = L-{n}, from blocks {n}, {n - 1} and {n - 2} further on:')
    for back in range(3):
        lines.append(f'      {state(back)} = {total(sums[n - back])}')
    lines.append(f'(2) One block, L = j+1: X[L] = ({write_sum(paths_of(moved(sums[1], n - 1)), ("L", n))}) X[L-1], so '
                 'this is the factor of X[L-1]. Its terms are taken away one by one:')
    left, rest = 'X[L]', sums[n]
    for path in paths_of(moved(sums[1], n - 1)):
        sign, size = '-' if path.factor > 0 else '+', write_sum([Path(abs(path.factor), path.letters)], ('L', n))
        left += f' {sign} {"" if size == "1" else size + " "}X[L-1]'
        rest = sympy.expand(rest - product(path) * sums[n - 1])
        lines.append(f'      {left} = {total(rest)}')
    factor = write_sum(paths_of(moved(second, n - 2)), ('L', n))
    if second == 0:
        lines.append('(3) Two blocks, L = j+2: nothing is left.' if rest == 0 else
                     '(3) Two blocks, L = j+2: nothing is left, which three blocks contradict.')
    else:
        lines.append(f'(3) Two blocks, L = j+2: what is left is ({factor}) X[L-2], so this is the factor of X[L-2]:')
        lines.append(f'      ({factor}) X[L-2] = {total(sympy.expand(moved(second, n - 2) * sums[n - 2]))}')
    terms = [*terms_of(first, 1), *terms_of(second, 2)]
    lines.append(f'(4) X[i] = {Formula((), tuple(terms))}' if terms else '(4) X[i] = 0')


def terms_of(coefficient: sympy.Expr, back: int) -> list[Term]:
    """The terms of a formula: a factor of X[i-back], given for i = 2."""
    return [Term(float(path.factor), back, tuple(2 - block for block in path.blocks)) for path in paths_of(coefficient)]


def arranged(terms: list[Term], others: list[Term]) -> Formula:
    """A formula with relu(...) where the paper has it: around what the block computes, and its own input."""
    ordered = sorted([*terms, *others], key=lambda term: (not term.is_own, term.back or 0))
    rectified = tuple(term for term in ordered if term.is_own or term.is_shortcut)
    return Formula(rectified, tuple(term for term in ordered if term not in rectified))


def buildable(lines: list[str], first: list[Term], second: list[Term]) -> Formula | None:
    """The formula of a network; None, and a line that says why, if no network has it."""
    formula = arranged(first, second)
    try:
        return parse_formula(str(formula))
    except UserError as error:
        lines.append(f'No network can have it: {str(error).rpartition(": ")[2]}.')
        return None


def stem_recursion(sums: Sums) -> Formula | None:
    """X[i] = (a + b W[i]) X[i-1] + c X[0] with the wanted paths from X[0], as eq. 21; None if there is none."""
    a, c = sympy.symbols('a c')
    slope = sum((path.factor for path in paths_of(sums[1]) if path.letters), Fraction(0))
    equations = []
    for n in range(1, FURTHEST + 1):
        equations += by_letters(sympy.expand(sums[n] - (a + sympy.Rational(slope) * letter('W', n)) * sums[n - 1] - c))
    solution = sympy.solve(equations, [a, c], dict=True)
    if not solution or slope == 0 or not {a, c} <= set(solution[0]) or solution[0][c] == 0:
        return None
    own, shortcut = Term(float(slope), 1, (0, )), Term(float(solution[0][a]), 1)
    return Formula((own, shortcut) if shortcut.factor else (own, ), (Term(float(solution[0][c]), None), ))


def by_letters(expression: sympy.Expr) -> list[sympy.Expr]:
    """The factors of all products of letters in an expanded sum."""
    found: dict[tuple, sympy.Expr] = {}
    for term in sympy.Add.make_args(expression):
        commuting, letters = term.args_cnc()
        found[tuple(letters)] = found.get(tuple(letters), sympy.Integer(0)) + sympy.Mul(*commuting)
    return list(found.values())
