"""``--tta`` of detectors: the views of an image, and what becomes of their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmext.checkpoints import read_checkpoint
from mmext.engine.config import load_config, make_safe
from mmext.engine.flags.testing import apply_test_flags
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT
from tests.tools.helpers import here, succeeded

FASTER = 'configs/faster_rcnn_iresnet50_fpn_coco.py'


def augmented(path: str, scales: str, **options: object) -> Config:
    config = load_config(ROOT / path, **options)
    make_safe(config)
    apply_test_flags(config, tta=scales)
    return config


def test_the_views_of_ssd300():
    """The ratio of width and height is not kept, and the first view is the image as it is."""
    config = augmented(CONFIG, '1,1.5')
    load, views = config.test_dataloader.dataset.pipeline
    sizes, flips, annotations, pack = views['transforms']
    assert [(size['scale'], size['keep_ratio']) for size in sizes] == [((300, 300), False), ((450, 450), False)]
    assert [flip['prob'] for flip in flips] == [0, 1]
    assert annotations[0]['type'] == 'LoadAnnotations' and {'flip', 'flip_direction'} < {*pack[0]['meta_keys']}
    assert config.custom_hooks[-1] == dict(type='PrepareTTAHook', tta_cfg=dict(type='DetTTAModel', tta_cfg=dict(
        nms=dict(type='nms', iou_threshold=0.45), max_per_img=200)))
    assert len(config.val_dataloader.dataset.pipeline) == 4, 'that of the validation is left alone'


def test_the_views_of_faster_rcnn():
    config = augmented(FASTER, '0.5,1,1.25')
    sizes = config.test_dataloader.dataset.pipeline[-1]['transforms'][0]
    assert [(size['scale'], size['keep_ratio']) for size in sizes] == [
        ((666, 400), True), ((1333, 800), True), ((1666, 1000), True)]
    assert config.custom_hooks[-1].tta_cfg.tta_cfg == dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)


@pytest.fixture(scope='module')
def weights(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an untrained SSD300 for the three shapes."""
    config = load_config(ROOT / CONFIG, backbone='iresnet18', data_root=str(shapes), classes='auto')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'ssd.pth'
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta={}), path)
    return path


def test_an_image_and_its_mirror_image_give_mirrored_boxes(shapes: Path, weights: Path, tmp_path: Path):
    config = augmented(CONFIG, '1', backbone='iresnet18', data_root=str(shapes), classes='auto')
    init_default_scope('mmdet')
    model = MODELS.build(config.model).eval()
    model.load_state_dict(read_checkpoint(weights)['state_dict'])
    model = MODELS.build(dict(config.custom_hooks[-1].tta_cfg, module=model))
    picture = Image.open(next((shapes / 'val2017').iterdir())).convert('RGB')
    steps = [step for step in config.test_dataloader.dataset.pipeline[1]['transforms']
             if step[0]['type'] != 'LoadAnnotations']
    pipeline = Compose([dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=steps)])
    found = []
    for name, image in (('plain', picture), ('mirrored', picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))):
        image.save(tmp_path / f'{name}.png')
        with torch.no_grad():
            data = pipeline(dict(img_path=str(tmp_path / f'{name}.png'), img_id=0))
            found.append(model.test_step(pseudo_collate([data]))[0].pred_instances)
    assert len(found[0]) == len(found[1]) > 20
    scores = [one.scores.sort(descending=True).values[:20] for one in found]
    torch.testing.assert_close(*scores, rtol=1e-3, atol=1e-4)
    boxes = [one.bboxes[one.scores.argmax()].numpy() for one in found]
    mirrored = boxes[1][[2, 1, 0, 3]]
    mirrored[[0, 2]] = picture.width - mirrored[[0, 2]]
    np.testing.assert_allclose(boxes[0], mirrored, atol=0.5)


def test_the_command(shapes: Path, weights: Path, tmp_path: Path):
    printed = succeeded(here(
        'test.py', CONFIG, weights, '--backbone', 'iresnet18', '--data-root', shapes, '--classes', 'auto', '--work-dir',
        tmp_path, '--tta', '1,1.2', '--show-dir', tmp_path / 'shown', '--cfg-options', 'test_dataloader.num_workers=0'))
    assert 'AP' in printed and (tmp_path / 'detections.json').is_file() and len(list((tmp_path / 'shown').iterdir()))


@pytest.mark.parametrize('path, flags, says', [
    (CONFIG, dict(tta='0.8,1'), '--tta 0.8: the last feature map of SSD is one cell .* give factors from 1'),
    (CONFIG, dict(tta='big'), '--tta big: need factors of the image size from 0.1 to 10, such as 0.8,1,1.2'),
    (CONFIG, dict(tta='0,1'), '--tta 0,1: need factors'), (CONFIG, dict(tta='nan'), '--tta nan: need factors'),
    (CONFIG, dict(tta='1', fuse=True), '--tta: does not work together with --fuse'),
    ('configs/demo/iresnet3d18_motion.py', dict(tta='1'), '--tta: the views of a video are .* give --views'),
    ('configs/classification/rir_cifar10.py', dict(tta='1,2'), '--tta: the views of a classifier')])
def test_what_has_no_views(path: str, flags: dict, says: str):
    config = load_config(ROOT / path)
    with pytest.raises(UserError, match=says):
        apply_test_flags(config, **flags)


@pytest.mark.parametrize('kind, says', [('Resize', 'no Resize to a scale'), ('PackDetInputs', 'no PackDetInputs')])
def test_a_pipeline_without_a_size(kind: str, says: str):
    config = load_config(ROOT / CONFIG)
    dataset = config.test_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step.type != kind]
    with pytest.raises(UserError, match=says):
        apply_test_flags(config, tta='1')
