"""``mmext.load``: a trained model from its checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config

from mmext.backbones.trained import Trained, choose_device
from mmext.checkpoints.stored import unpack
from mmext.engine.build import explained_build_errors
from mmext.engine.config import fit_heads, is_config, load_config
from mmext.errors import UserError
from mmext.export.engines import require_engine, use_engine
from mmext.inference import Inferencer
from mmext.task import task_of


def load(source: str | os.PathLike, checkpoint: str | os.PathLike | None = None, *, device: str | None = None,
         score: float = 0.3, engine: str = 'torch', dtype: str = 'fp32', views: str | None = None,
         views_at_once: int | None = None, memory_format: str = 'auto', backbone: str | None = None,
         options: dict | None = None) -> Inferencer:
    """Loads a trained model, to be called with images or videos; see ``Inferencer``.

        model = mmext.load('work_dirs/demo/epoch_10.pth')
        model('street.jpg').save('boxes.jpg')

    Args:
        source: A checkpoint of a training with mmext, which contains what is needed of its config; or a config, a path
            or a name such as 'mmext::ssd300_iresnet50_coco.py'.
        checkpoint: The checkpoint, if ``source`` is a config. Both can be files, a checkpoint also a URL.
        device: 'cpu', 'cuda' or 'cuda:1'; by default the GPU if there is one.
        score: For detectors: detections with a lower score are dropped.
        engine: What computes the network: 'torch', 'compile' (torch.compile), 'onnxruntime' or 'openvino'.
        dtype: The number format of the network: 'fp32'; 'bf16' with every engine but onnxruntime; or 'int8' with
            onnxruntime and OpenVINO, after ``mmext test --dtype int8`` with this checkpoint.
        views: For recognizers: clips and crops of a video, such as '10x3'; by default the config's.
        views_at_once: For recognizers: how many views go through the network at once; by default ten.
        memory_format: Memory format of the weights: 'auto', 'contiguous' or 'channels_last'.
        backbone: A name from ``mmext.list_backbones()``, which replaces the config's backbone.
        options: Dotted key -> value, further changes of the config.

    Raises:
        UserError: A file is missing or unusable, the checkpoint does not contain its config, or they do not fit.
    """
    if not 0 <= score <= 1:
        raise UserError(f'score {score:g}: need a number from 0 to 1')
    chosen = choose_device(device)
    require_engine(engine, dtype, chosen)
    config, trained = read_model(source, checkpoint, views=views, views_at_once=views_at_once, backbone=backbone,
                                 options=options)
    with explained_build_errors(config):
        model = Inferencer(config, trained, chosen, score, memory_format)
        use_engine(model.model, model.source, engine, dtype)
    return model


def read_model(source: str | os.PathLike, checkpoint: str | os.PathLike | None = None, *, views: str | None = None,
               views_at_once: int | None = None, backbone: str | None = None, options: dict | None = None,
               ) -> tuple[Config, Trained]:
    """Reads what ``load`` builds a model from: the config, with as many classes as the checkpoint, and the checkpoint.

    The arguments are those of ``load``, and so are the errors.
    """
    if is_config(source):
        if checkpoint is None:
            raise UserError(f'{source}: this is a config; give the checkpoint, too')
        config = load_config(source, backbone=backbone, options=options)
        trained = Trained.read(os.fspath(checkpoint))
    elif checkpoint is not None:
        raise UserError(f'{source}: not a config, whose name ends with .py; give the config first, then the checkpoint')
    elif backbone or options:
        raise UserError(f'{source}: a backbone or options change a config; give the config, too')
    else:
        trained = Trained.read(os.fspath(source))
        config = config_of(trained)
    fit_heads(config, trained.classes)
    if views:
        task_of(config).set_views(config, views)
    if views_at_once:
        task_of(config).limit_views(config, views_at_once)
    return config, trained


def config_of(trained: Trained) -> Config:
    """The config that a checkpoint contains. Raises UserError if it contains none."""
    if trained.stored is None:
        beside = sorted(Path(trained.source).parent.glob('*.py'))
        advice = f', such as {beside[0]}' if len(beside) == 1 else ''
        raise UserError(f'{trained.source}: it does not contain its config, because another program or an older mmext '
                        f'wrote it; give the config, too{advice}')
    return unpack(trained.stored, trained.source)
