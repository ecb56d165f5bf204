"""Time and memory of reading COCO annotations, by pycocotools and by mmext's data set and metric.

    benchmarks/annotations.py                                   # a made-up file of the size of instances_train2017.json
    benchmarks/annotations.py --images 5000 --boxes 36781       # of the size of instances_val2017.json
    benchmarks/annotations.py --annotations instances_train2017.json --pictures train2017

Each is measured in a process of its own. "data set" is what a training builds: reading and checks, the data list, the
filter, and the packing for the workers. "metric" is the ground truth of a validation. "start of a training" is what a
command does with the file in all: --classes auto, the data set and the metric, in one process. Seconds are by the clock
after the imports; memory is the peak above that after the imports.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli

CLASSES = 80
WORDS = 25  # points of an outline, on average: that of train2017 has 452 MB


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=118_287, help='of the made-up file')
    parser.add_argument('--boxes', type=int, default=860_001, help='of the made-up file')
    parser.add_argument('--annotations', type=Path, metavar='FILE', help='a real file in its place')
    parser.add_argument('--pictures', type=Path, metavar='DIR', help='its pictures')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place, pictures = args.annotations, args.pictures
        if place is None:
            place, pictures = Path(folder, 'instances.json'), Path(folder, 'pictures')
            make(place, pictures, args.images, args.boxes, args.seed)
        print(f'{place.name}: {place.stat().st_size / 1e6:,.0f} MB')
        print(f'{"":24}{"seconds":>9}{"peak, GB":>10}')
        for name, work in WORK.items():
            seconds, peak = in_own_process(work, str(place), str(pictures))
            print(f'{name:24}{seconds:9.1f}{peak / 1e9:10.2f}', flush=True)


def make(place: Path, pictures: Path, images: int, boxes: int, seed: int) -> None:
    """Writes annotations of made-up objects, and empty files in place of the pictures."""
    rng = np.random.default_rng(seed)
    pictures.mkdir()
    names = [f'{number:012d}.jpg' for number in range(1, images + 1)]
    for name in names:
        (pictures / name).touch()
    corners, sides = rng.uniform(0, 400, (boxes, 2)).round(2), rng.uniform(2, 200, (boxes, 2)).round(2)
    owners, labels = rng.integers(1, images + 1, boxes).tolist(), rng.integers(1, CLASSES + 1, boxes).tolist()
    outlines = rng.uniform(0, 600, (1000, 2 * WORDS)).round(2).tolist()
    with place.open('w') as file:
        file.write('{"info": {}, "licenses": [], "images": ')
        json.dump([dict(license=1, file_name=name, coco_url=f'http://images.cocodataset.org/train2017/{name}',
                        height=480, width=640, date_captured='2013-11-14 11:18:45', id=number)
                   for number, name in enumerate(names, 1)], file)
        file.write(', "annotations": [')
        for number, (corner, side, owner, label) in enumerate(zip(corners.tolist(), sides.tolist(), owners, labels), 1):
            entry = dict(segmentation=[outlines[number % 1000]], area=round(side[0] * side[1] / 2, 2), iscrowd=0,
                         image_id=owner, bbox=corner + side, category_id=label, id=number)
            file.write(f'{", " if number > 1 else ""}{json.dumps(entry)}')
        categories = [dict(supercategory='thing', id=number, name=f'class {number}')
                      for number in range(1, CLASSES + 1)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def in_own_process(work: Callable[[str, str], object], *arguments: str) -> tuple[float, int]:
    """The seconds that a function takes, and by how many bytes the peak of memory exceeds that before."""
    context = multiprocessing.get_context('spawn')
    receiving, sending = context.Pipe(False)
    process = context.Process(target=measured, args=(sending, work, arguments))
    process.start()
    found = receiving.recv()
    process.join()
    return found


def measured(pipe: object, work: Callable, arguments: tuple) -> None:
    """Sends what ``in_own_process`` returns."""
    import mmext.detection  # noqa: F401  which takes seconds

    before, started = memory('VmRSS'), time.perf_counter()
    work(*arguments)
    pipe.send((time.perf_counter() - started, memory('VmHWM') - before))


def memory(key: str) -> int:
    """Bytes of memory of this process: VmRSS now, VmHWM at its peak."""
    line, = (line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(f'{key}:'))
    return 1024 * int(line.split()[1])


def with_pycocotools(place: str, pictures: str) -> None:
    from pycocotools.coco import COCO

    COCO(place)


def with_mmdet(place: str, pictures: str) -> None:
    from mmdet.datasets import CocoDataset

    CocoDataset(**options(place, pictures))


def data_set(place: str, pictures: str) -> None:
    from mmext.detection import CocoDataset

    CocoDataset(**options(place, pictures))


def metric(place: str, pictures: str) -> None:
    from mmext.detection import CocoMetric

    CocoMetric(place)


def start(place: str, pictures: str) -> None:
    from mmext.data.once import forget
    from mmext.detection import CocoDataset, CocoMetric

    given = options(place, pictures)
    CocoDataset.classes_from(dict(ann_file=place))
    CocoDataset(**given)
    CocoMetric(place)
    forget()


def options(place: str, pictures: str) -> dict:
    """The arguments of a data set of all images."""
    with open(place, 'rb') as file:
        file.seek(-20_000, 2)
        categories = json.loads(b'{"categories"' + file.read().rpartition(b'"categories"')[2])['categories']
    return dict(ann_file=place, data_prefix=dict(img=pictures), pipeline=[], filter_cfg=dict(filter_empty_gt=True),
                metainfo=dict(classes=tuple(category['name'] for category in categories)))


WORK = {"pycocotools' index": with_pycocotools, "mmdet's data set": with_mmdet, "mmext's data set": data_set,
        "mmext's metric": metric, 'start of a training': start}

if __name__ == '__main__':
    cli.run(main)
