"""The base class of all backbones: stem -> stages -> outputs. A family adds its table of depths and its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from mmengine.model import BaseModule
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones.checkpointing import run_checkpointed
from mmext.backbones.checks import check_flag, check_odd, check_out_indices, check_range, choose
from mmext.backbones.features import Feature, FeatureInfo
from mmext.backbones.layers import Layers
from mmext.backbones.plan import CIFAR_WIDTHS, STEMS, Arch, StagePlan, per_stage, plan_stages
from mmext.backbones.weights import load_pretrained, split_init_cfg
from mmext.errors import UserError

State = Any  # what one block passes to the next: a feature map, or in some families a tuple of tensors


@runtime_checkable
class Resettable(Protocol):
    """A layer that can draw its initial parameters again, as most of torch's can."""

    def reset_parameters(self) -> None:
        """Gives every parameter and buffer of the layer its initial value."""


@runtime_checkable
class ZeroableBranch(Protocol):
    """A block whose residual branch can start at zero."""

    def zero_branch(self) -> None:
        """Makes the branch output zero. Raises UserError where it could not learn from there."""


class Backbone(BaseModule):
    """A residual network without its classifier: images (N, C, H, W) or clips (N, C, T, H, W) -> a tuple of features.

    A subclass sets its ``paper`` (a key of ``analysis/published.json``), its ``family`` and its ``archs`` (a table from
    depth to ``Arch``), and implements ``make_blocks``.

    Args:
        depth: A key of the family's table ``archs``.
        in_channels: Number of channels of the input.
        stem: 'conv7x7' or 'deep' (stride 4, including its max-pool; 'deep' has three 3x3 convolutions, as timm's deep
            stem), 'conv3x3', 'conv1x1' or 'conv3x3_twice' (stride 1). The default is the stem that the table gives.
        num_stages: Number of stages to build. The default is the number in the table.
        strides: Stride of each stage, not counting the stem and its max-pool; (1, 2, 2, 2) by default. This means the
            same in every family: where the improved projection replaces the max-pool of the stem, the first block of
            stage 1 uses twice the given stride.
        dilations: Dilation of the 3x3 convolutions of each stage.
        out_indices: The stages (0 to num_stages - 1) whose features are returned. Negative indices count from the end,
            so (-1, ) is the last stage. All stages by default.
        frozen_stages: -1 freezes nothing, 0 freezes the stem, k freezes the stem and the first k stages. Frozen parts
            have no gradients, and their norms stay in eval mode.
        norm_cfg: Norm layer (BN, SyncBN or GN) as in OpenMMLab's configs.
        norm_eval: Keep all batch norms in eval mode during training.
        with_cp: Use activation checkpointing: the backward pass recomputes activations. The result is bit-for-bit the
            same, and memory grows with the square root of the depth.
        zero_init_residual: Initialise every residual branch to output zero, in families that support it.
        dims: 2 for images, or 3 for the inflated network for clips (iResNet paper, section 4).
        temporal_strides: Temporal stride of each stage in 3D; (1, 1, 2, 2) by default.
        temporal_kernels: Temporal kernel size, in frames, of the 3x3 convolutions of each stage in 3D; odd. 1 leaves a
            stage as it is in 2D. (3, 3, 3, 3) by default.
        stem_temporal_stride: Temporal stride of the first convolution of the stem in 3D.
        stem_temporal_kernel: Temporal kernel size of the first convolution of the stem in 3D. The default depends on
            the stem: 5 for conv7x7, 1 for conv1x1, 3 for the others.
        bare: Return the feature map itself instead of a tuple of one, as the heads of mmaction2 expect.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=None, strict=True)`` loads weights in
            ``init_weights`` and refuses a checkpoint that lacks some of them; in 3D it inflates 2D weights
            (``inflate='repeat'`` or 'centre'). Any other initialiser of mmengine works too. None means Kaiming normal
            (fan out).

    Raises:
        UserError: An argument has a value that this network does not support.
    """

    paper: ClassVar[str] = 'other'
    family: ClassVar[str]
    archs: ClassVar[dict[int, Arch]]
    improved_projection: ClassVar[bool] = False
    avg_down: bool = False
    closing_norm: ClassVar[bool] = False
    conv_bias: ClassVar[bool] = False
    conv1: nn.Module

    def __init__(self, depth: int, in_channels: int = 3, stem: str | None = None, num_stages: int | None = None,
                 strides: Sequence[int] | None = None, dilations: Sequence[int] | None = None,
                 out_indices: Sequence[int] | None = None, frozen_stages: int = -1, norm_cfg: dict | None = None,
                 norm_eval: bool = False, with_cp: bool = False, zero_init_residual: bool = False, dims: int = 2,
                 temporal_strides: Sequence[int] | None = None, temporal_kernels: Sequence[int] | None = None,
                 stem_temporal_stride: int = 1, stem_temporal_kernel: int | None = None, bare: bool = False,
                 init_cfg: dict | None = None) -> None:
        check_flag(norm_eval=norm_eval, with_cp=with_cp, zero_init_residual=zero_init_residual, bare=bare)
        self.pretrained, others = split_init_cfg(init_cfg)
        super().__init__(others)
        self.depth = depth
        self.arch = arch = self.find_arch(depth)
        self.stem = arch.stem if stem is None else stem
        choose(type(self).__name__, 'stem', self.stem, STEMS)
        check_range('in_channels', in_channels, 1, 1_000_000)
        stages = len(arch.blocks) if num_stages is None else num_stages
        check_range('num_stages', stages, 1, len(arch.blocks))
        self.out_indices = check_out_indices(range(stages) if out_indices is None else out_indices, stages)
        check_range('frozen_stages', frozen_stages, -1, stages)
        if bare and len(self.out_indices) > 1:
            raise UserError(f'bare: returns a single feature map, but out_indices={self.out_indices} asks for '
                            f'{len(self.out_indices)}')
        check_range('stem_temporal_stride', stem_temporal_stride, 1, 16)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.dims = dims
        self.zero_init_residual = zero_init_residual
        self.bare = bare
        self.stem_temporal_stride = stem_temporal_stride
        self.stem_temporal_kernel, *_ = check_odd('stem_temporal_kernel', [
            STEMS[self.stem].temporal_kernel if stem_temporal_kernel is None else stem_temporal_kernel])
        self.stages = plan_stages(
            arch, stem=self.stem, num_stages=stages, improved_projection=self.improved_projection,
            avg_down=self.avg_down,
            strides=per_stage('strides', strides, (1, 2, 2, 2), stages),
            temporal_strides=per_stage('temporal_strides', temporal_strides, (1, 1, 2, 2), stages),
            temporal_kernels=check_odd('temporal_kernels', per_stage('temporal_kernels', temporal_kernels,
                                                                     (3, 3, 3, 3), stages)),
            dilations=per_stage('dilations', dilations, (1, 1, 1, 1), stages))

        layers = Layers(dims, norm_cfg, self.conv_bias)
        self.smallest_input = self.reductions[-1][1]
        self.make_stem(layers, in_channels)
        for i, stage in enumerate(self.stages, 1):
            blocks = self.make_blocks(layers.with_temporal_kernel(stage.temporal_kernel), stage)
            self.add_module(f'layer{i}', nn.Sequential(*blocks))
        self.bn_last = None
        if self.closing_norm and stages == len(arch.blocks):
            self.bn_last = layers.norm(arch.out_channels[-1])
            self.relu_last = layers.relu()
        self.reset_convolutions()
        self.zero_residuals()
        self.is_empty = False
        self.freeze()

    @classmethod
    def names(cls) -> dict[str, dict]:
        """The names of this family's networks, with the constructor arguments of each."""
        return {f'{cls.family}{depth}' + ('_cifar' if arch.widths == CIFAR_WIDTHS else ''): dict(depth=depth)
                for depth, arch in cls.archs.items()}

    def find_arch(self, depth: int) -> Arch:
        """Looks up a depth in the family's table. Raises UserError if it is not there."""
        return choose(type(self).__name__, 'depth', depth, self.archs)

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        """Builds the blocks of a stage, in order. Each block takes the state that the previous block returns."""
        raise NotImplementedError

    def begin(self, x: Tensor) -> State:
        """Turns the output of the stem into the state that the first block takes; by default they are the same."""
        return x

    def feature(self, state: State) -> Tensor:
        """Returns the feature map of a block's state.

        A forward hook on a stage (``layer1`` and so on) receives such a state as the output of the stage. In most
        families the state is the feature map itself; this method returns the feature map in every family.
        """
        return state

    def make_stem(self, layers: Layers, in_channels: int) -> None:
        """Builds the stem: conv1 bn1 relu, for some stems conv2 bn2 relu and so on, for some a max-pool."""
        stem = STEMS[self.stem]
        for k, size in enumerate(stem.kernels, 1):
            channels = self.arch.stem_channels // (stem.narrowing if k < len(stem.kernels) else 1)
            kernel = (self.stem_temporal_kernel if k == 1 else 1, size)
            stride = (self.stem_temporal_stride, stem.stride) if k == 1 else 1
            self.add_module(f'conv{k}', layers.conv(in_channels, channels, kernel, stride))
            self.add_module(f'bn{k}', layers.norm(channels))
            in_channels = channels
        self.relu = layers.relu()
        pooled = stem.pool and not self.improved_projection
        self.maxpool = layers.max_pool((1, 3), (1, 2)) if pooled else None

    def reset_parameters(self) -> None:
        """Gives every parameter and buffer its initial value; also works after ``to_empty``.

        Convolutions are Kaiming normal (fan out) with zero biases. Norms have weight one and bias zero. Linear layers
        use torch's default initialisation.
        """
        for module in self.modules():
            if module is not self and not any(module.children()) and isinstance(module, Resettable):
                module.reset_parameters()
        self.reset_convolutions()
        self.zero_residuals()
        self.is_empty = False

    def reset_convolutions(self) -> None:
        """Initialises every convolution with Kaiming normal (fan out) and a zero bias."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _apply(self, fn: Callable, recurse: bool = True) -> Backbone:
        """Like nn.Module's (used by ``to``, ``to_empty``, ``half`` ...); records when a network leaves 'meta'."""
        was_meta = self.conv1.weight.is_meta
        super()._apply(fn, recurse)
        self.is_empty |= was_meta and not self.conv1.weight.is_meta
        return self

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.is_empty = False

    def zero_residuals(self) -> None:
        """Makes every residual branch output zero if ``zero_init_residual`` is set.

        Raises:
            UserError: No block of this family supports it.
        """
        if not self.zero_init_residual:
            return
        branched = [module for module in self.modules() if isinstance(module, ZeroableBranch)]
        if not branched:
            raise UserError(f'zero_init_residual: {type(self).__name__} has no branch that can be initialised to zero '
                            'and still learn')
        for module in branched:
            module.zero_branch()

    def init_weights(self) -> None:
        """Applies ``init_cfg``, after ``reset_parameters`` if ``to_empty`` has left the parameters uninitialised.

        Raises:
            UserError: The checkpoint in ``init_cfg`` can't be read or lacks weights.
        """
        if self.is_empty:
            self.reset_parameters()
        if self.init_cfg:
            super().init_weights()
            self.zero_residuals()
        for options in self.pretrained:
            load_pretrained(self, **options)

    @property
    def feature_info(self) -> FeatureInfo:
        """Channels and stride of each output, in the order of ``out_indices``."""
        features = [Feature(f'layer{i}', stage.out_channels, stride)
                    for i, (stage, (_, stride)) in enumerate(zip(self.stages, self.reductions[1:]), 1)]
        return FeatureInfo(features[index] for index in self.out_indices)

    @property
    def reductions(self) -> list[tuple[int, int]]:
        """Total (temporal, spatial) stride, in frames and pixels: after the stem, then after each stage."""
        stem = STEMS[self.stem]
        pooled = stem.pool and not self.improved_projection
        found = [(self.stem_temporal_stride, stem.stride * (2 if pooled else 1))]
        for stage in self.stages:
            found.append((found[-1][0] * stage.stride[0], found[-1][1] * stage.stride[1]))
        return found

    def forward_stem(self, x: Tensor) -> Tensor:
        """Applies the stem: (N, C, [T,] H, W) -> a feature map of ``arch.stem_channels`` channels."""
        for k in range(1, len(STEMS[self.stem].kernels) + 1):
            x = self.relu(getattr(self, f'bn{k}')(getattr(self, f'conv{k}')(x)))
        return x if self.maxpool is None else self.maxpool(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        """(N, C, [T,] H, W) -> a tuple with one feature map for each of ``out_indices``; see ``feature_info``.

        With ``bare`` the result is the only feature map, not a tuple.
        """
        if not isinstance(x, fx.Proxy):  # while torch.fx traces, the input has no size
            self.check_size(x)
        state = self.begin(self.forward_stem(x))
        features = {}
        for i in range(len(self.stages)):
            stage = getattr(self, f'layer{i + 1}')
            state = run_checkpointed(stage, state) if self.with_cp else stage(state)
            if i in self.out_indices:
                features[i] = self.feature(state)
        if self.bn_last is not None:
            last = self.relu_last(self.bn_last(self.feature(state)))
            if i in self.out_indices:
                features[i] = last
        return features[self.out_indices[0]] if self.bare else tuple([features[i] for i in self.out_indices])

    def named_blocks(self) -> Iterator[tuple[str, nn.Module]]:
        """The blocks with their names, such as 'layer2.0', from the first to the last."""
        for i in range(1, len(self.stages) + 1):
            for name, block in getattr(self, f'layer{i}').named_children():
                yield f'layer{i}.{name}', block

    def check_size(self, x: Tensor) -> None:
        """Raises UserError if the input has the wrong number of dimensions or is smaller than the total stride."""
        if x.dim() != self.dims + 2:
            kind = '(N, C, H, W)' if self.dims == 2 else '(N, C, T, H, W)'
            raise UserError(f'input of shape {tuple(x.shape)}: a backbone with dims={self.dims} takes {kind}')
        height, width = x.shape[-2:]
        if min(height, width) < self.smallest_input:
            raise UserError(f'an image of {height} x {width} is too small for {type(self).__name__} with the stem '
                            f'{self.stem}, which needs at least {self.smallest_input} pixels on each side; resize the '
                            'images, or choose a stem or strides that downsample less')

    def freeze(self) -> None:
        """Puts the frozen part (see ``frozen_stages``) into eval mode and turns its gradients off."""
        stem = [f'{layer}{k}' for k in range(1, len(STEMS[self.stem].kernels) + 1) for layer in ('conv', 'bn')]
        frozen = stem + [f'layer{i}' for i in range(1, self.frozen_stages + 1)]
        for name in frozen if self.frozen_stages >= 0 else []:
            getattr(self, name).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """Like nn.Module's, but frozen parts, and with ``norm_eval`` all batch norms, stay in eval mode."""
        super().train(mode)
        self.freeze()
        for module in self.modules() if mode and self.norm_eval else []:
            if isinstance(module, _BatchNorm):
                module.eval()
        return self
