"""The one backbone: stem -> stages -> outputs. Families differ in the tables and the wiring they bring."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from mmengine.model import BaseModule
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones.checkpointing import run_checkpointed
from mmext.backbones.checks import check_flag, check_odd, check_out_indices, check_range, choose
from mmext.backbones.features import Feature, FeatureInfo
from mmext.backbones.layers import Layers
from mmext.backbones.plan import CIFAR_BLOCKS, STEMS, Arch, StagePlan, per_stage, plan_stages
from mmext.backbones.weights import load_pretrained
from mmext.errors import UserError, nearest

State = Any  # what a family's blocks hand on: a feature map, or a tuple of tensors


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

    A subclass names its ``paper`` (as ``analysis/published.json`` does), its ``family``, its ``archs`` (depth -> what
    that depth stands for) and makes its blocks.

    Args:
        depth: a row of the family's table.
        in_channels: of the input.
        stem: 'conv7x7' (stride 4 with its pool), 'conv3x3', 'conv1x1' or 'conv3x3_twice' (stride 1); the table's
            by default.
        num_stages: how many stages are built; the table's by default.
        strides: per stage, counted after the stem and its pool in every family, (1, 2, 2, 2) by default. Where the
            improved projection replaces that pool, the first block of stage 1 strides twice as much.
        dilations: per stage, of the 3x3 convolutions.
        out_indices: the stages (0 to num_stages - 1) whose features are returned; negative ones count from the end, so
            that (-1, ) is the last stage. All by default.
        frozen_stages: -1 none, 0 the stem, k the stem and the first k stages: no gradient, norms in eval mode.
        norm_cfg: BN, SyncBN or GN as in OpenMMLab's configs.
        norm_eval: keep all batch norms in eval mode while training.
        with_cp: recompute activations in the backward pass: the same result bit for bit, in memory that grows with the
            square root of depth.
        zero_init_residual: every residual branch starts at zero; in families whose branches can.
        dims: 2, or 3 for the inflated network (section 4 of the iResNet paper).
        temporal_strides: per stage, in 3D; (1, 1, 2, 2) by default.
        temporal_kernels: per stage, in 3D: how many frames its 3x3 convolutions span, odd; 1 leaves the stage as it is
            in 2D. (3, 3, 3, 3) by default.
        stem_temporal_stride, stem_temporal_kernel: of the stem's first convolution in 3D; the kernel is the stem's own
            by default (5 for conv7x7, 1 for conv1x1, else 3).
        bare: hand on the one feature map itself and not a tuple of one, as mmaction2's heads take it.
        init_cfg: ``dict(type='Pretrained', checkpoint=..., prefix=None, strict=True)`` loads weights in
            ``init_weights`` and refuses a checkpoint that lacks some of them; in 3D it inflates 2D weights
            (``inflate='repeat'`` or 'centre'). Any other of mmengine's initialisers. None: Kaiming normal (fan out).

    Raises:
        UserError: an argument that the network can't have.
    """

    paper: ClassVar[str] = 'other'
    family: ClassVar[str]
    archs: ClassVar[dict[int, Arch]]
    improved_projection: ClassVar[bool] = False
    closing_norm: ClassVar[bool] = False
    conv_bias: ClassVar[bool] = False

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
            raise UserError(f'bare: only one feature map can be handed on so, and out_indices={self.out_indices}')
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
            strides=per_stage('strides', strides, (1, 2, 2, 2), stages),
            temporal_strides=per_stage('temporal_strides', temporal_strides, (1, 1, 2, 2), stages),
            temporal_kernels=check_odd('temporal_kernels', per_stage('temporal_kernels', temporal_kernels,
                                                                     (3, 3, 3, 3), stages)),
            dilations=per_stage('dilations', dilations, (1, 1, 1, 1), stages))

        layers = Layers(dims, norm_cfg, self.conv_bias)
        self.smallest_input = self.reductions[-1][1]
        self.make_stem(layers, in_channels)
        for i, stage in enumerate(self.stages, 1):
            blocks = self.make_blocks(layers.spanning(stage.temporal_kernel), stage)
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
        """What the networks of this class are called, and the arguments that make each."""
        return {f'{cls.family}{depth}' + ('_cifar' if depth in CIFAR_BLOCKS else ''): dict(depth=depth)
                for depth in cls.archs}

    def find_arch(self, depth: int) -> Arch:
        """The row of the family's table. Raises UserError where there is none."""
        return choose(type(self).__name__, 'depth', depth, self.archs)

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        """The blocks of a stage, in order; each takes the state that the one before hands on."""
        raise NotImplementedError

    def begin(self, x: Tensor) -> State:
        """The stem's output -> the state that the first block takes: that output itself, unless a family says more."""
        return x

    def feature(self, state: State) -> Tensor:
        """A block's state -> its feature map.

        What a forward hook on a stage (``layer1`` and so on) receives as the stage's output is such a state. In most
        families it is the feature map itself; ``feature`` gives the map in every family.
        """
        return state

    def make_stem(self, layers: Layers, in_channels: int) -> None:
        """conv1 bn1 relu, (conv2 bn2 relu), (maxpool)."""
        stem = STEMS[self.stem]
        channels = self.arch.stem_channels
        kernel, stride = (self.stem_temporal_kernel, stem.kernels[0]), (self.stem_temporal_stride, stem.stride)
        self.conv1 = layers.conv(in_channels, channels, kernel, stride)
        self.bn1 = layers.norm(channels)
        if len(stem.kernels) > 1:
            self.conv2 = layers.conv(channels, channels, (1, stem.kernels[1]))
            self.bn2 = layers.norm(channels)
        self.relu = layers.relu()
        pooled = stem.pool and not self.improved_projection
        self.maxpool = layers.max_pool((1, 3), (1, 2)) if pooled else None

    def reset_parameters(self) -> None:
        """Gives every parameter and buffer its initial value, also after ``to_empty``.

        Convolutions are Kaiming normal (fan out) with biases at zero; norms scale by one and shift by zero; linear
        layers are initialised as torch initialises them.
        """
        for module in self.modules():
            if module is not self and not any(module.children()) and isinstance(module, Resettable):
                module.reset_parameters()
        self.reset_convolutions()
        self.zero_residuals()
        self.is_empty = False

    def reset_convolutions(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _apply(self, fn: Callable, recurse: bool = True) -> Backbone:
        """As nn.Module's (``to``, ``to_empty``, ``half`` ...); notes when memory is given to a network on 'meta'."""
        was_meta = self.conv1.weight.is_meta
        super()._apply(fn, recurse)
        self.is_empty |= was_meta and not self.conv1.weight.is_meta
        return self

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.is_empty = False

    def zero_residuals(self) -> None:
        if not self.zero_init_residual:
            return
        branched = [module for module in self.modules() if isinstance(module, ZeroableBranch)]
        if not branched:
            raise UserError(f'zero_init_residual: {type(self).__name__} has no branch that could start at zero and '
                            'still learn')
        for module in branched:
            module.zero_branch()

    def init_weights(self) -> None:
        """Applies ``init_cfg``; first ``reset_parameters`` where ``to_empty`` left a network without numbers.

        Raises:
            UserError: ``init_cfg`` names a checkpoint that can't be read or lacks weights.
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
        """(frames, pixels) of the input that a cell stands for: after the stem, then after each stage."""
        stem = STEMS[self.stem]
        pooled = stem.pool and not self.improved_projection
        found = [(self.stem_temporal_stride, stem.stride * (2 if pooled else 1))]
        for stage in self.stages:
            found.append((found[-1][0] * stage.stride[0], found[-1][1] * stage.stride[1]))
        return found

    def forward_stem(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        if len(STEMS[self.stem].kernels) > 1:
            x = self.relu(self.bn2(self.conv2(x)))
        return x if self.maxpool is None else self.maxpool(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...] | Tensor:
        """(N, C, [T,] H, W) -> one feature map for each of ``out_indices``, as ``feature_info`` tells.

        A tuple of them, or with ``bare`` the only one itself.
        """
        if not isinstance(x, fx.Proxy):  # torch.fx's stand-in for a tensor has no size
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

    def check_size(self, x: Tensor) -> None:
        """Raises a UserError where the input has another number of dimensions or is smaller than one output cell."""
        if x.dim() != self.dims + 2:
            kind = '(N, C, H, W)' if self.dims == 2 else '(N, C, T, H, W)'
            raise UserError(f'input of shape {tuple(x.shape)}: a backbone with dims={self.dims} takes {kind}')
        height, width = x.shape[-2:]
        if min(height, width) < self.smallest_input:
            raise UserError(f'an image of {height} x {width} is too small for {type(self).__name__} on the stem '
                            f'{self.stem}: its stride needs at least {self.smallest_input} pixels; resize the images, '
                            'or choose a stem or strides that keep more of them')

    def freeze(self) -> None:
        """Puts the frozen part into eval mode and takes its gradients away."""
        stem = [name for name, _ in self.named_children() if name in ('conv1', 'bn1', 'conv2', 'bn2')]
        frozen = stem + [f'layer{i}' for i in range(1, self.frozen_stages + 1)]
        for name in frozen if self.frozen_stages >= 0 else []:
            getattr(self, name).eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """As nn.Module's, but what is frozen, and with ``norm_eval`` every batch norm, stays in eval mode."""
        super().train(mode)
        self.freeze()
        for module in self.modules() if mode and self.norm_eval else []:
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


def split_init_cfg(init_cfg: dict | Sequence[dict] | None) -> tuple[list[dict], list[dict] | None]:
    """The options of each ``Pretrained``, which we load ourselves, and the other initialisers."""
    configs = [init_cfg] if isinstance(init_cfg, dict) else [] if init_cfg is None else init_cfg
    if not isinstance(configs, (list, tuple)) or not all(isinstance(config, dict) for config in configs):
        raise UserError(f'init_cfg={init_cfg!r}: need a dict with a type, or a list of such')
    for config in configs:
        kind = config.get('type')
        if not (isinstance(kind, type) or isinstance(kind, str) and kind and WEIGHT_INITIALIZERS.get(kind)):
            raise UserError(f'init_cfg: there is no initialiser {kind!r}'
                            f'{nearest(str(kind), WEIGHT_INITIALIZERS.module_dict)}')
    pretrained = [{key: value for key, value in config.items() if key != 'type'} for config in configs
                  if config.get('type') == 'Pretrained']
    for options in pretrained:
        for key in sorted(set(options) - {'checkpoint', 'prefix', 'strict', 'inflate', 'map_location'}):
            raise UserError(f"init_cfg of type 'Pretrained': no key {key!r}; there are checkpoint, prefix, strict and "
                            'inflate')
        if not options.get('checkpoint'):
            raise UserError("init_cfg of type 'Pretrained': no checkpoint is named")
        if not isinstance(options['checkpoint'], (str, os.PathLike)):
            raise UserError(f"init_cfg of type 'Pretrained': checkpoint={options['checkpoint']!r} is no path")
    return pretrained, [config for config in configs if config.get('type') != 'Pretrained'] or None
