"""Package mmext; what belongs to OpenMMLab is left to the extras, because its forks have other names."""

import re
from pathlib import Path

from setuptools import find_packages, setup

version = re.search(r"__version__ = '(.+)'", Path('mmext/__init__.py').read_text())[1]
# opencv is absent here: mmcv wants opencv-python, mmaction2 opencv-contrib-python, servers a headless one, and only one
# of the four may be installed.
common = ['matplotlib', 'pycocotools', 'scipy', 'shapely', 'six', 'terminaltables', 'einops', 'decord']

setup(
    name='mmext',
    version=version,
    description='Residual backbones of four papers for mmdet and mmaction2',
    packages=find_packages(include=['mmext', 'mmext.*']),
    python_requires='>=3.10',
    install_requires=['torch>=2.1', 'numpy', 'tqdm', 'rich', 'Pillow'],
    extras_require={
        'openmmlab': ['mmengine==0.10.7', 'mmdet==3.3.0', 'mmaction2==1.2.0', *common],
        'onedl': ['onedl-mmengine', 'onedl-mmdetection', *common],
        'test': ['pytest', 'pytest-xdist', 'ruff'],
    },
)
