"""tools/test.py as an evaluation: tables, files of metrics, and files of detections in place of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import DefaultScope

from mmext.detection.task import BOXES
from mmext.detection.task import TASK as DETECTION
from mmext.engine import metric_tables
from mmext.engine.config import load_config
from mmext.engine.flags.testing import apply_test_flags
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT, error_line
from tests.detection.made_up import annotations, detections, pycocotools_evaluation, written
from tests.tools.helpers import here, succeeded

NAMES = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl']
RETINANET = 'configs/retinanet_iresnet50_fpn_coco.py'
CLASSIFIER = 'configs/classification/rir_cifar10.py'
CONTENT = annotations(2)
FOUND = detections(CONTENT, 3)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations without images: nothing looks at them where there is no model."""
    root = tmp_path_factory.mktemp('data')
    (root / 'annotations').mkdir()
    for split in ('train2017', 'val2017'):
        written(CONTENT, root / 'annotations' / f'instances_{split}.json')
    written(FOUND, root / 'found.json')
    return root


@pytest.fixture
def evaluate(data: Path):
    common = ('--data-root', data, '--classes', 'auto')
    return lambda *flags, config=CONFIG: here('test.py', ROOT / config, *common, *flags)


@pytest.mark.parametrize('config', [CONFIG, RETINANET])
@pytest.mark.parametrize('flags', [(), ('--reference', )])
def test_a_file_of_detections(evaluate, data: Path, tmp_path: Path, config: str, flags: tuple):
    out = tmp_path / 'new' / 'metrics.json'
    printed = succeeded(evaluate('--detections', data / 'found.json', '--per-class', '--out', out, *flags,
                                 config=config))
    metrics = json.loads(out.read_text())
    expected = list(pycocotools_evaluation(CONTENT, FOUND).stats)
    assert [metrics[name] for name in NAMES] == (expected if flags else pytest.approx(expected, abs=1e-12))
    assert set(metrics['per_class']) == {category['name'] for category in CONTENT['categories']}
    assert all(f'{100 * value:.2f}' in printed for value in expected), 'in percent, on the screen'
    assert not (ROOT / 'work_dirs' / Path(config).stem / 'detections.json').exists()


def test_tables_for_a_paper(evaluate, data: Path, tmp_path: Path):
    table, figures, second = tmp_path / 'table.md', tmp_path / 'a.json', tmp_path / 'b.json'
    succeeded(evaluate('--detections', data / 'found.json', '--per-class', '--out', table, figures, '--out', second))
    assert second.read_bytes() == figures.read_bytes()
    metrics = json.loads(figures.read_text())
    lines = table.read_text().splitlines()
    assert lines[2] == ('| AP | AP<sub>50</sub> | AP<sub>75</sub> | AP<sub>S</sub> | AP<sub>M</sub> | AP<sub>L</sub> | '
                        'AR<sub>1</sub> | AR<sub>10</sub> | AR<sub>100</sub> | AR<sub>S</sub> | AR<sub>M</sub> | '
                        'AR<sub>L</sub> |')
    assert lines[4] == f'| {" | ".join(f"{100 * metrics[name]:.2f}" for name in NAMES)} |'
    assert lines[6] == '| class | images | objects | AP | AP<sub>50</sub> | AP<sub>75</sub> |'
    empty = next(name for name, row in metrics['per_class'].items() if not row['objects'])
    assert f'| {empty} | 0 | 0 | - | - | - |' in lines
    assert len(lines) == 8 + len(CONTENT['categories'])


def test_a_page_of_the_same_figures(evaluate, data: Path, tmp_path: Path):
    """With the curves of the training whose log lies beside the detections, and without."""
    run = tmp_path / 'run'
    log = run / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(''.join(json.dumps(dict(loss=9.0 - i, lr=0.1, iter=i + 1, epoch=1, step=i + 1)) + '\n'
                           for i in range(4)))
    pages = []
    for found in (written(FOUND, run / 'found.json'), data / 'found.json'):
        printed = succeeded(evaluate('--detections', found, '--report', tmp_path / 'page'))
        assert f'report: {tmp_path / "page" / "index.html"}' in printed
        pages.append((tmp_path / 'page' / 'index.html').read_text())
    average = pycocotools_evaluation(CONTENT, FOUND).stats[0]
    assert all(f'{100 * average:.2f}' in page and 'ssd300_iresnet50_coco' in page for page in pages)
    assert [page.count('<svg') for page in pages][0] > [page.count('<svg') for page in pages][1]


def test_tables_of_other_tasks(tmp_path: Path):
    from mmext.video.metric import ActionAccuracy

    overall = dict(top1=0.5, top5=1.0, error1=0.5, mean_class=-1.0)
    classes = {'a|b': dict(top1=0.25, images=4)}
    metric_tables.write(str(tmp_path / 'x.md'), overall, classes, 'title', ActionAccuracy.paper_names)
    assert (tmp_path / 'x.md').read_text() == (
        'title\n\n| top-1 | top-5 | top-1 error | mean class |\n| ---: | ---: | ---: | ---: |\n'
        '| 50.00 | 100.00 | 50.00 | - |\n\n| class | images | top-1 |\n| :--- | ---: | ---: |\n| a\\|b | 4 | 25.00 |\n')
    metric_tables.write(str(tmp_path / 'x.json'), overall, {}, 'title')
    assert json.loads((tmp_path / 'x.json').read_text()) == overall


def test_a_test_keeps_its_detections(shapes: Path, tmp_path: Path):
    """An untrained network: it detects, if badly, and its file gives the very same figures."""
    torch.manual_seed(0)
    network = ('--backbone', 'iresnet18', '--data-root', shapes, '--classes', 'auto', '--per-class')
    config = load_config(ROOT / CONFIG, data_root=str(shapes), classes='auto', backbone='iresnet18')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    run = tmp_path / 'run'
    options = ('--work-dir', run, '--cfg-options', 'test_dataloader.num_workers=0', 'model.test_cfg.nms_pre=20')
    succeeded(here('test.py', ROOT / CONFIG, tmp_path / 'model.pth', *network, '--out', tmp_path / '1.json', *options))
    found = json.loads((run / 'detections.json').read_text())
    assert {entry['image_id'] for entry in found} == {1, 2} and len(found) > 100
    succeeded(here('test.py', ROOT / CONFIG, *network, '--detections', run / 'detections.json', '--out',
                   tmp_path / '2.json'))
    assert (tmp_path / '1.json').read_bytes() == (tmp_path / '2.json').read_bytes()
    # The config that the test left behind, and another place.
    kept = tmp_path / 'mine' / 'd.json'
    (run / 'detections.json').unlink()
    succeeded(here('test.py', run / Path(CONFIG).name, tmp_path / 'model.pth', '--save-detections', kept, *options))
    assert json.loads(kept.read_text()) == found and not (run / 'detections.json').exists()


@pytest.mark.parametrize('flags, says', [
    ((), 'give a checkpoint or --detections FILE to evaluate'),
    (('model.pth', '--detections', 'found.json'), 'either a checkpoint or --detections FILE, not both'),
    (('--detections', 'found.json', '--show-dir', 'x'), '--show-dir: needs a checkpoint'),
    (('--detections', 'found.json', '--save-detections', 'x'), '--save-detections: needs a checkpoint'),
    (('--detections', 'found.json', '--skip-unreadable'), '--skip-unreadable: needs a checkpoint'),
    (('--detections', 'found.json', '--launcher', 'pytorch'), '--launcher: a file'),
    (('--detections', 'none.json'), 'none.json: no such file of detections'),
    (('model.pth', '--out', 'a.json', 'b.txt'), 'b.txt: --out writes .json and .md'),
    (('model.pth', '--out', 'a'), 'a: --out writes .json and .md'),
])
def test_what_is_no_evaluation(evaluate, tmp_path: Path, monkeypatch, flags: tuple, says: str):
    monkeypatch.chdir(tmp_path)
    assert says in error_line(evaluate(*flags))
    assert not list(tmp_path.rglob('*.*')), 'before anything is written'


def test_a_malformed_entry_is_named(evaluate, tmp_path: Path):
    path = written([*FOUND[:3], dict(FOUND[3], image_id=1)], tmp_path / 'found.json')
    assert error_line(evaluate('--detections', path)).startswith(f'error: {path}: entry 3: image_id 1 is not an image ')


def test_classes_of_another_data_set(data: Path):
    line = error_line(here('test.py', ROOT / CONFIG, '--data-root', data, '--detections', data / 'found.json'))
    assert 'are not the 80 classes of the config' in line and '--classes auto' in line


def test_options_may_stand_before_the_checkpoint(data: Path):
    line = error_line(here('test.py', ROOT / CONFIG, '--data-root', data, '--classes', 'auto', data / 'found.json',
                           '--detections', data / 'found.json'))
    assert 'not both' in line, 'the argument after the options is seen'


def test_what_only_detectors_have(tmp_path: Path):
    line = error_line(here('test.py', ROOT / CLASSIFIER, 'x.pth', '--reference', '--work-dir', tmp_path))
    assert '--reference: it is for detections of boxes' in line and 'mmext.Accuracy' in line


@pytest.mark.parametrize('option, flags', [
    ('--scores', ('--scores', 'x')), ('--save-scores', ('x.pth', '--save-scores', 'x')),
    ('--report', ('x.pth', '--report', 'page'))])
def test_what_needs_the_scores_of_our_metric(tmp_path: Path, option: str, flags: tuple):
    (tmp_path / 'c.py').write_text(f"_base_ = '{ROOT / CLASSIFIER}'\n"
                                   "test_evaluator = dict(_delete_=True, type='DumpResults', out_file_path='x.pkl')\n")
    line = error_line(here('test.py', tmp_path / 'c.py', *flags, '--work-dir', tmp_path))
    assert f'{option}: it needs the scores that mmext.Accuracy collects' in line and 'DumpResults' in line



def test_metrics_of_masks_stay_mmdets():
    config = load_config(ROOT / RETINANET, options={'test_evaluator.metric': ['bbox', 'segm']})
    apply_test_flags(config)
    assert config.test_evaluator.type == 'CocoMetric'
    for flag in (dict(per_class=True), dict(reference=True), dict(show_dir='x')):
        with pytest.raises(UserError, match=f'--{next(iter(flag)).replace("_", "-")}: '):
            apply_test_flags(config, **flag)


def test_of_several_metrics_the_flags_are_for_ours():
    config = load_config(ROOT / RETINANET)
    coco = dict(config.test_evaluator, classwise=True)
    config.test_evaluator = [dict(type='DumpResults', out_file_path='x.pkl'), coco]
    apply_test_flags(config, reference=True)
    metric = config.test_evaluator[1]
    assert metric is DETECTION.metric_of(config) and metric.type == BOXES and metric.reference and metric.per_class
    assert metric.ann_file == 'data/coco/annotations/instances_val2017.json'
