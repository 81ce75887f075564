"""Scenes and movies: their shapes, and that they look like the world in the ways that matter."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from spikehouse.errors import NotFoundError


def test_read_scene__has_natural_statistics(survey):
    scene = survey.read_scene(14)
    assert scene.shape == (918, 1174)
    assert scene.dtype == np.uint8
    assert scene.std() > 30
    square = scene[:900, :900].astype(float)
    power = np.abs(np.fft.fft2(square - square.mean())) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(900), np.fft.fftfreq(900)))
    at = np.array([0.01, 0.03, 0.1, 0.3])
    mean = [power[(radius > 0.9 * f) & (radius < 1.1 * f)].mean() for f in at]
    slope = np.polyfit(np.log(at), np.log(mean), 1)[0]
    # photographs: about 1/f² in power
    assert -3.3 < slope < -1.7


def test_read_scene__differs_by_number_and_not_by_call(survey):
    np.testing.assert_array_equal(survey.read_scene(3), survey.read_scene(3))
    assert not np.array_equal(survey.read_scene(3), survey.read_scene(4))


def test_read_scene__says_how_they_are_numbered(survey):
    with pytest.raises(NotFoundError, match="no natural scene 118: they are numbered 0 to 117"):
        survey.read_scene(118)
    with pytest.raises(NotFoundError, match="no natural scene -1"):
        survey.scene_file(-1)


def test_scene_file__is_the_scene(survey):
    path = survey.scene_file(7)
    assert path.name == "natural_scene_7.tiff"
    np.testing.assert_array_equal(tifffile.imread(path), survey.read_scene(7))


def test_movie_file__is_a_numpy_array_that_moves(survey):
    movie = np.load(survey.movie_file(1))
    assert movie.shape == (30, 304, 608)
    assert movie.dtype == np.uint8
    near = np.abs(movie[1].astype(int) - movie[0]).mean()
    far = np.abs(movie[-1].astype(int) - movie[0]).mean()
    assert 0 < near < far


def test_movie_file__says_which_movies_there_are(survey):
    with pytest.raises(NotFoundError, match="no natural movie 2: there are 1 and 3"):
        survey.movie_file(2)
