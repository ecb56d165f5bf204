"""Package mmext."""

import re
from pathlib import Path

from setuptools import find_packages, setup

version = re.search(r"__version__ = '(.+)'", Path('mmext/__init__.py').read_text())[1]
libraries, tests = (re.findall(r'^\w.*', part, re.MULTILINE)
                    for part in Path('requirements.txt').read_text().split('# tests'))

setup(
    name='mmext',
    version=version,
    description='Residual backbones of four papers for mmdet and mmaction2',
    packages=find_packages(include=['mmext', 'mmext.*']),
    package_data={'mmext.analysis': ['published.json'], 'mmext.detection.report': ['papers.json', 'template/*']},
    python_requires='>=3.10',
    install_requires=['torch>=2.6', 'numpy', 'rich', 'tqdm'],
    # OpenMMLab's own libraries are in no extra: they ask for two OpenCVs that overwrite each other, and their forks
    # have other names. README.md has the commands.
    extras_require={'libraries': libraries, 'test': tests},
)
