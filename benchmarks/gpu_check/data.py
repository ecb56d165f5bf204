"""Made-up data sets for the check: JPEGs with boxes, class folders of JPEGs, and clips."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.gpu_check.case import ROOT, Place

CLASSES = ('ash', 'birch', 'cedar')


def data(place: Place, task: str, full: bool = False) -> Path:
    """The folder of a task's made-up data set, which is made at the first call.

    Args:
        place: of the check.
        task: 'detection', 'classification' or 'recognition'.
        full: enough for measurements of a loader, not only for a few steps.
    """
    folder = place.folder / 'data' / (f'{task}_full' if full and not place.quick else task)
    if not folder.exists():
        made = folder.with_name(f'.{folder.name}')
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        MAKE[task](made, 4 if place.quick else 512 if full else 40)
        made.rename(folder)
    return folder


def boxes(folder: Path, count: int) -> None:
    """Images of 300 x 300 with one to three shapes, in COCO's layout."""
    tool = runpy.run_path(str(ROOT / 'tools' / 'make_shapes.py'))
    for seed, (split, number) in enumerate((('train2017', count), ('val2017', max(2, count // 8)))):
        tool['make_split'](folder, split, number, np.random.default_rng(seed))


def class_folders(folder: Path, count: int) -> None:
    """Images of about 400 x 300, as those of ImageNet, in class folders."""
    import cv2

    rng = np.random.default_rng(0)
    for split, number in (('train', count), ('val', max(len(CLASSES), count // 8))):
        for i in range(number):
            place = folder / split / CLASSES[i % len(CLASSES)]
            place.mkdir(parents=True, exist_ok=True)
            coarse = rng.integers(0, 256, (12, 16, 3), np.uint8)
            cv2.imwrite(str(place / f'{i:05d}.jpg'), cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC))


def clips(folder: Path, count: int) -> None:
    """Clips of 16 frames in Kinetics' layout."""
    tool = runpy.run_path(str(ROOT / 'tools' / 'make_motion.py'))
    for seed, (split, number) in enumerate((('train', max(1, count // 6)), ('val', 1))):
        tool['make_split'](folder, split, number, 40, 16, np.random.default_rng(seed))
    (folder / 'classes.txt').write_text('\n'.join(tool['CLASSES']) + '\n')


MAKE: dict[str, Callable[[Path, int], None]] = dict(detection=boxes, classification=class_folders, recognition=clips)
