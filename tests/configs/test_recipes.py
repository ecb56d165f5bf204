"""The classification recipes are what the papers print: network, data, augmentation, optimiser, schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import Tensor, nn

import mmext
from mmext.backbones.names import find_backbone
from mmext.classification import create_classifier
from mmext.engine.config import load_config
from mmext.engine.option_values import Text
from tests.classification.helpers import write_cifar10, write_cifar100, write_folders, write_mnist, write_svhn
from tests.configs.learning import take_step
from tests.conftest import ROOT

FOLDER = ROOT / 'configs' / 'classification'


def steps(first: float, *epochs: int) -> Callable[[int], float]:
    """The learning rate of an epoch, counted from 0: a tenth after each of these many epochs."""
    return lambda epoch: first * 0.1 ** sum(epoch >= number for number in epochs)


def write_caltech101(root: Path) -> None:
    write_folders(root / '101_ObjectCategories', {f'class {i:03}': 11 for i in range(101)}, size=(8, 9))


def write_imagenet(root: Path) -> None:
    for split in ('train', 'val'):
        write_folders(root / split, {'n01': 3, 'n02': 2}, '.JPEG', (60, 300))


@dataclass(frozen=True)
class Recipe:
    """What a paper says of its training (sections 1, 2 and 5 to 7 of the definitions), and its network's size."""

    network: str
    classes: int
    batch: int
    epochs: int
    weight_decay: float
    rate: Callable[[int], float]
    params: float
    write: Callable[[Path], object]
    size: int = 32


CRESNET = 'cresnet18_a', 10, 32, 500, 5e-4, steps(0.01, 150, 300, 450), 8.52e6
RECURSIVE = 128, 200, 5e-4, lambda epoch: 0.05 * (1 + math.cos(math.pi * epoch / 200))
IRESNET_CIFAR = 128, 164, 1e-4, steps(0.1, 82, 123)
RIR = 500, 82, 1e-4, steps(0.4, 42, 62)
RECIPES = {
    'iresnet_imagenet': Recipe('iresnet50', 1000, 256, 90, 1e-4, steps(0.1, 30, 60, 80), 25.56e6, write_imagenet, 224),
    'iresnet_cifar10': Recipe('iresnet164_cifar', 10, *IRESNET_CIFAR, 1.70e6, write_cifar10),
    'iresnet_cifar100': Recipe('iresnet164_cifar', 100, *IRESNET_CIFAR, 1.73e6, write_cifar100),
    'cresnet_mnist': Recipe(*CRESNET, write_mnist),
    'cresnet_fashionmnist': Recipe(*CRESNET, write_mnist),
    'cresnet_svhn': Recipe(*CRESNET, write_svhn),
    'cresnet_cifar10': Recipe(*CRESNET, write_cifar10),
    'cresnet_cifar100': Recipe('cresnet18_a', 100, *CRESNET[2:6], 8.56e6, write_cifar100),
    'cresnet_caltech101': Recipe('cresnet18_a', 101, *CRESNET[2:6], 8.56e6, write_caltech101),
    'recursive_cifar10': Recipe('resnet18_recursive', 10, *RECURSIVE, 11.35e6, write_cifar10),
    'recursive_cifar100': Recipe('resnet18_recursive', 100, *RECURSIVE, 11.39e6, write_cifar100),
    'recursive_imagenet': Recipe('resnet18_recursive', 1000, 256, 90, 5e-4, steps(0.1, 30, 60), 11.86e6,
                                 write_imagenet, 224),
    'rir_cifar10': Recipe('rir32', 10, *RIR, 0.49e6, write_cifar10),
    'rir_blocks_cifar10': Recipe('rir_15x6', 10, *RIR, 1.46e6, write_cifar10),
    'rir_cifar100': Recipe('rir18_wide', 100, *RIR, 10.34e6, write_cifar100),
}
every_recipe = pytest.mark.parametrize('name', RECIPES)


def loaded(name: str, **changes) -> Config:
    return load_config(FOLDER / f'{name}.py', **changes)


def test_there_are_these_recipes():
    assert sorted(path.stem for path in FOLDER.glob('*.py')) == sorted(RECIPES)


@every_recipe
def test_network(name: str):
    recipe = RECIPES[name]
    config = loaded(name)
    stem = 'conv7x7' if recipe.size == 224 else None
    cls, arguments = find_backbone(recipe.network)
    assert dict(config.model.backbone, stem=None) == dict(type=f'mmext.{cls.__name__}', stem=None, **arguments)
    with torch.device('meta'):
        model = MODELS.build(config.model)
        named = create_classifier(recipe.network, recipe.classes, stem=stem)
    assert model.backbone.stem == named.backbone.stem and repr(model.backbone) == repr(named.backbone)
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(recipe.params, abs=0.005e6)
    assert model(torch.empty(2, 3, recipe.size, recipe.size, device='meta')).shape == (2, recipe.classes)


@every_recipe
def test_a_step_and_a_prediction(name: str):
    torch.manual_seed(0)
    recipe = RECIPES[name]
    config = loaded(name)
    model = MODELS.build(config.model)
    images = torch.randint(0, 256, (4, 3, *[recipe.size // 4 if recipe.size == 224 else 32] * 2), dtype=torch.uint8)
    batch = dict(inputs=images, labels=torch.tensor([0, 1, 2, 3]))
    take_step(model, config, batch)
    with torch.no_grad():
        predicted = model.test_step(batch)
    assert [sample['gt_label'] for sample in predicted] == [0, 1, 2, 3]
    for sample in predicted:
        assert sample['pred_scores'].shape == (recipe.classes, )
        assert sample['pred_scores'].sum() == pytest.approx(1, abs=1e-5)


@every_recipe
def test_optimiser_and_the_rate_of_every_epoch(name: str):
    recipe = RECIPES[name]
    config = loaded(name)
    assert config.train_cfg.max_epochs == recipe.epochs
    processes = 8 if recipe.size == 224 else 1
    assert config.auto_scale_lr == dict(enable=False, base_batch_size=recipe.batch)
    assert config.train_dataloader.batch_size * processes == recipe.batch
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    assert type(wrapper.optimizer) is torch.optim.SGD
    group, = wrapper.optimizer.param_groups
    assert (group['momentum'], group['weight_decay'], group['nesterov']) == (0.9, recipe.weight_decay, False)
    schedulers = [PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper)) for scheduler in config.param_scheduler
                  if scheduler.by_epoch]
    warm_up = [scheduler for scheduler in config.param_scheduler if not scheduler.by_epoch]
    assert len(warm_up) == ('iresnet_cifar' in name)
    rates = []
    for _ in range(recipe.epochs):  # as mmengine's ParamSchedulerHook: a step after each epoch
        rates.append(group['lr'])
        wrapper.optimizer.step()
        for scheduler in schedulers:
            assert scheduler.by_epoch
            scheduler.step()
    assert rates == pytest.approx([recipe.rate(epoch) for epoch in range(recipe.epochs)], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize('name', ['iresnet_cifar10', 'iresnet_cifar100'])
@pytest.mark.parametrize('backbone', [None, 'resnet164_cifar'])
def test_cifar_s_warm_up_is_of_400_iterations(name: str, backbone: str | None):
    config = loaded(name, backbone=backbone)
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    schedulers = [PARAM_SCHEDULERS.build(dict(scheduler, optimizer=wrapper)) for scheduler in config.param_scheduler]
    rates = []
    for iteration in range(164 * 391):  # as mmengine's ParamSchedulerHook: after each batch, and after each epoch
        rates.append(wrapper.optimizer.param_groups[0]['lr'])
        wrapper.optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or (iteration + 1) % 391 == 0:
                scheduler.step()
    changes = [i for i in range(1, len(rates)) if rates[i] != pytest.approx(rates[i - 1])]
    assert changes == [400, 82 * 391, 123 * 391]
    assert [rates[i] for i in (0, 399, 400, 40000, -1)] == pytest.approx([0.01, 0.01, 0.1, 0.01, 0.001])


@pytest.mark.parametrize('batches, warm', [(7329, 1000), (1001, 1000), (100, 99), (2, 1), (1, 1)])
def test_cresnet_detection_warms_up_over_the_first_epoch_at_most(batches: int, warm: int):
    config = load_config(ROOT / 'configs' / 'faster_rcnn_cresnet18_a_c5_coco.py')
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    scheduler = PARAM_SCHEDULERS.build(dict(config.param_scheduler[0], optimizer=wrapper, epoch_length=batches))
    rates = []
    for _ in range(1100):
        rates.append(wrapper.optimizer.param_groups[0]['lr'])
        wrapper.optimizer.step()
        scheduler.step()
    expected = [0.02 * (0.001 + 0.999 * min(i / warm, 1)) for i in range(1100)]
    assert rates == pytest.approx(expected, rel=1e-6)
    assert config.model.roi_head.bbox_roi_extractor.roi_layer == dict(type='RoIAlign', output_size=7, sampling_ratio=2)


@pytest.mark.parametrize('name', ['cresnet_mnist', 'cresnet_fashionmnist'])
def test_grey_images_are_resized_before_the_padding(name: str):
    """A white image of 28 fills the 32 x 32 of a test, and 32 of the 40 pixels that training cuts its windows from."""
    config = loaded(name)
    white = torch.full((500, 3, 28, 28), 255, dtype=torch.uint8)
    for loader in (config.val_dataloader, config.test_dataloader):
        assert (Compose(loader.dataset.pipeline)(dict(inputs=white[:2]))['inputs'] == 255).all()
    cut = Compose(config.train_dataloader.dataset.pipeline)(dict(inputs=white))['inputs']
    assert cut.shape[2:] == (32, 32) and (cut[:, 0].amax(2) == 255).sum(1).unique().tolist() == [28, 29, 30, 31, 32]


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable], Path]:
    """A tiny data set in the official format, written once for all recipes that read it."""
    written: dict[Callable, Path] = {}

    def root(write: Callable[[Path], object]) -> Path:
        if write not in written:
            written[write] = tmp_path_factory.mktemp('data')
            write(written[write])
        return written[write]

    return root


@every_recipe
def test_loaders_hand_out_normalised_batches(name: str, data: Callable[[Callable], Path]):
    recipe = RECIPES[name]
    config = loaded(name, data_root=str(data(recipe.write)))
    preprocess = MODELS.build(config.model.data_preprocessor)
    for loader_config in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader_config.num_workers = 0
        loader = Runner.build_dataloader(loader_config, seed=0)
        assert loader.drop_last is False
        batch = next(iter(loader))
        assert batch['inputs'].dtype == torch.uint8
        assert batch['inputs'].shape == (min(len(loader.dataset), loader_config.batch_size), 3, *[recipe.size] * 2)
        assert batch['labels'].max() < len(loader.dataset.metainfo['classes'])
        assert recipe.size == 224 or len(loader.dataset.metainfo['classes']) == recipe.classes
        assert preprocess(batch)['inputs'].abs().max() < 3.5  # pixels of 0 to 255 are within three deviations or so
    assert loader.dataset.test_mode


@every_recipe
def test_only_training_is_shuffled(name: str):
    config = loaded(name)
    assert [config[f'{split}_dataloader'].sampler.shuffle for split in ('train', 'val', 'test')] == [True, False, False]


def places(images: Tensor) -> tuple[list[int], list[int], float]:
    """Where windows of 32 were cut from coded images padded to 40: tops, lefts, the share that is flipped."""
    rows, columns, beside = images[:, 0, 16, 16].int(), images[:, 1, 16, 16].int(), images[:, 1, 16, 15].int()
    flipped = beside > columns
    lefts = torch.where(flipped, columns - 15, columns - 16) + 4
    return sorted(set((rows - 16 + 4).tolist())), sorted(set(lefts.tolist())), flipped.float().mean().item()


@pytest.mark.parametrize('name', [name for name in RECIPES if RECIPES[name].size == 32])
def test_training_crops_32_of_40_and_flips(name: str):
    """Images whose red is the number of the row, and green that of the column."""
    config = loaded(name)
    row, column = torch.meshgrid(*[torch.arange(32, dtype=torch.uint8)] * 2, indexing='ij')
    coded = torch.stack([row, column, row]).repeat(1000, 1, 1, 1)
    torch.manual_seed(0)
    tops, lefts, flipped = places(Compose(config.train_dataloader.dataset.pipeline)(dict(inputs=coded))['inputs'])
    assert tops == lefts == list(range(9)) and 0.4 < flipped < 0.6
    for loader in (config.val_dataloader, config.test_dataloader):
        assert torch.equal(Compose(loader.dataset.pipeline)(dict(inputs=coded[:3]))['inputs'], coded[:3])


@pytest.mark.parametrize('name', ['iresnet_imagenet', 'recursive_imagenet'])
def test_imagenet_s_crops(name: str):
    """An image of 300 x 600 pixels that is brighter from left to right: 0 to 240 over its width."""
    config = loaded(name)
    image = np.broadcast_to((np.arange(600) * 0.4).astype(np.uint8)[None, :, None], (300, 600, 3))
    train, test = (Compose(config[f'{split}_dataloader'].dataset.pipeline[1:]) for split in ('train', 'test'))

    def row(pipeline: Compose) -> Tensor:
        return pipeline(dict(img=image, img_shape=image.shape[:2], gt_label=0))['inputs'][0, 112].float()

    # Of the 512 x 256 pixels that the image is brought to, columns 144 to 367.
    assert row(test).tolist() == pytest.approx([(144 + column) / 512 * 240 for column in range(224)], abs=1.5)
    np.random.seed(0)
    rows = [row(train) for _ in range(60)]
    flipped = [(row[0] > row[-1]).item() for row in rows]
    assert 18 < sum(flipped) < 42
    # A window has 8 to 100 % of the area and a shape of 3:4 to 4:3, so it is 106 to 400 pixels wide.
    widths = [(row[0] - row[-1]).abs().item() / 0.4 for row in rows]
    assert 100 < min(widths) < 200 and 300 < max(widths) < 404


@every_recipe
def test_best_of_the_run_is_kept_by_top1(name: str):
    config = loaded(name)
    assert config.val_evaluator == config.test_evaluator == dict(type='mmext.Accuracy', topk=(1, 5))
    assert config.train_cfg.val_interval == 1 and config.default_hooks.checkpoint.save_best == 'accuracy/top1'


def test_every_recipe_is_in_the_papers_list():
    """A paper of ``list_backbones`` has a recipe, and a recipe's network is one of its paper's."""
    papers = mmext.list_backbones(by_paper=True)
    for name, recipe in RECIPES.items():
        assert recipe.network in papers[name.partition('_')[0]]
    assert {name.partition('_')[0] for name in RECIPES} == set(papers) - {'other'}


def test_nvidia_s_ssd300_by_options():
    """No weight decay of norms and biases, NMS at 0.5: the options that docs/paper_notes.md names."""
    page = (ROOT / 'docs' / 'paper_notes.md').read_text()
    command, = re.findall(r'tools/train.py (configs/ssd300\S+)[^`]*?--cfg-options ([^`]*?)\n```', page)
    words = command[1].replace('\\', ' ').split()
    config = load_config(ROOT / command[0], options={key: Text(text) for key, _, text in (
        word.partition('=') for word in words)})
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0, bias_decay_mult=0)
    assert config.model.test_cfg.nms == dict(type='nms', iou_threshold=0.5)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    decay = {id(weight): group['weight_decay'] for group in groups for weight in group['params']}
    assert [decay[id(weight)] for weight in model.parameters()] == [5e-4, 0, 0, 0]
