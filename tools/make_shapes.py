"""Generates a small detection data set in COCO format: circles, squares and triangles on a noisy background.

    tools/make_shapes.py data/shapes

writes annotations/instances_{train,val}2017.json, train2017/ and val2017/, identical for the same seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmext.engine import cli
from mmext.files import require_writable, write_json

CLASSES = ('circle', 'square', 'triangle')
SIZE = 300
SIDES = (50, 150)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--train', type=int, default=160, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=60, help='held-out images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    require_writable(args.folder, 'the argument')
    for split, count, seed in (('train2017', args.train, args.seed), ('val2017', args.val, args.seed + 1)):
        make_split(args.folder, split, count, np.random.default_rng((seed, count)))


def make_split(folder: Path, split: str, count: int, rng: np.random.Generator) -> None:
    """Writes the images of a split, then its annotations, atomically."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for image_id in tqdm(range(1, count + 1), desc=split, unit='image'):
        name = f'{image_id:012d}.jpg'
        picture, objects = draw_image(rng)
        if not cv2.imwrite(str(folder / split / name), picture):
            raise OSError(f'{folder / split / name}: not written')
        images.append(dict(id=image_id, file_name=name, height=SIZE, width=SIZE))
        for category, (x, y, w, h) in objects:
            annotations.append(dict(id=len(annotations) + 1, image_id=image_id, category_id=category + 1,
                                    bbox=[x, y, w, h], area=w * h, iscrowd=0))
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    path = folder / 'annotations' / f'instances_{split}.json'
    write_json(path, dict(images=images, annotations=annotations, categories=categories))
    print(f'{path}: {len(images)} images, {len(annotations)} objects')


def draw_image(rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """One image (300, 300, 3) and its objects: (class index, (x, y, width, height))."""
    ground = rng.integers(0, 90, 3) + rng.normal(0, 12, (SIZE // 4, SIZE // 4, 3))
    picture = cv2.resize(np.clip(ground, 0, 255).astype(np.uint8), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    objects: list[tuple[int, tuple[int, int, int, int]]] = []
    for _ in range(rng.integers(1, 4)):
        side = int(rng.integers(*SIDES))
        x, y = (int(rng.integers(0, SIZE - side)) for _ in range(2))
        if any(overlap((x, y, side, side), box) for _, box in objects):
            continue
        category = int(rng.integers(len(CLASSES)))
        draw_shape(picture, category, x, y, side, tuple(int(c) for c in rng.integers(120, 256, 3)))
        objects.append((category, (x, y, side, side)))
    return picture, objects


def draw_shape(picture: np.ndarray, category: int, x: int, y: int, side: int, colour: tuple) -> None:
    if CLASSES[category] == 'circle':
        cv2.circle(picture, (x + side // 2, y + side // 2), side // 2, colour, -1, cv2.LINE_AA)
    elif CLASSES[category] == 'square':
        cv2.rectangle(picture, (x, y), (x + side - 1, y + side - 1), colour, -1)
    else:
        corners = np.array([[x + side // 2, y], [x, y + side - 1], [x + side - 1, y + side - 1]])
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)


def overlap(a: tuple, b: tuple) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


if __name__ == '__main__':
    cli.run(main)
