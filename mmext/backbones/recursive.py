"""Networks defined by a recursion formula (Liao et al., arXiv 2108.08689); see ``formula``."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.checks import check_flag, check_range, choose
from mmext.backbones.formula import parse_formula
from mmext.backbones.layers import Layers
from mmext.backbones.plan import Arch, StagePlan, basic, bottleneck
from mmext.backbones.recursion import RECURSIVE_BLOCKS, History, Shape
from mmext.backbones.register import register_backbone
from mmext.errors import UserError

RESNET = {**{depth: basic(depth) for depth in (18, 34)}, **{depth: bottleneck(depth) for depth in (50, 101)}}


@register_backbone
class RecursiveResNet(Backbone):
    """ResNet with a recursion formula, by default the paper's design (eq. 20).

    Args:
        depth: 18, 34, 50 or 101.
        formula: How block i combines the outputs of earlier blocks, such as
            'relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]', or the name of a formula: 'resnet', 'eq20', 'eq21',
            'appendix1', 'appendix2', 'plain' or 'highway' (see ``formula``). ``mmext paths`` shows the paths of a
            formula, and finds the formula of wanted paths.
        initial_state: What the formula reads for the outputs before X[0]: 'zeros', in accordance with
            X[1] = (1 + W[1]) X[0], or 'stem', the output of the stem.
        avg_down: Average in the projections, see ``ResidualBackbone``.
        kwargs: Arguments of ``Backbone``.

    Raises:
        UserError: The formula can't be parsed or refers to a block that does not exist.
    """

    paper = 'recursive'
    family = 'recursive_resnet'
    archs = {depth: replace(arch, stem='conv3x3') for depth, arch in RESNET.items()}
    initial_states: ClassVar[tuple[str, ...]] = ('zeros', 'stem')

    def __init__(self, depth: int, formula: str = 'eq20', initial_state: str = 'zeros', avg_down: bool = False,
                 **kwargs) -> None:
        check_flag(avg_down=avg_down)
        self.avg_down = avg_down
        self.formula = parse_formula(formula)
        if not isinstance(initial_state, str) or initial_state not in self.initial_states:
            raise UserError(f'initial_state={initial_state!r}: need one of {", ".join(self.initial_states)}')
        self.initial_state = initial_state
        super().__init__(depth, **kwargs)

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {f'resnet{depth}_recursive': dict(depth=depth) for depth in cls.archs}

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        self.formula.check_reach(sum(self.arch.blocks))
        block = RECURSIVE_BLOCKS[self.arch.block]
        return [block(layers, stage, i == 0, self.formula, self.shapes[:stage.blocks_before + i + 2],
                      self.initial_state == 'zeros') for i in range(stage.blocks)]

    @property
    def shapes(self) -> list[Shape]:
        """The shape of the stem's output, followed by the shape of each block's output."""
        shapes = [Shape(self.arch.stem_channels, self.reductions[0])]
        for stage, reduction in zip(self.stages, self.reductions[1:]):
            shapes += [Shape(stage.out_channels, reduction)] * stage.blocks
        return shapes

    def begin(self, x: Tensor) -> History:
        before = x.new_zeros(x.shape) if self.initial_state == 'zeros' else x
        formula = self.formula
        return History((x, *[before] * (formula.outputs_kept - 1)), (before, ) * formula.branches_kept,
                       x if formula.origin_kept else None)

    def feature(self, state: History) -> Tensor:
        return state.outputs[0]


def base_and_recursive(name: str, arguments: dict) -> dict[str, dict]:
    """The names and arguments of a base network and of its counterpart with the paper's formula."""
    return {name: dict(arguments, formula='resnet'), f'{name}_recursive': dict(arguments)}


@register_backbone
class RecursiveSEResNet(RecursiveResNet):
    """SE-ResNet (arXiv 1709.01507) with a recursion formula. Every convolution has a bias."""

    family = 'seresnet'
    archs = {depth: replace(arch, block=f'se_{arch.block}', stem='conv3x3') for depth, arch in RESNET.items()}
    conv_bias = True

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {name: arguments for depth in cls.archs
                for name, arguments in base_and_recursive(f'seresnet{depth}', dict(depth=depth)).items()}


@register_backbone
class RecursiveResNeXt(RecursiveResNet):
    """ResNeXt-29 for 32-pixel images (arXiv 1611.05431, section 5.3) with a recursion formula; 3 stages of 3 blocks.

    Args:
        depth: 29.
        cardinality: Number of groups of the 3x3 convolutions.
        base_width: Channels of each group in stage 1; doubled in each further stage.
        kwargs: Arguments of ``RecursiveResNet``.
    """

    family = 'resnext29'

    def __init__(self, depth: int = 29, cardinality: int = 2, base_width: int = 64, **kwargs) -> None:
        check_range('cardinality', cardinality, 1, 1000)
        check_range('base_width', base_width, 1, 1000)
        self.cardinality, self.base_width = cardinality, base_width
        super().__init__(depth, **kwargs)

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {name: arguments for cardinality in (2, 4) for name, arguments in base_and_recursive(
            f'resnext29_{cardinality}x64d', dict(depth=29, cardinality=cardinality)).items()}

    def find_arch(self, depth: int) -> Arch:
        widths = tuple(self.cardinality * self.base_width * 2**stage for stage in range(3))
        arch = Arch('bottleneck', (3, 3, 3), widths, tuple(2 * width for width in widths), (self.cardinality, ) * 3,
                    'conv1x1')
        return choose('RecursiveResNeXt', 'depth', depth, {29: arch})


@register_backbone
class RecursiveRes2NeXt(RecursiveResNet):
    """Res2NeXt-29 (arXiv 1904.01169, section 4.3) with a recursion formula; 3 stages of 3 blocks, 4 scales.

    Args:
        depth: 29.
        cardinality: Number of groups of the 3x3 convolutions.
        base_width: Channels of each group in stage 1; doubled in each further stage.
        kwargs: Arguments of ``RecursiveResNet``.
    """

    family = 'res2next29'
    scales: ClassVar[int] = 4

    def __init__(self, depth: int = 29, cardinality: int = 6, base_width: int = 24, **kwargs) -> None:
        check_range('cardinality', cardinality, 1, 1000)
        check_range('base_width', base_width, 1, 1000)
        self.cardinality, self.base_width = cardinality, base_width
        super().__init__(depth, **kwargs)

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {name: arguments for cardinality, width in ((6, 24), (8, 25)) for name, arguments in base_and_recursive(
            f'res2next29_{cardinality}c{width}w4s', dict(depth=29, cardinality=cardinality, base_width=width)).items()}

    def find_arch(self, depth: int) -> Arch:
        planes = tuple(self.base_width * self.scales * 2**stage for stage in range(3))
        arch = Arch('res2', (3, 3, 3), tuple(self.cardinality * n for n in planes), tuple(4 * n for n in planes),
                    (self.cardinality, ) * 3, 'conv3x3', planes[0])
        return choose('RecursiveRes2NeXt', 'depth', depth, {29: arch})
