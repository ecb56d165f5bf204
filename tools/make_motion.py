"""Generates a small set of clips whose classes differ only in motion: four directions and two rotations.

    tools/make_motion.py data/motion

writes videos_{train,val}/<class>/*.mp4, motion_{train,val}_list_videos.txt and classes.txt, in the layout of Kinetics,
identical for the same seed.

Textured shapes move over a textured background, all shapes of a clip in the same way. A shape that leaves the picture
on one side enters it on the other. Each scene is rendered once for every class. The position of a shape is uniformly
distributed over the picture at every time and in every class, and every frame is encoded independently at constant
quality. Therefore a single frame contains no information about the class, and a clip of one class played backwards is
the scene's clip of the opposite class.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from tqdm import tqdm

from mmext.engine import cli
from mmext.errors import UserError
from mmext.files import require_writable

STRAIGHT = {'left': (-1, 0), 'right': (1, 0), 'up': (0, -1), 'down': (0, 1)}  # x to the right, y downwards
TURNS = {'clockwise': 1, 'anticlockwise': -1}
CLASSES = (*STRAIGHT, *TURNS)
SPLITS = {'train': 0, 'val': 1}
CODING = dict(qp='16', g='1', preset='fast', bf='0')  # every frame by itself, at one quality


@dataclass(frozen=True)
class Shape:
    """One shape of a scene. Lengths are in sides of the picture, angles in turns; ``place`` is (x, y) and ``phase``
    that of a turn in the middle of the clip, ``way`` what a straight path covers, ``turn`` what a turn does."""

    kind: str
    size: float
    place: tuple[float, float]
    way: float
    radius: float
    phase: float
    turn: float
    colour: np.ndarray
    stripes: tuple[float, float]

    def path(self, cls: str, frames: int) -> np.ndarray:
        """Its centre in every frame, (frames, 2) of x and y; any whole number of sides may be added to it."""
        moment = np.linspace(-0.5, 0.5, frames)[:, None]
        if cls in STRAIGHT:
            return np.array(self.place) + moment * self.way * np.array(STRAIGHT[cls])
        angle = 2 * np.pi * (self.phase + TURNS[cls] * self.turn * moment)
        return np.array(self.place) + self.radius * np.hstack([np.cos(angle), np.sin(angle)])


DISTANCES = {  # from the centre to (x, y), 1 at the shape's edge
    'disc': lambda x, y: np.hypot(x, y),
    'square': lambda x, y: np.maximum(abs(x), abs(y)) * 1.13,
    'diamond': lambda x, y: (abs(x) + abs(y)) * 0.8,
    'ring': lambda x, y: abs(np.hypot(x, y) - 0.7) / 0.3,
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--train', type=int, default=80, help='training clips of each class (default: %(default)s)')
    parser.add_argument('--val', type=int, default=40, help='held-out clips of each class (default: %(default)s)')
    parser.add_argument('--size', type=int, default=64, help='width and height in pixels (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=16, help='frames of a clip (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for option, least in (('train', 1), ('val', 1), ('frames', 2), ('size', 16), ('seed', 0)):
        if getattr(args, option) < least:
            raise UserError(f'--{option} {getattr(args, option)}: need at least {least}')
    if args.size % 2:
        raise UserError(f'--size {args.size}: need an even number, because of the colour subsampling of H.264')
    require_replaceable(args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder.parent, prefix=f'.{args.folder.name}.') as temporary:
        made = Path(temporary, 'made')
        for split, number in SPLITS.items():
            rng = np.random.default_rng((args.seed, number))
            make_split(made, split, getattr(args, split), args.size, args.frames, rng)
        made.joinpath('classes.txt').write_text('\n'.join(CLASSES) + '\n')
        if args.folder.exists():
            os.replace(args.folder, Path(temporary, 'old'))
        os.replace(made, args.folder)
    clips = len(CLASSES) * args.train, len(CLASSES) * args.val
    print(f'{args.folder}: {clips[0]} training and {clips[1]} held-out clips of {len(CLASSES)} classes')


def require_replaceable(folder: Path) -> None:
    """Raises a UserError if a folder can't be created, or contains anything but an earlier data set."""
    require_writable(folder.parent, 'the argument')
    if folder.exists() and not folder.is_dir():
        raise UserError(f'{folder}: is a file; give another folder')
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    own = {'classes.txt', *(name for split in SPLITS for name in (f'videos_{split}', list_name(split)))}
    foreign = sorted(found - own)
    if foreign:
        raise UserError(f'{folder}: contains {foreign[0]!r}, which is not part of such a data set; give another folder')


def list_name(split: str) -> str:
    return f'motion_{split}_list_videos.txt'


def make_split(folder: Path, split: str, scenes: int, size: int, frames: int, rng: np.random.Generator) -> None:
    """Writes one split's clips, and the list of them."""
    lines = []
    for cls in CLASSES:
        (folder / f'videos_{split}' / cls).mkdir(parents=True)
    for i in tqdm(range(scenes), desc=split, unit='scene'):
        ground, shapes = make_ground(size, rng), make_shapes(rng)
        for label, cls in enumerate(CLASSES):
            name = f'{cls}/{i:05d}.mp4'
            write_clip(folder / f'videos_{split}' / name, draw_clip(cls, ground, shapes, frames))
            lines.append(f'{name} {label}\n')
    (folder / list_name(split)).write_text(''.join(lines))


def make_ground(size: int, rng: np.random.Generator) -> np.ndarray:
    """A dark ground whose texture goes on at the opposite side: (size, size, 3), float."""
    noise = rng.normal(0, 1, (size, size, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(np.tile(noise, (3, 3, 1)), (0, 0), size / 20)[size:2 * size, size:2 * size]
    return np.clip(rng.uniform(10, 90, 3) + 25 * soft / soft.std(), 0, 120)


def make_shapes(rng: np.random.Generator) -> list[Shape]:
    """One to three shapes of a scene, wherever they are."""
    return [Shape(kind=str(rng.choice(list(DISTANCES))), size=rng.uniform(0.1, 0.18), place=tuple(rng.uniform(0, 1, 2)),
                  way=rng.uniform(0.4, 0.8), radius=rng.uniform(0.12, 0.2), phase=rng.uniform(0, 1),
                  turn=rng.uniform(0.5, 0.9), colour=rng.uniform(130, 255, 3), stripes=tuple(rng.uniform(-5, 5, 2)))
            for _ in range(rng.integers(1, 4))]


def draw_clip(cls: str, ground: np.ndarray, shapes: list[Shape], frames: int) -> np.ndarray:
    """The clip of a scene: RGB, uint8, (frames, size, size, 3). A shape's edge is a pixel wide, wherever it is."""
    size = len(ground)
    clip = np.repeat(ground[None], frames, 0)
    pixels = (np.arange(size) + 0.5) / size
    for shape in shapes:
        centre = shape.path(cls, frames)
        x, y = ((pixels[None] - centre[:, axis, None] + 0.5) % 1 - 0.5 for axis in (0, 1))  # from it, around the edges
        x, y = x[:, None, :] / shape.size, y[:, :, None] / shape.size
        cover = np.clip((1 - DISTANCES[shape.kind](x, y)) * shape.size * size + 0.5, 0, 1)[..., None]
        texture = 0.75 + 0.25 * np.sin(shape.stripes[0] * x + shape.stripes[1] * y)[..., None]
        clip = clip * (1 - cover) + cover * texture * shape.colour
    return np.rint(clip).astype(np.uint8)


def write_clip(path: Path, clip: np.ndarray) -> None:
    """Writes frames (frames, height, width, 3) as an H.264 video of 16 frames a second."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=16, options=CODING)
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.codec_context.thread_count = 1
        for image in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


if __name__ == '__main__':
    cli.run(main)
