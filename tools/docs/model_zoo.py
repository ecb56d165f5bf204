"""The model zoo: every config with its cost and its paper's figures.

``pages`` makes all of it from the configs: ``docs/model_zoo.md`` for readers, ``model-index.yml`` and
``configs/metafile.yml`` for OpenMIM.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from mmext.analysis import complexity, published, subjects
from mmext.backbones.names import PAPERS, catalogue, name_of
from mmext.detection.report.papers import paper_row
from mmext.engine.config import load_config
from mmext.files import write_text
from mmext.text import markdown_row

INDEX, META, PAGE = 'model-index.yml', 'configs/metafile.yml', 'docs/model_zoo.md'
TASKS = {'detection': 'Object Detection', 'recognition': 'Action Recognition', 'classification': 'Image Classification'}
DATA = {'coco': 'COCO', 'kinetics400': 'Kinetics-400', 'sthv2': 'Something-Something-v2', 'cifar10': 'CIFAR-10',
        'cifar100': 'CIFAR-100', 'imagenet': 'ImageNet-1k', 'caltech101': 'Caltech-101', 'mnist': 'MNIST',
        'fashionmnist': 'FashionMNIST', 'svhn': 'SVHN', 'motion': 'generated clips of six motions'}
USUAL_INPUT = (3, 800, 1333)  # an image with sides of 3:5, resized as mmdet's recipes resize images
MADE = 'made by tools/docs/make.py; to change it, change the configs and run that'
INTRODUCTION = f'''# Model zoo

<!-- {MADE} -->

This page lists every config with the parameters and multiply-accumulates (MACs) of its model on one input, and the
figures that its paper prints: AP on COCO for detectors, parameters and FLOPs (as the paper counts them) for the others.
Nobody has trained these configs in full with mmext yet, so there are no weights to download and no metrics of ours.
[results.md](results.md) shows short trials.

To train and test a config:

```
tools/train.py CONFIG
tools/test.py CONFIG work_dirs/NAME/epoch_N.pth
```

A config of your own can build on one of them with `_base_ = 'mmext::PATH'`, where PATH is its path below `configs/`.
'''


@dataclass(frozen=True)
class Entry:
    """A config, what its model costs on one input, and what its paper prints about it.

    Attributes:
        path: of the config, below the root of the checkout.
        task: a key of ``TASKS``.
        data: a value of ``DATA``.
        network: the name of the backbone; None where its options have no name.
        input: the shape of one input, without the batch.
        params: parameters of the model.
        macs: multiply-accumulate operations on one input.
        printed: what the paper prints; '' where it prints nothing about this config.
    """

    path: str
    task: str
    data: str
    network: str | None
    input: tuple[int, ...]
    params: int
    macs: int
    printed: str

    @property
    def name(self) -> str:
        """The file name without its suffix."""
        return Path(self.path).stem


def entries(root: Path) -> list[Entry]:
    """Every config below ``configs/`` but the bases, by task and path."""
    found = [entry(root, path) for path in sorted((root / 'configs').rglob('*.py')) if '_base_' not in path.parts]
    return sorted(found, key=lambda entry: (list(TASKS).index(entry.task), entry.path))


def entry(root: Path, path: Path) -> Entry:
    """Builds a config's model on the meta device and counts it."""
    config = load_config(path)
    network = network_of(config.model.backbone)
    subject = subjects.of_config(config, str(path), otherwise=USUAL_INPUT)
    counted = complexity.count(subject.model, subject.shape, forward=subject.forward)
    return Entry(str(path.relative_to(root)), task_of(config), data_of(path.stem), network, subject.shape,
                 counted.params, counted.macs, printed(config, network, subject))


def task_of(config: dict) -> str:
    """A key of ``TASKS``."""
    return {'mmdet': 'detection', 'mmaction': 'recognition'}.get(config.get('default_scope'), 'classification')


def data_of(name: str) -> str:
    """The data set that the name of a config names."""
    return DATA[next(part for part in reversed(name.split('_')) if part in DATA)]


def network_of(backbone: dict) -> str | None:
    """The name of a config's backbone, of one for clips the name of its form for images; None where it has none."""
    return name_of(dict(backbone, type=backbone['type'].removesuffix('3d')))


def printed(config: dict, network: str | None, subject: subjects.Subject) -> str:
    """What the paper of the config's network prints for it: AP of detectors, parameters and FLOPs of the others."""
    if task_of(config) == 'detection':
        row = paper_row(config.model)
        return f'AP {100 * row["metrics"]["AP"]:.1f}' if row else ''
    classes = getattr(getattr(subject.model, 'fc', None), 'out_features', None) or subject.model.cls_head.num_classes
    backbone = subject.model.backbone
    for row in published.classifier_rows(network, classes, subject.shape[-1 - backbone.dims:], backbone.stem):
        return f'{row["params_M"]} M' + (f', {row["gflops"]} G FLOPs' if row['gflops'] is not None else '')
    return ''


def pages(root: Path) -> dict[str, str]:
    """The text of each file as it should be, by the path below ``root``."""
    found = entries(root)
    meta = dict(Collections=[collection(paper) for paper in PAPERS], Models=[model(entry) for entry in found])
    return {INDEX: f'# {MADE}\n' + yaml.safe_dump(dict(Import=[META])),
            META: f'# {MADE}\n' + yaml.safe_dump(meta, sort_keys=False, width=120),
            PAGE: ''.join(f'{line}\n' for line in page(found))}


def make(root: Path) -> Iterator[Path]:
    """Writes the files that are out of date, and yields each when it is written."""
    made = pages(root)
    for path in stale(root, made):
        write_text(root / path, made[path])
        yield root / path


def stale(root: Path, made: dict[str, str] | None = None) -> list[str]:
    """The paths below ``root`` of the files that are missing, or are not what ``pages`` makes (``made``, if given)."""
    made = made or pages(root)
    return [path for path, text in made.items()
            if not (root / path).is_file() or (root / path).read_text(encoding='utf-8') != text]


def collection(paper: str) -> dict:
    """A paper, in the form of OpenMMLab's metafiles."""
    return dict(Name=paper, Paper=dict(Title=PAPERS[paper]), README=PAGE)


def model(entry: Entry) -> dict:
    """A config, in the form of OpenMMLab's metafiles; its figures are counted, none is of a training."""
    paper = catalogue()[entry.network][0].paper if entry.network else None
    return {'Name': entry.name, **({'In Collection': paper} if paper else {}), 'Config': entry.path,
            'Metadata': {'Parameters': entry.params, 'MACs': entry.macs, 'Input': list(entry.input)},
            'Results': [dict(Task=TASKS[entry.task], Dataset=entry.data, Metrics=None)]}


def page(found: list[Entry]) -> Iterator[str]:
    """The lines of the page."""
    yield from INTRODUCTION.splitlines()
    for task, title in TASKS.items():
        yield from ('', f'## {title}', '', '| config | data | network | input | params, M | MACs, G | printed |',
                    '|---|---|---|---|---|---|---|')
        for entry in found:
            if entry.task == task:
                yield row(entry)


def row(entry: Entry) -> str:
    """A config's line of the page's table."""
    cells = (f'[`{entry.name}`](../{entry.path})', entry.data, f'`{entry.network}`' if entry.network else '',
             ' x '.join(map(str, entry.input)), f'{entry.params / 1e6:.2f}', f'{entry.macs / 1e9:.2f}', entry.printed)
    return markdown_row(cells)
