"""Recognition of actions, as the task that a config can be of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from torch.utils.data import Dataset

from mmext.classification.metric import log_loss
from mmext.classification.results import scores_by_name
from mmext.classification.scored import Scored
from mmext.config_tree import kind_of, pipeline_of_test
from mmext.data.checking import UNREADABLE, FileCheck, Trouble, infos_of
from mmext.data.standard import read_with_ours
from mmext.data.video import VideoError
from mmext.data.video.prepare import check
from mmext.errors import UserError
from mmext.results import Result
from mmext.samples import Shown, training_pipeline
from mmext.task import ValLoss, require_pixels
from mmext.video.transforms import read_frame
from mmext.video.views import limit_views, set_views

if TYPE_CHECKING:
    from mmext.inference import Inferencer


class Recognition(Scored):
    """One action of each video, with mmaction2's recognizers."""

    name = 'recognition'
    model_kind = 'recognizer'
    base = 'BaseRecognizer'
    accuracy = 'mmext.ActionAccuracy'
    samples = 'videos'
    heads = ('cls_head', )
    resize_keeps_ratio = True
    head_arguments = dict(stage='head')
    inputs = ('videos', )

    def takes_clips(self, model: Mapping) -> bool:
        return super().takes_clips(model) or kind_of(model) == 'Recognizer3D'

    def sample_shape(self, config: Config, size: Sequence[int] | None = None,
                     frames: int | None = None) -> tuple[int, ...]:
        size = self.picture_size(config, size)
        sampler = next((step for step in training_pipeline(config) if 'clip_len' in step), {})
        frames, clips = frames or sampler.get('clip_len'), sampler.get('num_clips', 1)
        if not frames:
            raise UserError('the training pipeline fixes no clip_len; give --frames T')
        clips_in_3d = config.model.get('data_preprocessor', {}).get('format_shape') == 'NCTHW'
        return (clips, 3, frames, *size) if clips_in_3d else (clips * frames, 3, *size)

    def with_targets(self, pixels: torch.Tensor, rng: np.random.Generator, num_classes: int) -> dict:
        size = tuple(pixels.shape[-2:])
        samples = [ActionDataSample(metainfo=dict(img_shape=size)).set_gt_label(int(rng.integers(num_classes)))
                   for _ in pixels]
        return dict(inputs=list(pixels), data_samples=samples)

    def shown(self, sample: Any) -> Shown:
        from mmext.video.hooks import frames_of

        data = sample['data_samples']
        name = str(data.get('filename', ''))
        return Shown(list(frames_of(sample['inputs'])), data.gt_label.flatten().tolist(), name=name)

    def file_checks(self, dataset: Dataset) -> Iterator[FileCheck]:
        """Of video files and of folders of frames."""
        for info in infos_of(dataset, 'frame_dir'):
            first = info.get('start_index', 1)
            numbers = range(first, first + info['total_frames'])
            yield FileCheck(info['frame_dir'], read_frames, (info['frame_dir'], info['filename_tmpl'], numbers))
        for info in infos_of(dataset, 'filename'):
            yield FileCheck(info['filename'], read_video, (info['filename'], ))

    def val_loss(self, config: Config) -> ValLoss:
        def losses(model: Any, batch: dict, outputs: Sequence[Any]) -> dict[str, torch.Tensor]:
            scores = torch.stack([output.pred_score for output in outputs]).float()
            averaged = getattr(model.cls_head, 'average_clips', None) == 'prob'
            return dict(loss=log_loss(scores if averaged else scores.softmax(-1),
                                      [int(output.gt_label) for output in outputs]))
        return losses

    def drawing_hook(self, config: Config, folder: str, score: float) -> dict:
        if self.metric_of(config).type != self.accuracy:
            return super().drawing_hook(config, folder, score)
        return dict(type='mmext.ShowVideosHook', out_dir=os.path.abspath(folder))

    def source_of(self, dataset: Any, index: int) -> tuple[int, str | None]:
        info = dataset.get_data_info(index)
        return int(info['label']), info.get('filename') or info.get('frame_dir')

    def picture_of(self, dataset: Any, index: int) -> np.ndarray:
        """Frames of one view of the video, as the network sees it."""
        from mmext.video.drawing import frame_grid
        from mmext.video.hooks import frames_of

        try:
            inputs = dataset[index]['inputs']
        except UserError as error:
            raise UserError(str(error).partition('; mend')[0]) from None  # the advice is for a test
        return np.asarray(frame_grid(frames_of(inputs)))

    def set_views(self, config: Config, views: str) -> None:
        set_views(config, views)

    def augment_test(self, config: Config, scales: Sequence[float]) -> None:
        raise UserError('--tta: the views of a video are clips and crops; give --views, such as 10x3')

    def limit_views(self, config: Config, at_once: int) -> None:
        limit_views(config, at_once)

    def inference_pipeline(self, config: Config) -> list[dict]:
        """The test pipeline, which reads video files as mmext does."""
        steps = read_with_ours(pipeline_of_test(config), 'raise')
        if not any(step['type'] == 'mmext.OpenVideo' for step in steps):
            raise UserError(f'{config.filename}: no DecordInit or mmext.OpenVideo in its test pipeline; need a '
                            'recognizer of video files')
        return steps

    def infer_file(self, inferencer: Inferencer, path: Path) -> Result:
        self.require_kind(path)
        return inferencer.infer(path)

    def require_array(self, item: object) -> None:
        require_pixels(item, ('frames', 'height', 'width'), 'a clip')

    def prepare(self, pipeline: Callable, item: str | os.PathLike | np.ndarray, path: str) -> dict:
        """``item`` is the path of a video file, or its frames, RGB, uint8, (T, height, width, 3)."""
        video = dict(filename=path, frames=item) if isinstance(item, np.ndarray) else dict(filename=str(item))
        try:
            return pipeline(dict(video, label=-1, start_index=0, modality='RGB'))
        except UserError as error:
            raise UserError(str(error).partition('; mend')[0]) from None  # the advice is for a test

    def result(self, inferencer: Inferencer, item: str | os.PathLike | np.ndarray, data: dict, sample: Any) -> Result:
        """UserError where a score is not finite."""
        from mmext.video.hooks import frames_of
        from mmext.video.results import Recognized

        scores = sample.pred_score.cpu()
        if not scores.isfinite().all():
            name = 'these frames' if isinstance(item, np.ndarray) else item
            raise UserError(f'{name}: its scores are not finite; is {inferencer.source} of a training that went well?')
        by_name = scores_by_name(inferencer.classes, scores)
        path = None if isinstance(item, np.ndarray) else Path(item)
        return Recognized(by_name, path, frames_of(data['inputs']))


def read_video(path: str) -> Trouble | None:
    """Reads all frames of a video file."""
    finding = check.inspect((path, True))
    return Trouble(path, finding.kind(1), finding.problem) if finding.problem else None


def read_frames(folder: str, template: str, numbers: range) -> Trouble | None:
    """Reads the images of a folder of frames that have these numbers."""
    try:
        for number in numbers:
            read_frame(folder, template.format(number))
    except VideoError as error:
        return Trouble(folder, UNREADABLE, error.reason)
    return None


TASK = Recognition()
