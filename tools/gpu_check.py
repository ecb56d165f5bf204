#!/usr/bin/env python
"""Checks mmext on a GPU, and measures it there; ``--help`` and docs/gpu.md say more."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == '__main__':
    import mmext  # noqa: F401  repairs the stack before anything else is imported
    from benchmarks.gpu_check.run import main
    from mmext.engine import cli

    cli.run(main)
