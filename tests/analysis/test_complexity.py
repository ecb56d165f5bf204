"""Every published figure of the papers, to the printed digit, from the model that is really built."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from torch import nn

from mmext.analysis import complexity, published, subjects
from mmext.analysis.complexity import Complexity
from mmext.analysis.subjects import Subject
from tests.backbones.helpers import user_error
from tests.conftest import ROOT, Tool, error_line
from tests.tools.helpers import here, succeeded

ROWS = [row for row in published.rows() if row['task'] in ('classifier', 'ssd300', 'recognizer3d')]
CIFAR = [row for row in ROWS if row['flops'] == 'iresnet-cifar']
OTHERS = [row for row in ROWS if row['flops'] != 'iresnet-cifar']
# The baseline's GFLOPs, copied down the column (papers.md, section 1).
MISPRINTED = {f'{family}{depth}': true for family in ('resstage', 'preact_resnet')
              for depth, true in ((101, '7.87'), (152, '11.61'), (200, '15.15'))}
# Parameters are printed with two decimals; these with one or three.
DECIMALS = {'iresnet404': 1, 'cresnet27_b': 3, 'cresnet27_b1': 3,
            **dict.fromkeys(('rir_cnn18_wide', 'rir_resnet18_wide', 'rir_init18_wide', 'rir18_wide'), 1)}
# The recursion paper cut four numbers off where it rounded the others (section 6).
TRUNCATED = {('recursive', name) for name in ('resnet50', 'seresnet18_recursive', 'resnext29_2x64d_recursive',
                                              'res2next29_6c24w4s_recursive')}
# The figure of 10 classes, copied to 100 (section 7).
TRUE_PARAMS = {(name, 100): 0.47 for name in ('rir_cnn32', 'rir_init32')}


def row_id(row: dict) -> str:
    paper = '' if row['paper'] == 'iresnet' else f'{row["paper"]}-'
    return f'{paper}{row["task"]}-{row["name"]}-{row["num_classes"]}'


def subject_of(row: dict) -> Subject:
    if row['task'] == 'ssd300':
        return subjects.from_config(ROOT / 'configs' / f'ssd300_{row["name"]}_coco.py')
    return subjects.classifier(row['name'], row['num_classes'], row['input'], row['stem'])


def assert_as_printed(counted: Complexity, row: dict) -> None:
    decimals = DECIMALS.get(row['name'], 2)
    params = counted.params / 1e6
    if (row['paper'], row['name']) in TRUNCATED:
        params = math.floor(100 * params) / 100
    printed = TRUE_PARAMS.get((row['name'], row['num_classes']), row['params_M'])
    assert f'{params:.{decimals}f}' == f'{printed:.{decimals}f}'

    digits = '.2g' if row['paper'] == 'recursive' else '.2f'  # two significant digits, or two decimals
    if row['gflops'] is not None:
        assert f'{counted.flops / 1e9:{digits}}' == MISPRINTED.get(row['name'], f'{row["gflops"]:{digits}}')


@pytest.mark.parametrize('row', OTHERS, ids=row_id)
def test_published_figures(row: dict) -> None:
    subject = subject_of(row)
    assert list(subject.shape) == row['input']
    convention = row['flops'] or 'macs'
    assert_as_printed(complexity.count(subject.model, subject.shape, convention, subject.forward), row)


@pytest.mark.parametrize('name', dict.fromkeys(row['name'] for row in CIFAR))
def test_published_figures_for_cifar(name: str) -> None:
    """The deepest take seconds to count: that is done with 10 classes, and for 100 the linear layer is exchanged."""
    ten, hundred = (row for row in CIFAR if row['name'] == name)
    assert (ten['num_classes'], hundred['num_classes']) == (10, 100)
    subject = subjects.classifier(name, 10)
    assert list(subject.shape) == ten['input'] == hundred['input']
    counted = complexity.count(subject.model, subject.shape, 'iresnet-cifar')
    assert_as_printed(counted, ten)

    small, large = (complexity.count(nn.Linear(256, classes, device='meta'), (256, ), 'iresnet-cifar')
                    for classes in (10, 100))
    assert_as_printed(Complexity(counted.params + large.params - small.params, 0,
                                 counted.flops + large.flops - small.flops), hundred)


def test_the_table_is_whole() -> None:
    """iResNet: 35 classifiers of Tables I to VII, 16 for CIFAR, 8 detectors, 4 video networks; six of them misprinted.

    C-ResNet: 13 classifiers, five of them without FLOPs. Recursion: 24, four cut off. RiR: 16 without FLOPs, two wrong.
    """
    assert len(CIFAR) == 16
    counts = Counter((row['paper'], row['task']) for row in OTHERS)
    assert counts == {('iresnet', 'classifier'): 35, ('iresnet', 'ssd300'): 8, ('iresnet', 'recognizer3d'): 4,
                      ('cresnet', 'classifier'): 13, ('recursive', 'classifier'): 24, ('rir', 'classifier'): 16}
    without = Counter(row['paper'] for row in OTHERS if row['gflops'] is None)
    assert without == {'cresnet': 5, 'rir': 16}
    assert {row['paper'] for row in OTHERS if row['flops'] is None} == {'rir'}

    misprints = [row for row in ROWS if row['name'] in MISPRINTED]
    assert len(misprints) == 6
    assert all(f'{row["gflops"]:.2f}' != MISPRINTED[row['name']] for row in misprints)


@pytest.mark.parametrize(('depth', 'printed'), [(110, '1.7'), (164, '1.7'), (1001, '10.2')])
def test_preactivation_networks_for_cifar(depth: int, printed: str) -> None:
    """Parameters in millions, as He et al. (arXiv 1603.05027) print them and others quote them: without the norms.

    With them, the network of 1001 layers has 10.33, which the iResNet paper prints for its own of the same shape.
    """
    model = subjects.classifier(f'preact_resnet{depth}_cifar', 10).model
    norms = sum(p.numel() for module in model.modules() if isinstance(module, nn.BatchNorm2d)
                for p in module.parameters())
    params = sum(parameter.numel() for parameter in model.parameters())
    assert f'{(params - norms) / 1e6:.1f}' == printed
    if depth == 1001:
        assert f'{params / 1e6:.2f}' == '10.33'


def test_the_average_pool_counts_as_in_2019() -> None:
    """thop's rule for ``AvgPool2d(2)``: the kernel as it was given, 2, and a division for each output."""
    pooled, plain = (complexity.count(subject.model, subject.shape, 'iresnet') for subject in
                     (subjects.classifier(name) for name in ('resnet50_avgdown', 'resnet50')))
    outputs = 256 * 28**2 + 512 * 14**2 + 1024 * 7**2
    assert (pooled.params, pooled.macs, pooled.flops) == (plain.params, plain.macs, plain.flops + 3 * outputs)


def test_the_exceptions_are_needed() -> None:
    """Four figures are not what rounding gives, and two are not what truncation gives either."""
    rounded = {}
    for row in OTHERS:
        if (row['paper'], row['name']) in TRUNCATED or (row['name'], row['num_classes']) in TRUE_PARAMS:
            params = sum(parameter.numel() for parameter in subject_of(row).model.parameters()) / 1e6
            rounded[row['name']] = (f'{params:.2f}', f'{row["params_M"]:.2f}')
    assert rounded == {'resnet50': ('23.71', '23.70'), 'seresnet18_recursive': ('11.49', '11.48'),
                       'resnext29_2x64d_recursive': ('9.90', '9.89'),
                       'res2next29_6c24w4s_recursive': ('34.62', '34.61'),
                       'rir_cnn32': ('0.47', '0.46'), 'rir_init32': ('0.47', '0.46')}


def test_the_tool_prints_json_for_a_network(tool: Tool) -> None:
    done = tool('complexity.py', '--backbone', 'iresnet18', '--num-classes', 10, '--input', 3, 64, 64, '--json')
    assert done.returncode == 0, done.stderr[-2000:]
    counted = json.loads(done.stdout)
    assert list(counted) == ['params', 'macs', 'flops']
    subject = subjects.classifier('iresnet18', 10, (3, 64, 64))
    assert counted == complexity.count(subject.model, subject.shape).as_dict()
    assert counted['flops'] == counted['macs'] > 0


def test_the_tool_prints_json_for_a_config(tool: Tool) -> None:
    done = tool('complexity.py', 'configs/ssd300_iresnet50_coco.py', '--convention', 'iresnet', '--json')
    assert done.returncode == 0, done.stderr[-2000:]
    counted = json.loads(done.stdout)
    assert list(counted) == ['params', 'macs', 'flops']
    assert (f'{counted["params"] / 1e6:.2f}', f'{counted["flops"] / 1e9:.2f}') == ('22.89', '20.99')


def test_the_tool_compares_networks(tmp_path: Path) -> None:
    """As C-ResNet's Table 4 and its figure: a row and bars for each, as its paper counts."""
    common = ['--backbone', 'resnet18', 'cresnet15_a1', '--stem', 'conv3x3_twice', '--num-classes', 100, '--convention',
              'cresnet']
    printed = succeeded(here('complexity.py', *common, '--bars', tmp_path / 'cost.svg', '--error',
                             'resnet18=21.42+-.19', 'cresnet15_a1=21.49'))
    rows = [[cell.strip() for cell in line.split('│')[1:-1]] for line in printed.splitlines() if '│' in line]
    assert rows == [['resnet18', '3 x 32 x 32', '11.2571', '0.5932', '0.5946'],
                    ['cresnet15_a1', '3 x 32 x 32', '8.4658', '0.4548', '0.4559']]
    assert f'bars: {tmp_path / "cost.svg"}' in printed and (tmp_path / 'cost.svg').read_text().startswith('<?xml')
    found = json.loads(succeeded(here('complexity.py', *common, '--json')))
    assert found['resnet18']['params'] == 11_257_124 and list(found) == ['resnet18', 'cresnet15_a1']
    for arguments, told in ((['--error', 'resnet18=1', 'cresnet15_a1=2'], '--error: is drawn by --bars FILE'),
                            (['--bars', 'a.jpg'], '--bars a.jpg: need a file name'),
                            (['--bars', tmp_path / 'a.png', '--accuracy', 'resnet18=1'], '--accuracy: none for')):
        assert told in error_line(here('complexity.py', *common, *arguments))
    misplaced = here('complexity.py', '--backbone', 'resnet18', 'configs/ssd300_iresnet50_coco.py')
    assert 'this is a config; put it before --backbone' in error_line(misplaced)


def test_the_tool_refuses_a_wrong_name_in_one_line(tool: Tool) -> None:
    done = tool('complexity.py', '--backbone', 'iresnet51', '--json')
    line = error_line(done)
    assert done.stderr.splitlines() == [line]
    assert done.stdout == ''
    assert "no backbone 'iresnet51'" in line
    assert "'iresnet50'" in line


@pytest.mark.parametrize(('name', 'stem', 'shape'), [('resnet18', None, (3, 224, 224)),
                                                     ('resnet18', 'conv3x3', (3, 32, 32)),
                                                     ('resnet164_cifar', None, (3, 32, 32))])
def test_the_stem_says_the_usual_input(name: str, stem: str | None, shape: tuple) -> None:
    assert subjects.classifier(name, stem=stem).shape == shape


@pytest.mark.parametrize('name', ['iresnet3d50', 'rir3d18_wide', 'resnet3d50_recursive', 'iresgroupfix3d101'])
def test_a_name_for_clips(name: str) -> None:
    subject = subjects.classifier(name)
    assert subject.shape == (3, 16, 224, 224) and subject.model.backbone.stem == 'conv7x7'
    assert subject.model.backbone.dims == 3 and subject.model.fc.out_features == 400
    assert complexity.count(subject.model, subject.shape).macs > 0
    with user_error(f'--input 3 224 224: need C T H W, {name} takes clips'):
        subjects.classifier(name, shape=(3, 224, 224))


@pytest.mark.parametrize('name', ['resnet3d50', 'iresnet3d50'])
@pytest.mark.parametrize('classes', [(), ('--num-classes', 174)])
def test_the_tool_prints_the_paper_s_row_of_a_network_for_clips(name: str, classes: tuple) -> None:
    printed = succeeded(here('complexity.py', '--backbone', name, *classes, '--convention', 'iresnet'))
    gflops = '93.93' if name == 'iresnet3d50' else '93.26'
    params = '46.54' if classes else '47.0'
    assert 'input 3 x 16 x 224 x 224' in printed
    assert f'iresnet paper, Table V: {params} M params, {gflops} G FLOPs' in printed
    assert f'{float(printed.split("FLOPs")[1].split()[0]):.2f}' == gflops


@pytest.mark.parametrize('shape', [(224, 224), (224, ), (1, 3, 16, 224, 224)])
def test_an_input_of_other_dimensions_is_refused(shape: tuple) -> None:
    with user_error('need C H W'):
        subjects.classifier('resnet18', shape=shape)


def test_a_config_without_a_size_is_refused(tmp_path: Path) -> None:
    config = tmp_path / 'plain.py'
    config.write_text("custom_imports = dict(imports=['mmext'])\n"
                      "model = dict(type='mmext.Classifier', num_classes=5, backbone=dict(type='mmext.RiR'))")
    with user_error(str(config), 'no fixed image size', 'give --input C H W'):
        subjects.from_config(config)
    assert subjects.from_config(config, shape=(3, 64, 64)).shape == (3, 64, 64)


def test_a_recognizer_takes_one_clip_or_more() -> None:
    config = ROOT / 'configs' / 'iresnet3d50_sthv2.py'
    shapes = (3, 8, 64, 64), (3, 3, 8, 64, 64)
    one, three = (subjects.from_config(config, 'iresnet18', shape=shape) for shape in shapes)
    counted = [complexity.count(subject.model, subject.shape, 'macs', subject.forward).macs for subject in (one, three)]
    assert one.shape == (1, 3, 8, 64, 64) and counted[1] == 3 * counted[0]


@pytest.mark.parametrize(('name', 'heads'), [('faster_rcnn_iresnet50_fpn', 1), ('cascade_rcnn_iresnet50_fpn', 3),
                                             ('faster_rcnn_cresnet18_a_c5', 1), ('retinanet_iresnet50_fpn', 0)])
def test_mmdet_s_detectors_are_counted(name: str, heads: int) -> None:
    """A second stage adds the same for each of its heads, whatever the image: two layers of 1024 on 1000 regions."""
    found = []
    for shape in ((3, 64, 64), (3, 128, 128)):
        subject = subjects.from_config(ROOT / 'configs' / f'{name}_coco.py', shape=shape)
        found.append(complexity.count(subject.model, subject.shape, forward=subject.forward).macs)
    per_head = (found[0] - found[1] / 4) / 0.75 / 1e9
    channels = 512 if 'c5' in name else 256
    assert per_head == pytest.approx(heads * (channels * 49 * 1024 + 1024**2) * 1000 / 1e9, rel=0.05, abs=0.01)


@pytest.mark.parametrize(('name', 'size'), [('cresnet27_a2', 32), ('rir32', 32), ('all_cnn_c', 32), ('iresnet50', 224),
                                            ('iresnet164_cifar', 32), ('resnext29_2x64d', 32)])
def test_a_network_is_counted_at_its_own_size(name: str, size: int) -> None:
    assert subjects.classifier(name).shape == (3, size, size)


def test_no_row_is_printed_with_none() -> None:
    lines = [published.line(row) for row in published.rows()]
    assert lines and not [line for line in lines if 'None' in line]
