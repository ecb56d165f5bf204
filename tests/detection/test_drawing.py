"""Boxes and labels, pixel by pixel."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmext.detection.drawing import colour_of, draw_boxes, ink_on

GREY = np.full((200, 300, 3), 128, np.uint8)


def changed(image: np.ndarray, background: np.ndarray = GREY) -> np.ndarray:
    return (image != background).any(axis=2)


def test_the_frame_of_a_box() -> None:
    drawn = draw_boxes(GREY, [(50, 60, 150, 160)], [3], [''])
    assert (GREY == 128).all(), 'the picture itself stays'
    for row, column in ((60, 100), (160, 100), (100, 50), (100, 150), (160, 150), (159, 149)):
        assert tuple(drawn[row, column]) == colour_of(3)
    inside = changed(drawn)[63:158, 53:148]
    assert not inside.any() and not changed(drawn)[162:].any() and not changed(drawn)[:, 152:].any()


@pytest.mark.parametrize('corner', [(50, 60), (0, 0), (280, 5), (-40, -40), (299, 199)])
def test_a_label_is_in_the_picture_as_a_whole(corner: tuple[int, int]) -> None:
    """As much of its colour is seen wherever the box begins."""
    def plate(corner: tuple[int, int]) -> int:
        drawn = draw_boxes(GREY, [(*corner, *corner)], [0], ['square 56'])
        return changed(drawn).sum()

    assert plate(corner) == pytest.approx(plate((100, 100)), rel=0.03)


def test_a_label_stands_above_its_box() -> None:
    rows = np.flatnonzero(changed(draw_boxes(GREY, [(50, 60, 150, 160)], [0], ['cat 99'])).any(axis=1))
    assert 40 < rows.min() < 50


def test_the_surest_box_is_on_top() -> None:
    box = (50, 60, 150, 160)
    assert tuple(draw_boxes(GREY, [box, box], [1, 2], ['', ''])[100, 50]) == colour_of(1)


def test_boxes_of_every_kind() -> None:
    """Beyond the picture, of no size, turned round: drawn as far as they can be."""
    boxes = [(-50, -50, 400, 400), (10, 10, 10, 10), (20, 20, 10, 10), (1e6, 1e6, 2e6, 2e6)]
    assert draw_boxes(GREY, boxes, range(4), ['a'] * 4).shape == GREY.shape
    np.testing.assert_array_equal(draw_boxes(GREY, [], [], []), GREY)


def test_large_pictures_get_large_letters() -> None:
    """So that they are read when the whole is shown at the same size."""
    def height(side: int) -> int:
        grey = np.full((side, side, 3), 128, np.uint8)
        drawn = draw_boxes(grey, [(side / 2, side / 2) * 2], [0], ['cat'])
        return changed(drawn, grey).any(axis=1).sum()

    assert height(2000) > 4 * height(300)


def test_colours_of_classes() -> None:
    colours = [colour_of(label) for label in range(80)]
    assert len(set(colours)) == 80 and colours == [colour_of(label) for label in range(80)]
    assert all(np.abs(np.subtract(one, other)).max() > 60 for one, other in pairwise(colours))
    assert colour_of(12345)


@pytest.mark.parametrize('label', range(80))
def test_text_is_read_on_its_plate(label: int) -> None:
    """WCAG 2: a contrast of 4.5 for text, of which black or white always reaches more."""
    def luminance(colour: tuple[int, ...]) -> float:
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    ink = {'black': 0.0, 'white': 1.0}[ink_on(colour_of(label))]
    low, high = sorted((ink, luminance(colour_of(label))))
    assert (high + 0.05) / (low + 0.05) >= 4.5
