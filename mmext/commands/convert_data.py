"""Converts annotations of detection data: mmext convert-data photos/ data/mine --from voc --val-share 0.2

    mmext convert-data cards/train data/cards --from voc --val cards/test
    mmext convert-data yolo/data.yaml data/mine --from yolo
    mmext convert-data data/mine data/mine_yolo --from coco --to yolo

The result is a folder with images and annotations; in COCO's format, which is the default, it is what
``mmext train CONFIG --data-root data/mine --classes auto`` trains on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmext.errors import UserError

NAMES = ('coco', 'voc', 'yolo', 'labelme', 'cvat')  # mmext.detection.formats.FORMATS, which imports torch


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog, description='Convert annotations of detection data, with their images.')
    parser.add_argument('source', type=Path, help='a folder of annotation files; for coco, cvat and yolo also a file')
    parser.add_argument('out', type=Path, help='the new data set, a folder that does not exist or is empty')
    parser.add_argument('--from', dest='kind', choices=NAMES, required=True, help='the format of the source')
    parser.add_argument('--to', choices=NAMES, default='coco', help='the new format (default: %(default)s)')
    parser.add_argument('--images', type=Path, metavar='DIR',
                        help="the folder of the images, if it is not the format's usual one or that of the annotations")
    parser.add_argument('--val', type=Path, metavar='SOURCE', help='validation data in the same format; the source is '
                        'then for training')
    parser.add_argument('--val-images', type=Path, metavar='DIR', help='the folder of their images')
    parser.add_argument('--val-share', type=float, metavar='SHARE',
                        help='draw this share of the images for validation, such as 0.2')
    parser.add_argument('--seed', type=int, default=0, help='the seed of --val-share (default: %(default)s)')
    parser.add_argument('--classes', metavar='a,b,c', help='only these classes, in this order')
    parser.add_argument('--link', action='store_true', help='make symbolic links to the images instead of copies')
    return parser


def main(args: argparse.Namespace) -> None:
    if args.val_images and not args.val:
        raise UserError('--val-images: needs --val')
    from mmext.detection.formats import format_of
    from mmext.detection.formats.convert import require_free, with_classes, with_validation, write_data

    require_free(args.out)
    for folder in filter(None, (args.images, args.val_images)):
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder of images')
    for source in filter(None, (args.source, args.val)):
        if not source.exists():
            raise UserError(f'{source}: no such file or folder')
    read = format_of(args.kind).read
    source = with_validation(read(args.source, args.images), read(args.val, args.val_images) if args.val else None,
                             args.val_share, args.seed)
    classes = [name.strip() for name in args.classes.split(',')] if args.classes else None
    source = with_classes(source, classes)
    write_data(args.out, source, args.to, args.link)
    for split, pictures in source.splits.items():
        print(f'{split}: {len(pictures)} images, {sum(len(picture.objects) for picture in pictures)} boxes')
    print(f'classes: {", ".join(source.classes)}')
    for what, count in source.skipped.items():
        print(f'note: {count} {what}')
    print(f'written: {args.out}')
