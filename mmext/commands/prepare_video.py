"""Prepares a video data set: checks it, writes Kinetics' list files, resizes videos, extracts frames.

    mmext prepare-video lists kinetics_train.csv --videos data/k400/train --out data/k400/train.txt
    mmext prepare-video lists kinetics_val.csv --videos data/k400/val --out data/k400/val.txt \\
        --classes data/k400/classes.txt
    mmext prepare-video check data/k400/train.txt --videos data/k400/train --write-list data/k400/train_fine.txt
    mmext prepare-video resize data/k400/train.txt --videos data/k400/train --out data/k400/train_256 \\
        --short-side 256
    mmext prepare-video frames data/k400/train.txt --videos data/k400/train --out data/k400/frames

All but lists run in parallel, and continue where they were interrupted when the same command is given again. The exit
code is 0 if all videos are fine, 1 if some are not, and 2 for a mistake in the command or a label file.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sized
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError, shorten

if TYPE_CHECKING:
    from mmext.data.video.prepare.convert import Outcome
    from mmext.data.video.prepare.sources import Source

SOURCE = "lines 'path label', or Something-Something's train.json or validation.json; or a folder: all videos in it"


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    check = commands.add_parser('check', help='finds missing, unreadable and too short videos')
    check.add_argument('sources', nargs='+', metavar='LIST|DIR', help=SOURCE)
    check.add_argument('--frames', type=int, default=16, metavar='N', help='fewer are too short (default: %(default)s)')
    check.add_argument('--decode', action='store_true',
                       help='decode every frame, which takes much longer, not only the first one')
    check.add_argument('--report', default='work_dirs/prepare_video/check.jsonl', metavar='FILE',
                       help='the findings on each file; files that have not changed are not checked again (default: '
                       '%(default)s)')
    check.add_argument('--write-list', metavar='FILE', help='write a copy of LIST that has only the fine videos')
    check.set_defaults(command=check_videos)

    lists = commands.add_parser('lists', help="list files from Kinetics' official CSVs")
    lists.add_argument('csv', metavar='CSV', help='with columns label, youtube_id, time_start, time_end, split')
    lists.add_argument('--videos', '--data-root', required=True, metavar='DIR',
                       help='of <class>/<id>_<start>_<end>.mp4, or without <class>, or <id>.mp4; any video suffix')
    lists.add_argument('--out', required=True, metavar='FILE', help="the list of lines 'path label'")
    lists.add_argument('--classes', metavar='FILE',
                       help="the training's class list, one name a line. Without it CSV must be the training's; its "
                       'classes are numbered by name, and written to classes.txt beside --out')
    lists.set_defaults(command=make_list)

    resize = commands.add_parser('resize', help='writes smaller copies into another folder')
    resize.add_argument('--short-side', type=int, required=True, metavar='N', help='in pixels, such as 256 or 320')
    frames = commands.add_parser('frames', help='extracts frames into folders of img_00001.jpg ..., and lists them')
    frames.add_argument('--short-side', type=int, metavar='N', help="in pixels, of larger videos' frames")
    for command, function in ((resize, resize_videos), (frames, write_frames)):
        command.add_argument('source', metavar='LIST|DIR', help=SOURCE)
        command.add_argument('--out', required=True, metavar='DIR',
                             help='neither the folder of the videos nor inside it')
        command.set_defaults(command=function)
    for command in (check, resize, frames):
        command.add_argument('--videos', '--data-root', metavar='DIR',
                             help='the folder that the names in LIST are relative to')
        command.add_argument('--label-file', metavar='FILE',
                             help="Something-Something's labels.json (default: the one beside LIST)")
        command.add_argument('--suffix', default='.webm', help="of Something-Something's videos (default: %(default)s)")
        command.add_argument('--workers', type=int, default=os.cpu_count() or 1, metavar='N',
                             help='number of processes (default: one per core, %(default)s); 0 uses no others')
    return parser


def main(args: argparse.Namespace) -> int:
    if getattr(args, 'workers', 0) < 0:
        raise UserError(f'--workers {args.workers}: need 0 or more')
    return args.command(args)


def check_videos(args: argparse.Namespace) -> int:
    """Prints which videos are fine; returns 1 if not all of them are."""
    if args.frames < 1:
        raise UserError(f'--frames {args.frames}: need 1 or more')
    if args.write_list and len(args.sources) > 1:
        raise UserError('--write-list: of one LIST only; run the command once for each, with the same --report')
    from mmext.data.video.prepare.check import FINE, MISSING, SHORT, UNREADABLE, Report, check
    from mmext.files import require_target
    from mmext.screen import print_kinds

    sources = [source_of(args, path) for path in args.sources]
    require_other('--report', args.report, *args.sources)
    if args.write_list:
        if Path(args.sources[0]).is_dir():
            raise UserError(f'--write-list: {args.sources[0]} is a folder, and has no list')
        require_other('--write-list', args.write_list, args.report, *args.sources)
        require_target(args.write_list, '--write-list')
    names = {os.path.abspath(source.file(name)): name for source in sources for name in source.names}
    with closing(Report(args.report)) as report:
        found = check(names, report, args.decode, args.workers, args.frames)

    rows: dict[str, list[str]] = {kind: [] for kind in (FINE, MISSING, UNREADABLE, SHORT)}
    for path, name in names.items():
        finding = found[path]
        kind = finding.kind(args.frames)
        detail = {UNREADABLE: f': {finding.problem}', SHORT: f': {finding.frames} of {args.frames} frames'}
        rows[kind].append(name + detail.get(kind, ''))
    print_kinds(f'{shorten(args.sources)}: {count(names)}', rows, unnamed=[FINE])
    print(f'report: {args.report}')
    if args.write_list and not rows[FINE]:
        print(f'list: none, as none of the videos is fine; {args.write_list} is not written')
    elif args.write_list:
        source, = sources
        kept = source.write_subset(Path(args.write_list), lambda name: found[os.path.abspath(source.file(name))].kind(
            args.frames) == FINE)
        print(f'list: {args.write_list}, {kept} of the {len(source.names)} entries of {source.path}')
    return int(len(rows[FINE]) < len(names))


def make_list(args: argparse.Namespace) -> int:
    """Writes a Kinetics list file; for the training CSV, also the class list."""
    from mmext.data.video.lists import read_classes
    from mmext.data.video.prepare import kinetics
    from mmext.data.video.prepare.sources import require_folder, write_lines
    from mmext.files import require_target

    rows, splits = kinetics.read_csv(args.csv)
    class_list = Path(args.classes or Path(args.out).with_name('classes.txt'))
    if args.classes:
        classes = list(read_classes(args.classes))
    elif splits <= kinetics.TRAINING:
        classes = kinetics.classes_of(rows)
        kinetics.require_same_classes(class_list, classes)
    else:
        others = shorten(sorted(splits - kinetics.TRAINING))
        raise UserError(f"{args.csv}: its split is {others}; give the training's class list with --classes, which is "
                        'written with the list of the training CSV')
    labels = kinetics.labels_of(rows, classes, args.csv)
    require_folder(args.videos)
    require_other('--out', args.out, args.csv, class_list)
    require_target(args.out)
    listing = kinetics.find_files(rows, args.videos)
    if not listing.entries:
        row = rows[0]
        raise UserError(f'{args.videos}: none of the {len(rows)} rows of {args.csv} has a file there, as '
                        f'{kinetics.underscored(row.label)}/{row.stems[0]}.mp4; is --videos right?')

    if not args.classes:
        write_lines(class_list, classes)
    write_lines(args.out, [f'{path} {labels[row.label]}' for path, row in listing.entries])
    print(f'{args.out}: {count(listing.entries)}, {len({row.label for _, row in listing.entries})} of the '
          f'{len(classes)} classes of {class_list}')
    if listing.absent:
        print(f'{len(listing.absent)} of the {len(rows)} rows have no file in {args.videos}: '
              f'{shorten(row.stems[0] for row in listing.absent)}')
    if listing.shared:
        print(f'left out, as several rows with different times or labels fit: {shorten(listing.shared)}')
    if listing.others:
        print(f'{count(listing.others)} in {args.videos} of no row: {shorten(listing.others)}')
    if any(re.search(r'\s', path) for path, _ in listing.entries):
        print("paths have spaces: mmext.VideoDataset reads them, mmaction2's VideoDataset does not")
    return 0


def resize_videos(args: argparse.Namespace) -> int:
    """Writes smaller copies under the same names; returns 1 if some videos are missing or unreadable."""
    if args.short_side < 16 or args.short_side % 2:
        raise UserError(f'--short-side {args.short_side}: need an even number of 16 or more')
    from mmext.data.video.prepare.convert import resize
    from mmext.data.video.prepare.plan import convert, plan_conversions, require_settings

    source = source_of(args, args.source)
    conversions = plan_conversions(source, args.out, str, args.short_side)
    require_settings(args.out, written='videos', short_side=args.short_side)
    return print_outcomes(args, convert(resize, conversions, source, args.workers, 'resizing'))


def write_frames(args: argparse.Namespace) -> int:
    """Extracts frames, and for a LIST writes a list of them; returns 1 if some videos are missing or unreadable."""
    if args.short_side is not None and args.short_side < 1:
        raise UserError(f'--short-side {args.short_side}: need 1 or more')
    from mmext.data.video.prepare.convert import extract_frames
    from mmext.data.video.prepare.plan import convert, frame_folder, plan_conversions, require_settings
    from mmext.data.video.prepare.sources import write_lines
    from mmext.files import require_target

    source = source_of(args, args.source)
    conversions = plan_conversions(source, args.out, frame_folder, args.short_side)
    require_settings(args.out, written='frames', short_side=args.short_side)
    frame_list = Path(args.out) / f'{source.path.stem}.txt'
    if source.labels:
        require_other('--out', frame_list, source.path)
        require_target(frame_list)
    outcomes = convert(extract_frames, conversions, source, args.workers, 'writing frames')
    code = print_outcomes(args, outcomes)
    lines = [f'{frame_folder(name)} {outcomes[name].frames} {label}' for name, label in zip(source.names, source.labels)
             if not outcomes[name].failed]
    if lines:
        write_lines(frame_list, lines)
        print(f"list: {frame_list}, {len(lines)} lines 'folder frames label'")
    return code


def print_outcomes(args: argparse.Namespace, outcomes: dict[str, Outcome]) -> int:
    """Prints what became of the videos; returns 1 if some are missing or unreadable."""
    from mmext.data.video.prepare.convert import COPIED, DONE, KINDS, THERE
    from mmext.screen import print_kinds

    rows: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name, outcome in outcomes.items():
        rows[outcome.kind].append(name + (f': {outcome.reason}' if outcome.reason else ''))
    rows = {kind: names for kind, names in rows.items() if names or kind == DONE}
    print_kinds(f'{args.source} -> {args.out}: {count(outcomes)}', rows, unnamed=[DONE, COPIED, THERE])
    return int(any(outcome.failed for outcome in outcomes.values()))


def source_of(args: argparse.Namespace, path: str) -> Source:
    """The videos of a label file or folder."""
    from mmext.data.video.prepare.sources import read_source

    return read_source(path, args.videos, args.label_file, args.suffix)


def require_other(option: str, path: str | Path, *others: str | Path) -> None:
    """Raises a UserError where a file to be written is one of the inputs."""
    for other in others:
        if os.path.realpath(path) == os.path.realpath(other):
            raise UserError(f'{path}: {option} would overwrite it; give another name')


def count(videos: Sized) -> str:
    """The number of videos as text."""
    return f'{len(videos)} video{"" if len(videos) == 1 else "s"}'
