"""Reports what is installed, what is repaired and what is missing."""

from __future__ import annotations

import argparse

from mmext.engine import cli


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    return cli.Parser(prog, __doc__)


def main(args: argparse.Namespace) -> int:
    from mmext import doctor

    return doctor.main()
