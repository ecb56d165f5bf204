"""What a loader gets from data in memory: whole batches, the same ones under a seed, from worker processes too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmext.classification import arrays
from mmext.classification.arrays import collate_images
from mmext.classification.batch_transforms import BatchRandomCrop, BatchRandomFlip
from mmext.classification.datasets import CIFAR10, MNIST
from mmext.registry import FUNCTIONS
from tests.classification.helpers import refused, write_cifar10, write_mnist


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 with 60 and 12 images."""
    folder = tmp_path_factory.mktemp('cifar')
    write_cifar10(folder, per_file=12)
    return folder


def augmented(root: Path) -> CIFAR10:
    return CIFAR10(root, pipeline=[BatchRandomCrop(), BatchRandomFlip()])


def batches(data, workers: int, seed: int = 0, **options) -> list[dict]:
    """An epoch of batches of 16."""
    torch.manual_seed(seed)
    return list(DataLoader(data, 16, num_workers=workers, collate_fn=collate_images, **options))


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_gives_batches_in_order(root: Path, workers: int):
    data = CIFAR10(root)
    found = batches(data, workers)
    assert [len(batch['labels']) for batch in found] == [16, 16, 16, 12]
    assert torch.equal(torch.cat([batch['inputs'] for batch in found]), data.images)
    assert torch.equal(torch.cat([batch['labels'] for batch in found]), data.labels)
    assert found[0]['inputs'].dtype == torch.uint8 and found[0]['labels'].dtype == torch.int64


@pytest.mark.parametrize('workers', [0, 2])
def test_augmentation_is_a_function_of_the_seed(root: Path, workers: int):
    first, again, other = (batches(augmented(root), workers, seed, shuffle=True) for seed in (0, 0, 1))
    assert all(torch.equal(a['inputs'], b['inputs']) for a, b in zip(first, again))
    assert not all(torch.equal(a['inputs'], b['inputs']) for a, b in zip(first, other))


def test_workers_augment_each_in_its_own_way(root: Path):
    data = CIFAR10(root, pipeline=[BatchRandomCrop()])
    data.images[:] = data.images[0]
    first, second = batches(data, 2)[:2]
    assert not torch.equal(first['inputs'], second['inputs'])


def test_the_data_stay_as_they_are(root: Path):
    data = augmented(root)
    before = data.images.clone()
    batches(data, 0)
    data[0]['inputs'].zero_()
    assert torch.equal(data.images, before)


def test_single_samples_make_the_same_batch(root: Path):
    data = CIFAR10(root)
    sample = data[-1]
    assert sample['inputs'].shape == (3, 32, 32) and sample['labels'] == int(data.labels[-1])
    whole, stacked = data.__getitems__([3, 1]), collate_images([data[3], data[1]])
    assert torch.equal(whole['inputs'], stacked['inputs']) and torch.equal(whole['labels'], stacked['labels'])
    assert stacked['labels'].dtype == torch.int64
    assert collate_images(whole) is whole
    with pytest.raises(IndexError):
        data[60]


def test_it_can_be_iterated_over(root: Path):
    assert [sample['labels'] for sample in CIFAR10(root, 'test')] == CIFAR10(root, 'test').labels.tolist()


def test_grey_images_take_the_memory_of_one_channel(tmp_path: Path):
    write_mnist(tmp_path)
    data = MNIST(tmp_path, pipeline=[BatchRandomCrop(), BatchRandomFlip()])
    assert data.images.nbytes == 5 * 28 * 28
    inputs = data.__getitems__([0, 1])['inputs']
    assert inputs.shape == (2, 3, 32, 32) and inputs.is_contiguous() and torch.equal(inputs[:, 0], inputs[:, 2])


def test_its_size_is_told(root: Path, monkeypatch: pytest.MonkeyPatch):
    told = []
    monkeypatch.setattr(arrays, 'print_log', lambda message, *args: told.append(message))
    CIFAR10(root)
    assert told == ['CIFAR10, train: 60 images of 3 x 32 x 32 in 10 classes, 0.2 MiB of memory']


def test_limit_keeps_the_same_images_in_every_run(root: Path):
    whole, first, again = CIFAR10(root), CIFAR10(root, limit=20), CIFAR10(root, limit=20)
    assert len(first) == 20 == len(first.images) and torch.equal(first.images, again.images)
    places = [int(np.flatnonzero((whole.images == image).flatten(1).all(1))[0]) for image in first.images]
    assert places == sorted(set(places)) and places != list(range(20))
    assert whole.labels[places].tolist() == first.labels.tolist()
    assert torch.equal(CIFAR10(root, limit=60).images, whole.images)


@pytest.mark.parametrize('limit', [0, -1, 61, 0.5])
def test_a_limit_that_is_none(root: Path, limit):
    assert f'limit={limit!r} is not a number from 1 to 60' in refused(lambda: CIFAR10(root, limit=limit))


def test_images_are_held_out_of_the_training_set(root: Path):
    whole, rest, aside = CIFAR10(root), CIFAR10(root, held_out=20), CIFAR10(root, 'held_out', held_out=20)
    places = [[int(np.flatnonzero((whole.images == image).flatten(1).all(1))[0]) for image in part.images]
              for part in (rest, aside)]
    assert [len(part) for part in places] == [40, 20] and sorted(sum(places, [])) == list(range(60))
    assert whole.labels[places[1]].tolist() == aside.labels.tolist()
    assert torch.equal(CIFAR10(root, 'held_out', held_out=20, test_mode=True).images, aside.images)
    assert len(CIFAR10(root, 'held_out', held_out=20, limit=5)) == 5
    assert len(CIFAR10(root, 'test', held_out=20)) == len(CIFAR10(root, 'test')), 'the test set stays whole'


@pytest.mark.parametrize(('arguments', 'words'), [
    (dict(held_out=60), 'held_out=60 is not a number from 1 to 59; there are 60 training images'),
    (dict(held_out=0), 'held_out=0 is not a number from 1'),
    (dict(split='held_out'), "split='held_out' needs held_out, the number of its images"),
    (dict(split='held-out', held_out=5), "split='held-out' is not one of train, test"),
])
def test_a_part_that_can_not_be_held_out(root: Path, arguments: dict, words: str):
    assert words in refused(lambda: CIFAR10(root, **arguments))


def test_splits(root: Path):
    assert len(CIFAR10(root)) == 60 and len(CIFAR10(root, test_mode=True)) == 12
    assert len(CIFAR10(root, 'train', test_mode=True)) == 60
    assert "split='tset' is not one of train, test; did you mean 'test'?" in refused(lambda: CIFAR10(root, 'tset'))


@pytest.mark.parametrize(('images', 'labels', 'words'), [
    (np.zeros((2, 3, 4, 4), np.uint8), [0, -1], 'labels from -1 to 0 for 5 classes'),
    (np.zeros((2, 3, 4, 4), np.uint8), [0, 5], 'labels from 0 to 5 for 5 classes'),
    (np.zeros((2, 3, 4, 4)), [0, 1], 'the images are float64'),
    (np.zeros((2, 4, 4, 3), np.uint8), [0, 1], 'of shape (2, 4, 4, 3)'),
    (np.zeros((2, 3, 4, 4), np.uint8), [0], '2 images, but labels of shape (1,)'),
])
def test_what_a_reader_of_another_data_set_may_get_wrong(images: np.ndarray, labels: list[int], words: str):
    assert words in refused(lambda: arrays.check_labels('data', images, np.array(labels), 5))


def test_images_of_two_sizes_make_no_batch():
    samples = [dict(inputs=torch.zeros(3, size, 8, dtype=torch.uint8), labels=0) for size in (8, 9)]
    assert 'shapes (3, 8, 8) and (3, 9, 8) can\'t be batched' in refused(lambda: collate_images(samples))
    assert FUNCTIONS.module_dict['collate_images'] is collate_images
