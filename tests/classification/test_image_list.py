"""The list of many images is what a list of dicts would be, in arrays."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mmext.classification.folders import ImageFolder
from mmext.classification.image_list import ImageList
from tests.classification.helpers import write_folders

CLASSES = ('cat', 'dog', 'öl')
NAMES = (['a.png', 'bb.JPEG'], [], ['ü.jpg', 'x' * 200 + '.jpg', os.fsdecode(b'\xff.jpg')])


@pytest.fixture
def images() -> ImageList:
    return ImageList(Path('/data'), CLASSES, NAMES)


def test_it_is_a_list_of_dicts(images: ImageList):
    expected = [dict(img_path=f'/data/{name}/{file}', gt_label=label)
                for label, name in enumerate(CLASSES) for file in NAMES[label]]
    assert list(images) == expected == images[:] and len(images) == 5
    assert images[-1] == expected[-1] and images[1:3] == expected[1:3] and images[::-2] == expected[::-2]
    assert images.members() == [2, 0, 3] and list(pickle.loads(pickle.dumps(images))) == expected
    with pytest.raises(IndexError):
        images[5]
    images.keep(np.array([1, 4]))
    assert list(images) == [expected[1], expected[4]] and images.members() == [1, 0, 1]


def test_no_images():
    assert list(ImageList(Path('/data'), ('a', ), [[]])) == [] and list(ImageList(Path('/data'), (), [])) == []


def test_a_data_set_of_it(tmp_path: Path):
    write_folders(tmp_path / 'train', dict(cat=3, dog=2))
    data = ImageFolder(str(tmp_path))
    assert [data.get_data_info(i)['gt_label'] for i in range(5)] == [0, 0, 0, 1, 1] and data.members == [3, 2]
    assert isinstance(data.data_list, ImageList), 'no dict for each image is kept'
    assert len(data.get_subset([0, 4])) == 2 and len(data.get_subset(3)) == 3
