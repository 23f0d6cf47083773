# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Pictures of the sky."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from astroquery import log

from ..catalog import read_positions, source_names, table_of
from ..errors import ParameterError, reading
from ..text import printable
from .drawing import new_figure, plain_numbers, pyplot
from .lettering import (
    band_text,
    exposure_text,
    literal,
    note,
    outer_axes,
    quantity_label,
    unit_text,
    write_in_corner,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# width of a significance map, in sigma, from which there is more than the noise of statistics
_CROWDED = 1.1
# above so many standard deviations of the noise, a linear scale would show little else
_BRIGHT = 30
# where a name may go, nearest first: points from the source to the near end of the name
_OFFSETS = [
    (sign_x * x * distance, sign_y * y * distance)
    for distance in (9, 20, 34, 50, 70)
    for x, y in ((1, 0), (0.8, 0.8), (0, 1.3), (0.9, 1.4))
    for sign_x, sign_y in product((1, -1) if x else (1,), (1, -1) if y else (1,))
]
_SIZE, _SMALL = 9.0, 6.5  # points, of the letters, and in an image of less than
_NARROW = 3.5  # inches
_FAR = 16.0  # from so many points on, a line leads from a name to its source
_MARK = 5.0  # half width of a mark (points)


def plot_image(
    hdulist: fits.HDUList,
    *,
    catalog: Table | None = None,
    extension: str | int | tuple[str, int] = "SIGNIFICANCE",
    ax: Axes | None = None,
) -> Axes:
    """
    Draw a sky image with its sources.

    Significances and intensities are shown on a scale that is linear within the noise and logarithmic above it, so that
    weak sources are seen beside bright ones; variances on a logarithmic one. Pixels without data are grey, and the
    scale is that of the others. In a corner stand the energy band and the longest exposure in the image, of the
    extension ``EXPOSURE`` of that band.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_image``.
    catalog : `~astropy.table.Table`, optional
        Sources to mark: columns ``ra`` and ``dec`` (degrees unless they have units; in the frame named by
        ``meta["frame"]``, FK5 if not given), or a `~astropy.coordinates.SkyCoord`, and names (``src_names``).
        By default those of the extension ``CATALOG``, if there is one. New detections (``NEW_1``) get another mark.
        In a crowded field some names are left out, those of new detections and of low ``significance`` first; the
        marks stay.
    extension : str, int or (str, int)
        Which image: its EXTNAME, or EXTNAME and EXTVER (the energy band, counted from the lowest). In a list without
        ``SIGNIFICANCE``, such as those of most workflows, it is ``INTENSITY``, else the first image. Of a cube, the
        first plane is drawn. The label of the colour bar names what is drawn.
    ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
        Where to draw; made by ``figure.add_subplot(projection=WCS(hdulist[extension].header))``.

    Returns
    -------
    `~astropy.visualization.wcsaxes.WCSAxes`
        With a note where no pixel has data.

    Raises
    ------
    ParameterError
        If there is no such image, or ``ax`` has not its sky coordinates.
    DecodingError
        If its sky coordinates can't be read.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> from astroquery_mmoda import Mmoda
    >>> from astroquery_mmoda.plotting import plot_image
    >>> mosaic = Mmoda.query_image("isgri", "MAXI J1820+070", radius="8 deg", time_range=(58193.455, 58246.892),
    ...                            max_pointings=10)
    >>> ax = plot_image(mosaic, extension=("SIGNIFICANCE", 1))
    >>> title = ax.set_title("Field of MAXI J1820+070")
    """
    plt = pyplot()
    if not isinstance(hdulist, fits.HDUList):
        kind = type(hdulist).__name__
        raise ParameterError(f"An HDUList is needed, as query_image or astropy.io.fits.open give it, not a {kind}.")
    if catalog is not None and not isinstance(catalog, Table):
        raise ParameterError(f"catalog= must be a Table of sources, not a {type(catalog).__name__}.")
    hdu = _chosen_image(hdulist, extension)
    wcs, frame = _coordinates(hdu)
    axes = _sky_axes(wcs, ax)
    planes = hdu.data.reshape(-1, *hdu.data.shape[-2:])
    pixels = np.ma.masked_invalid(np.asarray(planes[0], dtype=float))
    colours = plt.get_cmap("viridis").with_extremes(bad="0.7")
    drawn = axes.imshow(pixels, origin="lower", cmap=colours, norm=_scale(pixels, hdu), interpolation="nearest")
    _label_sky(axes, wcs, frame.name)
    _colour_bar(axes, drawn, _image_label(hdu, len(planes)))
    letters = {"fontsize": _letter_size(axes), "bbox": None, **_lettering("white")}
    corner = write_in_corner(axes, _facts(hdulist, hdu), "upper left", **letters)
    if catalog is None and "CATALOG" in hdulist and len(hdulist["CATALOG"].data):
        catalog = table_of(hdulist)
    if catalog is not None and len(catalog):
        _mark_sources(axes, catalog, pixels.shape, corner)
    if not pixels.count():
        note(axes, "no data", y=0.95)
    return axes


# ---- which image, and where ----


def _chosen_image(hdulist: fits.HDUList, extension: str | int | tuple[str, int]) -> Any:
    images = [
        hdu
        for hdu in hdulist
        if getattr(hdu, "is_image", False) and hdu.data is not None and hdu.data.ndim >= 2 and hdu.data.size
    ]
    try:
        hdu = hdulist[extension]
    except (KeyError, IndexError, TypeError, ValueError):
        hdu = None
    if hdu is None and isinstance(extension, str) and extension == "SIGNIFICANCE" and images:  # the default
        hdu = next((image for image in images if image.name == "INTENSITY"), images[0])
        if len(images) > 1:
            log.info("There is no SIGNIFICANCE; (%r, %s) is drawn, of %s images.", hdu.name, hdu.ver, len(images))
    if not any(hdu is image for image in images):
        present = ", ".join(f"({image.name!r}, {image.ver})" for image in images) or "none"
        wanted = printable(repr(extension), limit=80)
        raise ParameterError(f"there is no image {wanted}; images present: {printable(present)}")
    return hdu


def _coordinates(hdu: Any) -> tuple[WCS, Any]:
    """Coordinates of an image and their frame; wcslib has many kinds of errors for headers that make no sense."""
    what = f"the sky coordinates of extension ({printable(repr(hdu.name), limit=80)}, {hdu.ver})"
    with reading(what):
        whole = WCS(hdu.header)
        if not whole.has_celestial:
            raise ParameterError(f"{what} are missing; matplotlib.pyplot.imshow(hdu.data, origin='lower') draws it")
        wcs = whole.celestial
        if {whole.wcs.lng, whole.wcs.lat} != {0, 1}:
            raise ParameterError(f"{what} are not along the first two axes of it")
        wcs.pixel_to_world_values(0, 0)
        return wcs, wcs_to_celestial_frame(wcs)


def _sky_axes(wcs: WCS, ax: Axes | None) -> Any:
    from astropy.visualization.wcsaxes import WCSAxes

    if ax is None:
        return new_figure((7.2, 5.8)).add_subplot(projection=wcs)
    if not isinstance(ax, WCSAxes) or not wcs.wcs.compare(ax.wcs.celestial.wcs, tolerance=1e-6):
        raise ParameterError(
            "ax needs the sky coordinates of the image: figure.add_subplot(projection=WCS(hdulist[extension].header))"
        )
    return ax


# ---- colours ----


def _scale(pixels: np.ma.MaskedArray, hdu: Any) -> Any:
    """Linear within the noise and logarithmic above for what has noise around 0, else logarithmic or linear."""
    from matplotlib.colors import AsinhNorm, LogNorm, Normalize

    values = pixels.compressed() if pixels.count() else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    if hdu.name == "VARIANCE" and 0 < low < high:
        return LogNorm(low, high)  # it grows by powers of ten towards the edge of the field
    # sources are few pixels, so that the median deviation is the noise's
    noise = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    # images of workflows do not say what they are; these have noise around 0 and something far above it
    is_noisy = low < -noise < 0 and high > _BRIGHT * noise
    if hdu.name not in ("SIGNIFICANCE", "INTENSITY", "RESIDUAL") and not is_noisy:
        return Normalize(low, high)
    if hdu.name == "SIGNIFICANCE" and noise <= _CROWDED:
        noise = 1.0
    noise = noise or max(-low, high) / 10 or 1.0
    return AsinhNorm(linear_width=3 * noise, vmin=-3 * noise, vmax=max(high, 6 * noise))


def _colour_bar(axes: Any, drawn: Any, label: str) -> None:
    from matplotlib.colors import AsinhNorm

    signed = isinstance(drawn.norm, AsinhNorm)
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.02, fraction=0.05, extend="min" if signed else "neither")
    bar.set_label(label)
    if signed:
        steps = _steps(drawn.norm)
        bar.set_ticks(steps, labels=[f"{step:g}".replace("-", "\N{MINUS SIGN}") for step in steps])
        bar.minorticks_off()


def _steps(norm: Any) -> list[float]:
    """Round numbers outside the linear part, and 0."""
    width = norm.linear_width
    span = norm.vmax / width
    leading = (1, 2, 3, 5) if span < 5 else (1, 3) if span < 3000 else (1,)
    decades = range(int(np.floor(np.log10(width))), int(np.ceil(np.log10(norm.vmax))) + 1)
    large = [digit * 10.0**decade for decade in decades for digit in leading]
    both = [-step for step in large] + [0.0] + large
    return [step for step in both if norm.vmin <= step <= norm.vmax and (step == 0 or abs(step) >= 0.8 * width)]


# ---- labels ----


def _label_sky(axes: Any, wcs: WCS, frame: str) -> None:
    names = [f"Right ascension ({frame.upper()})", f"Declination ({frame.upper()})"]
    if frame == "galactic":
        names = ["Galactic longitude", "Galactic latitude"]
    upright = _is_upright(wcs, axes.images[0].get_array().shape)
    for index, name in zip((wcs.wcs.lng, wcs.wcs.lat), names, strict=True):
        coordinate = axes.coords[index]
        # of images that share their axes, only those at the edges of the figure have numbers
        is_inner = outer_axes(axes, "xy"[index]) is not axes
        coordinate.set_ticklabel_visible(not is_inner)
        if upright:
            # without this, the edge that more lines of the grid reach, often the upper one
            coordinate.set_ticklabel_position("bl"[index])
            coordinate.set_axislabel_position("bl"[index])
        coordinate.set_ticklabel(exclude_overlapping=True)
        # in degrees, as in the source list and in the arguments of a query
        coordinate.set_format_unit(u.deg, decimal=True, show_decimal_unit=True)
        coordinate.set_axislabel("" if is_inner else name)
        coordinate.grid(color="white", alpha=0.25, linewidth=0.6)
        coordinate.set_ticks(number=4 if _is_narrow(axes) else 6)


def _is_upright(wcs: WCS, shape: tuple[int, ...]) -> bool:
    """Whether lines of right ascension reach the lower edge of an image, and those of declination its left one."""
    scales = np.abs(wcs.pixel_scale_matrix)
    size = max(shape) * scales.max()
    return bool(scales[0, 1] + scales[1, 0] < 0.2 * scales.diagonal().min() and abs(wcs.wcs.crval[1]) + size / 2 < 75)


def _is_narrow(axes: Any) -> bool:
    return bool(axes.bbox.width < _NARROW * axes.figure.dpi)


def _letter_size(axes: Any) -> float:
    return _SMALL if _is_narrow(axes) else _SIZE


def _image_label(hdu: Any, planes: int) -> str:
    kind = literal(hdu.name, limit=40).capitalize() or "Image"
    kind += f", plane 1 of {planes}" if planes > 1 else ""
    unit = r"$\sigma$" if hdu.name == "SIGNIFICANCE" else unit_text(hdu.header.get("BUNIT"))
    return quantity_label(kind, unit)


def _facts(hdulist: fits.HDUList, hdu: Any) -> list[str]:
    """Energy band and longest exposure of an image."""
    exposure: list[float] = []
    if hdu.name != "EXPOSURE" and ("EXPOSURE", hdu.ver) in hdulist:
        data = hdulist["EXPOSURE", hdu.ver].data
        longest = 0.0 if data is None or data.dtype.kind not in "iuf" else float(np.nanmax(data, initial=0.0))
        exposure = [longest] if 0 < longest < np.inf else []
    band = band_text(hdu.header.get("E_MIN"), hdu.header.get("E_MAX"))
    return [band, exposure_text(exposure, "Exposure \N{LESS-THAN OR EQUAL TO}")]


def _lettering(colour: str) -> dict[str, Any]:
    """Style of letters that are seen on any colour."""
    from matplotlib.patheffects import withStroke

    return {"color": colour, "path_effects": [withStroke(linewidth=2.4, foreground="black", alpha=0.85)]}


# ---- sources ----


def _mark_sources(axes: Any, catalog: Table, shape: tuple[int, ...], corner: Any) -> None:
    """Mark and name the sources of a catalogue that are on an image of this shape; no name goes over the corner."""
    x, y = (np.atleast_1d(values) for values in axes.wcs.world_to_pixel(read_positions(catalog).as_sky_coord()))
    # a projection may have no pixel for the other side of the sky
    with np.errstate(invalid="ignore"):
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    names = np.array([literal(name, limit=40) for name in source_names(catalog) or [""] * len(catalog)], dtype=object)
    new = np.array([name.upper().startswith("NEW") for name in names], dtype=bool)
    column = next((name for name in catalog.colnames if name.lower() == "significance"), None)
    significances = np.zeros(len(catalog)) if column is None else np.nan_to_num(plain_numbers(catalog[column]))
    for chosen, marker, edge in ((inside & ~new, "o", "white"), (inside & new, "D", "orange")):
        style = {"facecolors": "none", "linewidths": 1.2, "path_effects": _lettering(edge)["path_effects"]}
        axes.scatter(x[chosen], y[chosen], s=45 if _is_narrow(axes) else 90, marker=marker, edgecolors=edge, **style)
    order = [row for row in np.lexsort((-significances, new)) if inside[row]]
    colours = np.where(new, "orange", "white")
    _name_sources(axes, [(names[row], (x[row], y[row]), colours[row]) for row in order], corner)


def _name_sources(axes: Any, sources: list[tuple[str, tuple[float, float], str]], corner: Any) -> None:
    """Write each name where it meets no other one, nor a mark if possible; without such a place it is left out."""
    from matplotlib.transforms import Bbox

    figure = axes.figure.canvas.figure
    # distances on paper are known only after the layout
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
    axes.apply_aspect()
    pixels = figure.dpi / 72  # in a point
    places = [axes.transData.transform(place) for _, place, _ in sources]
    marks = [Bbox([place - _MARK * pixels, place + _MARK * pixels]) for place in places]
    size, frame = _letter_size(axes), axes.bbox.padded(-1.5 * pixels)  # of their outlines
    taken: list[Any] = [] if corner is None else [corner.get_window_extent()]
    for name, place, colour in sources:
        measured = axes.text(*place, name, fontsize=size, ha="center", va="center")
        box = measured.get_window_extent()
        measured.remove()
        boxes = [box.translated(x * pixels + np.sign(x) * box.width / 2, y * pixels) for x, y in _OFFSETS]
        inside = [number for number, box in enumerate(boxes) if all(frame.contains(*end) for end in box.corners())]
        free = [
            number for others in (taken + marks, taken) for number in inside if not boxes[number].count_overlaps(others)
        ]
        if free:
            taken.append(boxes[free[0]])
            offset = _OFFSETS[free[0]]
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5}
            axes.annotate(
                name, place, offset, textcoords="offset points", fontsize=size, va="center",
                ha={1.0: "left", -1.0: "right"}.get(np.sign(offset[0]), "center"),
                arrowprops=line if np.hypot(*offset) > _FAR else None, **_lettering(colour),
            )  # fmt: skip
