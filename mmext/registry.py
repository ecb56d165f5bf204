"""mmext's child registries, so that ``type='mmext.IResNet'`` works in a config of any OpenMMLab library."""

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from mmengine.registry import HOOKS as ROOT_HOOKS
from mmengine.registry import LOG_PROCESSORS as ROOT_LOG_PROCESSORS
from mmengine.registry import LOOPS as ROOT_LOOPS
from mmengine.registry import METRICS as ROOT_METRICS
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as ROOT_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS
from mmengine.registry import VISBACKENDS as ROOT_VISBACKENDS
from mmengine.registry import Registry

TASKS = ['mmext.classification', 'mmext.detection']
MODELS = Registry('model', parent=ROOT_MODELS, scope='mmext', locations=['mmext.backbones', *TASKS])
HOOKS = Registry('hook', parent=ROOT_HOOKS, scope='mmext', locations=['mmext.engine.hooks'])
LOOPS = Registry('loop', parent=ROOT_LOOPS, scope='mmext', locations=['mmext.engine.resume.loops'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=ROOT_OPTIM_WRAPPERS, scope='mmext',
                          locations=['mmext.engine.precision'])
LOG_PROCESSORS = Registry('log_processor', parent=ROOT_LOG_PROCESSORS, scope='mmext', locations=['mmext.engine.hooks'])
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=ROOT_PARAM_SCHEDULERS, scope='mmext',
                            locations=['mmext.engine.schedule'])
DATASETS = Registry('dataset', parent=ROOT_DATASETS, scope='mmext', locations=TASKS)
TRANSFORMS = Registry('transform', parent=ROOT_TRANSFORMS, scope='mmext', locations=['mmext.data.loading', *TASKS])
METRICS = Registry('metric', parent=ROOT_METRICS, scope='mmext', locations=TASKS)
VISBACKENDS = Registry('vis_backend', parent=ROOT_VISBACKENDS, scope='mmext', locations=['mmext.engine.visualization'])
FUNCTIONS = Registry('function', parent=ROOT_FUNCTIONS, scope='mmext',
                     locations=['mmext.engine.hooks', 'mmext.classification'])
