"""Simulated natural scenes and movies: overlapping ellipses and 1/f noise (dead leaves).

Photographs consist of objects in front of others. Discs of power-law sizes that occlude one another
reproduce their statistics: edges, scale invariance, and a spectrum that falls with frequency (Lee,
Mumford & Huang 2001, https://doi.org/10.1023/A:1011109015675).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikehouse.demo.sessions import make_rng

SCENE_SHAPE = (918, 1174)
MOVIE_SHAPE = (304, 608)
N_ELLIPSES = 650
MIN_RADIUS, MAX_RADIUS = 12.0, 260.0
N_BACKDROP, SHRINK = 80, 5
MOVIE_MARGIN = 2.2


def _make_texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Make a texture with a 1/f spectrum as a sum of noise at several scales."""
    texture_field: np.ndarray = np.zeros(shape, dtype=np.float32)
    step = 128
    while step >= 8:
        rows, columns = shape[0] // step + 3, shape[1] // step + 3
        coarse = rng.standard_normal((rows, columns), dtype=np.float32)
        texture_field += step**0.5 * _enlarge(coarse, step, shape)
        step //= 4
    texture_field += rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(texture_field / texture_field.std())


def _enlarge(coarse: np.ndarray, step: int, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a coarse grid linearly along both axes."""

    def along(values: np.ndarray, n: int) -> np.ndarray:
        at = np.arange(n, dtype=np.float32) / step
        low = at.astype(np.int32)
        part = (at - low.astype(np.float32))[:, None]
        below = values[low]
        return np.asarray(below + (values[low + 1] - below) * part)

    return along(along(coarse, shape[0]).T, shape[1]).T


def _make_backdrop(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw large ellipses, out of focus, that cover the whole image."""
    coarse: np.ndarray = np.full(
        (shape[0] // SHRINK + 3, shape[1] // SHRINK + 3), 0.4, dtype=np.float32
    )
    radii = rng.uniform(90, 420, size=N_BACKDROP) / SHRINK
    flat = np.zeros_like(coarse)
    _draw_ellipses(rng, coarse, np.sort(radii)[::-1], flat)
    for axis in (0, 1, 0, 1):
        coarse = (np.roll(coarse, 1, axis) + 2 * coarse + np.roll(coarse, -1, axis)) / 4
    return _enlarge(coarse, SHRINK, shape)


def _draw_ellipses(
    rng: np.random.Generator, canvas: np.ndarray, radii: np.ndarray, texture_field: np.ndarray
) -> None:
    """Draw shaded, textured ellipses over one another, in the given order."""
    shape = canvas.shape
    for radius in radii:
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        ratio, angle = rng.uniform(0.35, 1.0), rng.uniform(0, np.pi)
        shade = float(np.clip(rng.beta(1.5, 2.2), 0.02, 0.98))
        slope = rng.normal(0, 0.35, size=2) / radius
        texture = 0.1 * rng.random()
        top, bottom = max(0, int(y - radius)), min(shape[0], int(y + radius) + 1)
        left, right = max(0, int(x - radius)), min(shape[1], int(x + radius) + 1)
        down = (np.arange(top, bottom, dtype=np.float32) - np.float32(y))[:, None]
        across = (np.arange(left, right, dtype=np.float32) - np.float32(x))[None, :]
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along = cosine * across + sine * down
        aside = (cosine * down - sine * across) / np.float32(ratio)
        inside = along * along + aside * aside < np.float32(radius * radius)
        box = (slice(top, bottom), slice(left, right))
        colour = shade * (1 + np.float32(slope[0]) * down + np.float32(slope[1]) * across)
        colour = colour + np.float32(texture) * texture_field[box]
        np.copyto(canvas[box], colour.astype(np.float32), where=inside)


def _draw_picture(rng: np.random.Generator, shape: tuple[int, int], n_ellipses: int) -> np.ndarray:
    """Draw ellipses of all sizes under slowly varying light."""
    canvas = _make_backdrop(rng, shape)
    texture_field = _make_texture(rng, shape)
    # with radii of density r⁻³ the statistics of the image are the same at every scale
    share = rng.random(n_ellipses)
    low, high = MIN_RADIUS**-2, MAX_RADIUS**-2
    radii = np.sort((low + share * (high - low)) ** -0.5)
    # large ellipses tend to be behind small ones
    order = np.argsort(-radii * np.exp(rng.normal(0, 0.6, n_ellipses)))
    _draw_ellipses(rng, canvas, radii[order], texture_field)
    return np.asarray(canvas + np.float32(0.05) * texture_field)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(255 * values, 0, 255).astype(np.uint8))


def make_scene(seed: int, number: int) -> np.ndarray:
    """Make a natural scene: (918, 1174) uint8."""
    rng = make_rng(seed, "scene", number)
    n_ellipses = int(N_ELLIPSES * rng.uniform(0.35, 1.3))
    return _to_bytes(_draw_picture(rng, SCENE_SHAPE, n_ellipses))


def write_scene(seed: int, number: int, path: Path) -> None:
    """Write a natural scene as a TIFF file."""
    from tifffile import imwrite

    imwrite(path, make_scene(seed, number), metadata=None, software="", datetime=False)


def write_movie(seed: int, number: int, n_frames: int, path: Path) -> None:
    """Write a natural movie, a scene seen by a panning and zooming camera: (frames, 304, 608)."""
    rng = make_rng(seed, "movie", number)
    height, width = MOVIE_SHAPE
    shape = (int(height * MOVIE_MARGIN), int(width * MOVIE_MARGIN))
    scene = _draw_picture(rng, shape, N_ELLIPSES)
    # the camera moves in slow waves, which differ between pan and zoom
    at = np.arange(n_frames) / 30.0
    waves = rng.uniform(0.03, 0.12, size=3), rng.uniform(0, 2 * np.pi, size=3)
    pan_y, pan_x, zoom = (
        0.5 + 0.5 * np.sin(2 * np.pi * speed * at + start)
        for speed, start in zip(*waves, strict=True)
    )
    movie = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(n_frames, height, width)
    )
    for frame in range(n_frames):
        size = 1 + 0.9 * zoom[frame]
        rows = pan_y[frame] * (shape[0] - size * height - 1) + size * np.arange(height)
        columns = pan_x[frame] * (shape[1] - size * width - 1) + size * np.arange(width)
        movie[frame] = _to_bytes(scene[rows.astype(int)[:, None], columns.astype(int)[None, :]])
    movie.flush()
