"""Time of hotcoco's and pycocotools' evaluation of the same detections, in turn, and whether they agree.

    benchmarks/coco_evaluation.py                                    # 87,500 detections on 2,500 made-up images
    benchmarks/coco_evaluation.py --annotations instances_val2017.json --detections 175000

Of the detections about half are the objects, shifted by a tenth of their size, some twice and some under a wrong class;
the others are boxes at random. Times are by the clock and, in brackets, of the processor, which other work on the
machine changes less. The twelve metrics must be equal bit for bit; the exit code is 1 if they are not.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from pathlib import Path

import numpy as np

from mmext import compat
from mmext.detection.evaluation import NAMES, GroundTruth, evaluate, read_ground_truth
from mmext.engine import cli
from mmext.errors import UserError

SIDE = 600
OBJECTS = 7  # of an image on average, as COCO's


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--detections', type=int, default=87_500)
    parser.add_argument('--images', type=int, default=2500, help='of the made-up annotations')
    parser.add_argument('--classes', type=int, default=80, help='of the made-up annotations')
    parser.add_argument('--annotations', type=Path, metavar='FILE', help='real ones in their place')
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if not compat.installed('hotcoco'):
        raise UserError('hotcoco: not installed, nothing to compare; pip install hotcoco')
    rng = np.random.default_rng(args.seed)
    truth = read_ground_truth(args.annotations) if args.annotations else made_up(args.images, args.classes, rng)
    found = detections(truth, args.detections, rng)
    versions = ', '.join(f'{name} {importlib.metadata.version(name)}' for name in ('hotcoco', 'pycocotools'))
    print(f'{versions}; {len(truth.images):,} images, {len(truth.annotations):,} objects, {len(truth.category_ids)} '
          f'classes, {len(found):,} detections')
    turns, metrics = [], {}
    for turn in range(1, args.repeats + 1):
        times = []
        for reference in (False, True):
            started = time.perf_counter(), time.process_time()
            metrics[reference] = evaluate(truth, found, reference=reference)
            times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        turns.append(times)
        tell(f'turn {turn}', np.array(times))
    tell('best of each', np.min(turns, axis=0))
    print(', '.join(f'{name} {100 * metrics[False][name]:.2f}' for name in NAMES))
    difference = max(abs(metrics[False][name] - metrics[True][name]) for name in NAMES)
    print(f'the twelve metrics differ by at most {difference:.1e}: {"NOT EQUAL" if difference else "equal"}')
    return int(difference > 0)


def tell(name: str, times: np.ndarray) -> None:
    """Prints a line: times (2 evaluators, clock and processor) in seconds."""
    texts = [f'{clock:.2f} ({processor:.2f}) s' for clock, processor in times]
    clock, processor = times[1] / times[0]
    print(f'{name}: hotcoco {texts[0]}, pycocotools {texts[1]}, ratio {clock:.1f} ({processor:.1f})',
          flush=True)


def made_up(images: int, classes: int, rng: np.random.Generator) -> GroundTruth:
    """Objects of all sizes at random places, one in fifty a crowd."""
    count = images * OBJECTS
    boxes = random_boxes(count, rng)
    columns = zip(rng.integers(1, images + 1, count).tolist(), rng.integers(1, classes + 1, count).tolist(),
                  boxes.tolist(), boxes[:, 2:].prod(1).tolist(), (rng.random(count) < 0.02).astype(int).tolist())
    annotations = [dict(id=i, image_id=image, category_id=category, bbox=box, area=area, iscrowd=crowd)
                   for i, (image, category, box, area, crowd) in enumerate(columns, 1)]
    categories = {category: f'class {category}' for category in range(1, classes + 1)}
    return GroundTruth('made up', [dict(id=i) for i in range(1, images + 1)], annotations, categories, list(categories))


def detections(truth: GroundTruth, count: int, rng: np.random.Generator) -> list[dict]:
    """So many detections in COCO's result format, in no order."""
    objects = [truth.annotations[i] for i in rng.integers(len(truth.annotations), size=count // 2)]
    boxes = np.array([entry['bbox'] for entry in objects]).reshape(-1, 4)
    boxes[:, :2] += boxes[:, 2:] * rng.normal(0, 0.1, (len(boxes), 2))
    boxes[:, 2:] *= rng.uniform(0.8, 1.25, (len(boxes), 2))
    boxes = np.concatenate([boxes, random_boxes(count - len(boxes), rng)])
    images = rng.choice([image['id'] for image in truth.images], count)
    categories = rng.choice(truth.category_ids, count)
    images[:len(objects)] = [entry['image_id'] for entry in objects]
    right = rng.random(len(objects)) < 0.8
    categories[:len(objects)][right] = np.array([entry['category_id'] for entry in objects])[right]
    order = rng.permutation(count)
    columns = (column[order].tolist() for column in (images, categories, boxes, rng.random(count)))
    return [dict(image_id=image, category_id=category, bbox=box, score=score)
            for image, category, box, score in zip(*columns)]


def random_boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4): x, y, width, height in pixels, sides from 8 to 300."""
    sides = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
    return np.concatenate([rng.uniform(0, 1, (count, 2)) * (SIDE - sides), sides], 1)


if __name__ == '__main__':
    cli.run(main)
