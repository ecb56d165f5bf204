"""Reports what is installed, what is repaired and what is missing."""

from __future__ import annotations

import argparse


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog, description=__doc__)


def main(args: argparse.Namespace) -> int:
    from mmext import doctor

    return doctor.main()
