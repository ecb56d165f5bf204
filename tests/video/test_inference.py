"""Recognizers on videos without labels, and on real ones."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

import mmext  # noqa: F401  registers the names
from mmext.backbones.trained import Trained
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.inference import Inferencer
from mmext.task import require_task
from mmext.video.views import limit_views, set_views
from tests.conftest import ROOT
from tests.video.clips import write

CLASSES = ('left', 'right', 'up', 'down', 'clockwise', 'anticlockwise')
# What is made smaller in Kinetics' config.
SMALLER = {'scale_range=(256, 320)': 'scale_range=(40, 50)', 'RandomCrop\', size=224': 'RandomCrop\', size=32',
           'clip_len=16': 'clip_len=4', 'scale=(-1, 256)': 'scale=(-1, 40)', 'crop_size=256': 'crop_size=40',
           'crop_size=224': 'crop_size=32', 'input_size=224': 'input_size=32', 'scale=(224, 224)': 'scale=(32, 32)'}


@pytest.fixture(scope='module')
def kinetics(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Kinetics' config with small pictures, and iResNet3D-18 of two stages."""
    folder = tmp_path_factory.mktemp('c')
    for path in (ROOT / 'configs').rglob('*.py'):
        text = path.read_text()
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        target = folder / path.relative_to(ROOT / 'configs')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return load_config(folder / 'iresnet3d50_kinetics400.py', options={
        'model.backbone.depth': 18, 'model.backbone.num_stages': 2, 'model.cls_head.in_channels': 128,
        'model.cls_head.num_classes': 6})


def save(config: Config, path: Path, **meta: object) -> str:
    """Random weights as a checkpoint."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


@pytest.fixture(scope='module')
def checkpoint(kinetics: Config, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(kinetics, tmp_path_factory.mktemp('w') / 'a.pth', dataset_meta=dict(classes=CLASSES))


def test_scores_are_those_of_the_test(kinetics: Config, checkpoint: str, tmp_path: Path) -> None:
    write(tmp_path / 'a.mp4')
    (tmp_path / 'list.txt').write_text('a.mp4 0\n')
    found = Inferencer(kinetics, Trained.read(checkpoint))(tmp_path / 'a.mp4')
    assert tuple(found.scores) == CLASSES and sum(found.scores.values()) == pytest.approx(1, abs=1e-5)
    best = max(found.scores, key=found.scores.get)
    assert found.best(2)[0] == (best, found.scores[best]) and found.best(2)[1][1] <= found.scores[best]
    shown = found.shown()
    assert (shown.name, shown.predicted, shown.true) == ('a.mp4', best, None) and shown.frames.shape == (4, 40, 40, 3)
    config = kinetics.copy()
    config.test_dataloader.update(num_workers=0)
    config.test_dataloader.dataset.update(data_root=str(tmp_path), ann_file='list.txt', data_prefix=dict(video=''),
                                          num_classes=6)
    config.merge_from_dict(dict(work_dir=str(tmp_path / 'w'), load_from=checkpoint))
    runner = Runner.from_cfg(config)
    runner.load_or_resume()
    runner.model.eval()
    with torch.no_grad():
        sample = runner.model.test_step(next(iter(runner.test_dataloader)))[0]
    assert sample.pred_score.tolist() == pytest.approx(list(found.scores.values()), abs=1e-6)


def test_classes_without_names_are_numbers(kinetics: Config, tmp_path: Path) -> None:
    found = Inferencer(kinetics, Trained.read(save(kinetics, tmp_path / 'a.pth')))(write(tmp_path / 'a.mp4'))
    assert list(found.scores) == ['0', '1', '2', '3', '4', '5']


def test_mistakes(kinetics: Config, checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='none.mp4'):
        Inferencer(kinetics, Trained.read(checkpoint))(tmp_path / 'none.mp4')
    with pytest.raises(UserError, match='tensors of Recognizer3D fit'):
        Inferencer(load_config(ROOT / 'configs' / 'demo' / 'iresnet3d18_motion.py'), Trained.read(checkpoint))
    name = 'iresnet3d50_kinetics400_frames.py'
    with pytest.raises(UserError, match=f'{name}: no DecordInit or mmext.OpenVideo'):
        Inferencer(load_config(ROOT / 'configs' / name), Trained.read(checkpoint))
    name = 'ssd300_iresnet50_coco.py'
    with pytest.raises(UserError, match=f'{name}: its model is SingleStageDetector, not a recognizer; use another'):
        require_task(load_config(ROOT / 'configs' / name), 'recognizer', 'use another')
    content = torch.load(checkpoint)
    content['state_dict']['cls_head.fc_cls.weight'][2] = 3e38
    torch.save(content, tmp_path / 'large.pth')
    with pytest.raises(UserError, match='a.mp4: its scores are not finite'):
        Inferencer(kinetics, Trained.read(str(tmp_path / 'large.pth')))(write(tmp_path / 'a.mp4'))
    content['state_dict']['cls_head.fc_cls.bias'][2] = np.nan
    torch.save(content, tmp_path / 'nan.pth')
    with pytest.raises(UserError, match='nan.pth: state_dict.cls_head.fc_cls.bias holds a number that is not finite'):
        Inferencer(kinetics, Trained.read(str(tmp_path / 'nan.pth')))


def test_real_clips_through_the_test_pipeline(kinetics: Config, checkpoint: str, real_clips: list[Path]) -> None:
    config = kinetics.copy()
    set_views(config, '10x3')
    recognize = Inferencer(config, Trained.read(checkpoint))
    found = [recognize(path) for path in real_clips]
    assert len(found) == 5 and all(np.isfinite(list(one.scores.values())).all() for one in found)
    assert len({tuple(one.scores.values()) for one in found}) == 5, 'each has scores of its own'


def test_real_clips_through_the_training_pipeline(kinetics: Config, real_clips: list[Path], tmp_path: Path) -> None:
    """Two processes load them twice each, and a step on them is finite."""
    (tmp_path / 'list.txt').write_text(''.join(f'{path.name} {i}\n' for i, path in enumerate(real_clips)))
    init_default_scope('mmaction')
    data = dict(kinetics.train_dataloader.dataset, ann_file=str(tmp_path / 'list.txt'), data_root='', num_classes=6,
                data_prefix=dict(video=str(real_clips[0].parent)))
    loader = Runner.build_dataloader(dict(kinetics.train_dataloader, dataset=data, num_workers=2, batch_size=5), seed=0)
    model = MODELS.build(kinetics.model).train()
    seen = []
    for _ in range(2):
        batch = next(iter(loader))
        assert sorted(int(sample.gt_label) for sample in batch['data_samples']) == [0, 1, 2, 3, 4]
        assert all(clip.shape == (1, 3, 4, 32, 32) and clip.float().std() > 5 for clip in batch['inputs'])
        inputs = model.data_preprocessor(batch, training=True)
        loss = model(**inputs, mode='loss')['loss_cls']
        loss.backward()
        assert loss.isfinite()
        seen.append(inputs['inputs'])
    assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())
    assert not torch.equal(*seen), 'another place of the video each time'


def test_mmaction2_s_own_entry_points(kinetics: Config, checkpoint: str, tmp_path: Path) -> None:
    """``inference_recognizer`` and ``ActionRecogInferencer`` take the config and give the scores that ours gives."""
    from mmaction.apis import ActionRecogInferencer, inference_recognizer, init_recognizer

    video = write(tmp_path / 'a.mp4')
    ours = Inferencer(kinetics, Trained.read(checkpoint))(video).scores
    kinetics.dump(tmp_path / 'kept.py')
    (tmp_path / 'labels.txt').write_text('\n'.join(CLASSES))
    model = init_recognizer(str(tmp_path / 'kept.py'), checkpoint, device='cpu')
    found = inference_recognizer(model, str(video)).pred_score.tolist()
    assert found == pytest.approx(list(ours.values()), abs=5e-3)  # decord's colours differ by rounding
    infer = ActionRecogInferencer(str(tmp_path / 'kept.py'), checkpoint, device='cpu',
                                  label_file=str(tmp_path / 'labels.txt'))
    assert infer(str(video))['predictions'][0]['pred_scores'] == pytest.approx(list(ours.values()), abs=5e-3)


@pytest.mark.parametrize('at_once', [1, 7, 29, 30])
def test_views_in_parts_have_the_same_scores(kinetics: Config, checkpoint: str, tmp_path: Path, at_once: int) -> None:
    config, whole = copy.deepcopy(kinetics), copy.deepcopy(kinetics)
    for given in (config, whole):
        set_views(given, '10x3')
    limit_views(config, at_once)
    assert (config.model.get('test_cfg') or {}).get('max_testing_views') == (at_once if at_once < 30 else None)
    seen = []
    recognize = Inferencer(config, Trained.read(checkpoint))
    recognize.model.backbone.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    video = write(tmp_path / 'a.mp4')
    found = recognize(video).scores
    assert max(seen) == at_once and sum(seen) == 30
    assert found == pytest.approx(Inferencer(whole, Trained.read(checkpoint))(video).scores, abs=1e-6)


def test_fewer_views_stay_together(kinetics: Config) -> None:
    config = copy.deepcopy(kinetics)
    set_views(config, '3x3')
    config.test_dataloader.batch_size = 4
    limit_views(config, 9)
    assert config.test_dataloader.batch_size == 4 and not config.model.get('test_cfg')
    limit_views(config, 8)
    assert config.test_dataloader.batch_size == 1 and config.model.test_cfg == dict(max_testing_views=8)
    with pytest.raises(UserError, match='--views-at-once 0: need 1 or more'):
        limit_views(config, 0)
