"""Shows the paths that the gradient takes through a recursion formula or a network, and finds formulas for paths.

    mmext paths --formula "X[i] = (1 + W[i]) X[i-1] - W[i-1] X[i-2]" --blocks 6 --out paths.png
    mmext paths --wanted "1 + W[L] + W[L] W[L-1] + ... + W[L] ... W[j+1]"
    mmext paths --network iresnet50 --out shares.png
    mmext paths --network resnet18_recursive --formula appendix2 --dims 3

The guide is docs/formulas.md. The exit code is 1 if there is no formula for the wanted paths.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONFIG = 'mmext::ssd300_resnet50_recursive_coco.py'  # an example of a config that takes a formula
LARGEST_BATCH = 64
ONLY_OF_NETWORKS = ('dims', 'input', 'checkpoint', 'batch', 'seed')


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('--formula', metavar='TEXT', help='a recursion formula, or the name of one: resnet, eq20, '
                        'eq21, appendix1, appendix2, plain, highway; with --network, that of the network')
    parser.add_argument('--wanted', metavar='TEXT',
                        help='a sum of paths whose formula is wanted, or the name of one: plain, resnet, eq12')
    parser.add_argument('--network', metavar='NAME', help='a network, as mmext.list_backbones() has it; iresnet3d50 is '
                        'iresnet50 for clips')
    parser.add_argument('--blocks', type=int, metavar='N', help='paths from X[0] to X[N] (default: 6)')
    parser.add_argument('--from', dest='first', type=int, metavar='J', help='paths from X[J] (default: 0)')
    parser.add_argument('--to', dest='last', type=int, metavar='L', help='paths to X[L]; the same as --blocks')
    parser.add_argument('--dims', type=int, choices=(2, 3), help='2 for images, 3 for clips (default: 2)')
    parser.add_argument('--input', type=int, nargs='+', metavar='N',
                        help='shape of one input, C H W or C T H W (default: 3 224 224 or 3 32 32, as the network '
                        'needs it; of clips 8 frames, and half of that size if it is 224)')
    parser.add_argument('--checkpoint', metavar='FILE', help='weights of the network (default: random ones)')
    parser.add_argument('--batch', type=int, metavar='N', help='random inputs over which is averaged (default: 2)')
    parser.add_argument('--seed', type=int, metavar='N', help='of weights and inputs (default: 0)')
    parser.add_argument('--out', metavar='FILE', help='draws into a .png, .svg or .pdf file')
    return parser


def main(args: argparse.Namespace) -> int:
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target

    check(args)
    if args.out:
        require_suffix(args.out, '--out')
        require_target(args.out)
    show = of_network if args.network else of_wanted if args.wanted else of_formula
    figure = show(args)
    if figure is not None and args.out:
        write_figure(args.out, figure)
        print(f'drawn: {args.out}')
    return int(figure is None)


def check(args: argparse.Namespace) -> None:
    """Raises UserError for flags that don't belong together."""
    if args.wanted is not None and (args.formula is not None or args.network is not None):
        raise UserError('--wanted finds a formula itself; leave --formula and --network out')
    if args.formula is None and args.wanted is None and args.network is None:
        raise UserError('give --formula TEXT, --wanted TEXT or --network NAME')
    if args.blocks is not None and args.last is not None:
        raise UserError('--blocks and --to are the same; give one of them')
    if args.network is None:
        given = [name for name in ONLY_OF_NETWORKS if getattr(args, name) is not None]
        if given:
            raise UserError(f'--{given[0]} is for --network')
    elif any(value is not None for value in (args.blocks, args.first, args.last)):
        raise UserError('--blocks, --from and --to are for formulas; the paths of a network go from its stem to its '
                        'end')


def of_formula(args: argparse.Namespace) -> Figure:
    """Prints the paths of a formula, and draws them."""
    from mmext.analysis.paths.drawing import draw_formula
    from mmext.analysis.paths.tables import lines_of
    from mmext.analysis.paths.unroll import unroll
    from mmext.backbones.formula import parse_formula

    unrolled = unroll(parse_formula(args.formula), *ends(args))
    for line in lines_of(unrolled):
        print(line)
    return draw_formula(unrolled)


def of_wanted(args: argparse.Namespace) -> Figure | None:
    """Prints how the formula of wanted paths follows from them, and draws it; None if there is none."""
    from mmext.analysis.paths.derive import derive
    from mmext.analysis.paths.drawing import draw_formula
    from mmext.analysis.paths.unroll import unroll

    first, last = ends(args)
    found = derive(args.wanted)
    print('\n'.join(found.lines))
    formula = found.formula or found.from_stem
    if found.formula:
        print(f'formula={str(formula)!r}')
    if found.from_stem:
        print(f'From X[0] only (j = 0), X[0] itself can be added instead: formula={str(found.from_stem)!r}')
    if formula is None:
        return None
    option = shlex.quote(f'model.backbone.formula={formula}')
    print(f'To train a network with it: mmext train {CONFIG} --cfg-options {option}')
    return draw_formula(unroll(formula, first, last))


def of_network(args: argparse.Namespace) -> Figure:
    """Prints the shares of the gradient of a network, and draws them."""
    import torch

    from mmext.analysis.paths.drawing import draw_shares
    from mmext.analysis.paths.network import network_of
    from mmext.analysis.paths.shares import settle_norms, shares
    from mmext.analysis.paths.tables import share_lines

    batch, seed = 2 if args.batch is None else args.batch, args.seed or 0
    if not 1 <= batch <= LARGEST_BATCH:
        raise UserError(f'--batch {batch}: need 1 to {LARGEST_BATCH}')
    torch.manual_seed(seed)
    net, shape = network_of(args.network, args.formula, args.dims, args.input, args.checkpoint)
    x = torch.randn(batch, *shape)
    if args.checkpoint is None:
        settle_norms(net, x)
    rows = shares(net.eval(), x, seed)
    weights = 'random weights' if args.checkpoint is None else args.checkpoint
    title = f'{args.network}{f", {net.formula}" if args.formula else ""}, {weights}'
    print(f'{title}, {batch} random inputs of {" x ".join(map(str, shape))}')
    print('gradient of the last feature map at the output of the stem, by the length of its paths')
    for line in share_lines(rows):
        print(line)
    return draw_shares(rows, title)


def ends(args: argparse.Namespace) -> tuple[int, int]:
    """The first and the last block that the flags name."""
    first = args.first or 0
    named = args.blocks if args.last is None else args.last
    return first, max(6, first + 1) if named is None else named
