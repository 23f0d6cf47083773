# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Plots of what the queries return.

Each function returns the `~matplotlib.axes.Axes` it drew on. Without ``ax`` it opens a new pyplot figure, as astropy
users expect: a notebook displays it by itself, a script by ``matplotlib.pyplot.show()``; many of them are closed by
``matplotlib.pyplot.close(ax.figure)``. Nothing else of matplotlib's state is changed.

Matplotlib is needed: ``pip install "astroquery_mmoda[plot]"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from .errors import ParameterError
from .products.ogip import channel_table, pick_sources
from .products.sources import match_source
from .text import printable
from .units import known_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_image", "plot_lightcurve", "plot_spectrum"]

# below this signal to noise ratio a point is drawn as an upper limit of so many standard deviations
_DETECTED, _LIMIT = 2.0, 3.0
# light curves shorter than this (days) are drawn in seconds
_SHORT = 0.1
# from so many bins on, their errors are drawn faintly behind them
_MANY = 300
_MARKERS = "osD^v<>p"
_NAMES = ("src_names", "src_name", "name", "main_id", "source")


def _pyplot() -> ModuleType:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('plots need matplotlib; install it by: pip install "astroquery_mmoda[plot]"') from error
    return pyplot


# ---- images ----


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
    weak sources are seen beside bright ones. Pixels without data are grey.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_image``.
    catalog : `~astropy.table.Table`, optional
        Sources to mark: columns ``ra`` and ``dec`` (degrees unless they have units; in the frame named by
        ``meta["frame"]``, FK5 if not given), or a `~astropy.coordinates.SkyCoord`, and names (``src_names``).
        By default those of the extension ``CATALOG``, if there is one. New detections (``NEW_1``) get another mark.
    extension : str, int or (str, int)
        Which image: its EXTNAME, or EXTNAME and EXTVER (the energy band, counted from the lowest).
    ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
        Where to draw; made by ``figure.add_subplot(projection=WCS(hdulist[extension].header))``.

    Returns
    -------
    `~astropy.visualization.wcsaxes.WCSAxes`

    Raises
    ------
    ParameterError
        If there is no such image, or ``ax`` has not its sky coordinates.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> ax = plot_image(mosaic, extension=("SIGNIFICANCE", 2))  # doctest: +SKIP
    >>> ax.figure.savefig("mosaic.pdf")  # doctest: +SKIP
    """
    pyplot = _pyplot()
    hdu = _image(hdulist, extension)
    wcs = WCS(hdu.header).celestial
    if not wcs.has_celestial:
        raise ParameterError(f"extension {extension!r} has no sky coordinates")
    axes = _sky_axes(pyplot, wcs, ax)
    pixels = np.ma.masked_invalid(np.asarray(hdu.data, dtype=float))
    colours = pyplot.get_cmap("viridis").with_extremes(bad="0.85")
    drawn = axes.imshow(pixels, origin="lower", cmap=colours, norm=_scale(pixels, hdu), interpolation="nearest")
    _label_sky(axes, wcs)
    _colour_bar(axes, drawn, hdu)
    sources = _catalogue(hdulist) if catalog is None else catalog
    if sources is not None and len(sources):
        _mark_sources(axes, sources, pixels.shape)
    return axes


def _image(hdulist: fits.HDUList, extension: str | int | tuple[str, int]) -> Any:
    images = [hdu for hdu in hdulist if hdu.is_image and hdu.data is not None and hdu.data.ndim == 2]
    try:
        hdu = hdulist[extension]
    except (KeyError, IndexError):
        hdu = None
    if not any(hdu is image for image in images):
        present = ", ".join(f"({image.name!r}, {image.ver})" for image in images) or "none"
        raise ParameterError(f"there is no image {extension!r}; images present: {printable(present)}")
    return hdu


def _sky_axes(pyplot: ModuleType, wcs: WCS, ax: Axes | None) -> Any:
    from astropy.visualization.wcsaxes import WCSAxes

    if ax is None:
        return pyplot.figure(figsize=(7.2, 5.8), layout="constrained").add_subplot(projection=wcs)
    if not isinstance(ax, WCSAxes) or not _same_sky(ax.wcs, wcs):
        raise ParameterError(
            "ax needs the sky coordinates of the image; make it by "
            "figure.add_subplot(projection=WCS(hdulist[extension].header))"
        )
    return ax


def _same_sky(one: Any, other: WCS) -> bool:
    rows, columns = other.array_shape or (2, 2)
    places = [0, columns - 1, columns / 2], [0, rows - 1, rows / 2]
    first, second = (np.asarray(wcs.pixel_to_world_values(*places), dtype=float) for wcs in (one, other))
    return bool(np.allclose(first, second, rtol=0, atol=1e-6, equal_nan=True))


def _scale(pixels: np.ma.MaskedArray, hdu: Any) -> Any:
    """Linear within the noise and logarithmic above for what has noise around 0, linear for all else."""
    from matplotlib.colors import AsinhNorm, Normalize

    values = pixels.compressed()
    if not values.size:
        return Normalize(0, 1)
    if hdu.name == "SIGNIFICANCE":
        noise = 1.0
    elif hdu.name in ("INTENSITY", "RESIDUAL"):
        # sources are few pixels, so that the median deviation is the noise's
        noise = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    else:
        return Normalize(float(values.min()), float(values.max()))
    noise = noise or float(np.abs(values).max()) / 10 or 1.0
    return AsinhNorm(linear_width=3 * noise, vmin=-3 * noise, vmax=max(float(values.max()), 6 * noise))


def _label_sky(axes: Any, wcs: WCS) -> None:
    frame = wcs_to_celestial_frame(wcs)
    longitude, latitude = axes.coords[wcs.wcs.lng], axes.coords[wcs.wcs.lat]
    if frame.name == "galactic":
        names = ("Galactic longitude", "Galactic latitude")
    else:
        names = (f"Right ascension ({frame.name.upper()})", f"Declination ({frame.name.upper()})")
    for coordinate, name in zip((longitude, latitude), names, strict=True):
        # in degrees, as in the source list and in the arguments of a query
        coordinate.set_format_unit(u.deg, decimal=True, show_decimal_unit=True)
        coordinate.set_axislabel(name)
        coordinate.grid(color="white", alpha=0.25, linewidth=0.6)
        coordinate.set_ticks(number=6)


def _colour_bar(axes: Any, drawn: Any, hdu: Any) -> None:
    from matplotlib.ticker import ScalarFormatter

    extend = "min" if drawn.norm.vmin < 0 else "neither"
    bar = axes.figure.colorbar(drawn, ax=axes, pad=0.02, fraction=0.05, extend=extend)
    bar.set_label(_image_label(hdu))
    bar.ax.minorticks_off()
    if hdu.name == "SIGNIFICANCE":
        steps = np.array([-3, 0, 3, 10, 30, 100, 300, 1000, 3000])
        bar.set_ticks([step for step in steps if step <= drawn.norm.vmax], minor=False)
        bar.ax.yaxis.set_major_formatter(ScalarFormatter())


def _image_label(hdu: Any) -> str:
    kind = printable(hdu.name, limit=40).capitalize() or "Image"
    unit = r"$\sigma$" if hdu.name == "SIGNIFICANCE" else _unit_text(hdu.header.get("BUNIT"))
    band = _band_text(hdu.header.get("E_MIN"), hdu.header.get("E_MAX"))
    return f"{kind} ({unit})" * bool(unit) + kind * (not unit) + (f", {band}" if band else "")


def _band_text(low: Any, high: Any) -> str:
    return "" if low is None or high is None else f"{low:g}\N{EN DASH}{high:g} keV"


def _unit_text(unit: Any) -> str:
    """Write a unit for a label, or nothing where there is none."""
    parsed = known_unit(unit) if isinstance(unit, str) else unit
    if parsed is None:
        unit = unit or "none"
        # the service writes "no units" as well
        return "" if str(unit).strip().lower() in ("no units", "none") else printable(unit, limit=40).replace("$", "")
    return "" if parsed == u.dimensionless_unscaled else parsed.to_string("latex_inline")


# ---- sources on an image ----


def _catalogue(hdulist: fits.HDUList) -> Table | None:
    found = next((hdu for hdu in hdulist if hdu.name == "CATALOG"), None)
    return None if found is None or not len(found.data) else Table.read(found)


def _mark_sources(axes: Any, catalog: Table, shape: tuple[int, ...]) -> None:
    from matplotlib.patheffects import withStroke

    x, y = axes.wcs.world_to_pixel(_positions(catalog))
    x, y = np.atleast_1d(x), np.atleast_1d(y)
    # a projection may have no place for the other side of the sky
    with np.errstate(invalid="ignore"):
        inside = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    names = _source_names(catalog)[inside]
    x, y = x[inside], y[inside]
    new = np.array([name.upper().startswith("NEW") for name in names], dtype=bool)
    outline = [withStroke(linewidth=2.2, foreground="black", alpha=0.6)]
    styles = ((~new, {"marker": "o", "edgecolors": "white"}), (new, {"marker": "D", "edgecolors": "orange"}))
    for chosen, style in styles:
        if chosen.any():
            axes.scatter(x[chosen], y[chosen], s=90, facecolors="none", linewidths=1.2, path_effects=outline, **style)
    _name_sources(axes, x, y, names, ["orange" if is_new else "white" for is_new in new], outline)


def _column(table: Table, *names: str) -> Any:
    """Find the first column of one of these names, whatever their case, or None."""
    known = {name.lower(): name for name in table.colnames}
    return next((table[known[name]] for name in names if name in known), None)


def _source_names(catalog: Table) -> np.ndarray:
    column = _column(catalog, *_NAMES)
    names = [""] * len(catalog) if column is None else [_literal(name) for name in column]
    return np.array(names, dtype=object)


def _literal(name: Any, limit: int = 40) -> str:
    # matplotlib takes what is between two dollars for a formula
    return printable(name, limit=limit).replace("$", r"\$")


def _positions(catalog: Table) -> SkyCoord:
    for column in catalog.columns.values():
        if isinstance(column, SkyCoord):
            return column
    ra, dec = _column(catalog, "ra", "raj2000", "ra_obj"), _column(catalog, "dec", "dej2000", "dec_obj")
    if ra is None or dec is None:
        raise ParameterError(f"the catalogue has no columns ra and dec, only {', '.join(catalog.colnames)}")
    frame = {str(key).lower(): value for key, value in catalog.meta.items()}.get("frame", "fk5")
    longitude, latitude = (_filled(column) * (column.unit or u.deg) for column in (ra, dec))
    return SkyCoord(longitude, latitude, frame=str(frame).lower())


def _name_sources(
    axes: Any, x: np.ndarray, y: np.ndarray, names: np.ndarray, colours: list[str], outline: list[Any]
) -> None:
    """Write names next to their sources, moved away from each other where they would overlap."""
    size = 9.0
    points = axes.figure.dpi / 72
    # distances on paper are known only after the layout
    layout = axes.figure.get_layout_engine()
    if layout is not None:
        layout.execute(axes.figure)
    axes.apply_aspect()
    places = axes.transData.transform(np.column_stack([x, y])) / points
    widths = _text_widths(names, size)
    offsets = _spread(places, widths, 1.3 * size, axes.bbox.extents / points)
    for x_y, name, colour, (right, up) in zip(zip(x, y, strict=True), names, colours, offsets, strict=True):
        far = np.hypot(right, up) > 16
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5} if far else None
        axes.annotate(
            name, x_y, (right, up), textcoords="offset points", color=colour, fontsize=size, va="center",
            ha="left" if right > 0 else "right" if right < 0 else "center", arrowprops=line, path_effects=outline,
        )  # fmt: skip


def _text_widths(names: Iterable[str], size: float) -> list[float]:
    """Measure names (points), their outline included."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    return [text_to_path.get_text_width_height_descent(name, font, ismath=False)[0] + 3 for name in names]


# where a name may go, nearest first (points from the source to the near end of the name)
_OFFSETS = [(sign_x * distance * cos, sign_y * distance * sin)
            for distance in (9, 20, 34, 50)
            for cos, sin in ((1, 0), (0.8, 0.8), (0, 1.3), (0.9, 1.4))
            for sign_x in ((1, -1) if cos else (1,))
            for sign_y in ((1, -1) if sin else (1,))]  # fmt: skip


def _spread(places: np.ndarray, widths: list[float], height: float, limits: np.ndarray) -> list[tuple[float, float]]:
    """Offset of each name (points) so that it meets neither another name nor a mark, as far as that can be had."""
    marks = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    taken: list[tuple[float, ...]] = []
    offsets = []
    for own, (place, width) in enumerate(zip(places, widths, strict=True)):
        others = [*marks[:own], *marks[own + 1 :], *taken]
        boxes = [_box(place, offset, width, height) for offset in _OFFSETS]
        costs = [
            sum(_common(box, other) for other in others) + _outside(box, limits) + 0.5 * np.hypot(*offset)
            for box, offset in zip(boxes, _OFFSETS, strict=True)
        ]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        offsets.append(_OFFSETS[best])
    return offsets


def _box(place: np.ndarray, offset: tuple[float, float], width: float, height: float) -> tuple[float, ...]:
    x, y = place[0] + offset[0], place[1] + offset[1]
    left = x if offset[0] > 0 else x - width if offset[0] < 0 else x - width / 2
    return left, y - height / 2, left + width, y + height / 2


def _common(one: tuple[float, ...], other: Iterable[float]) -> float:
    left, bottom, right, top = other
    return max(0.0, min(one[2], right) - max(one[0], left)) * max(0.0, min(one[3], top) - max(one[1], bottom))


def _outside(box: tuple[float, ...], limits: np.ndarray) -> float:
    whole = (box[2] - box[0]) * (box[3] - box[1])
    # a name that is cut off is worse than one upon another
    return 5 * (whole - _common(box, limits))


# ---- spectra ----


def plot_spectrum(hdulist: fits.HDUList, source: str | None = None, ax: Axes | None = None) -> Axes:
    """
    Draw spectra: count rate per energy over energy, both on logarithmic scales.

    Horizontal bars are the widths of the channels, vertical ones the statistical errors. Below a signal to noise ratio
    of 2 an arrow stands at 3 standard deviations, an upper limit. Channels of bad quality are left out.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        As returned by ``query_spectrum``. The response is not taken out: the rates are those of the detector.
    source : str, optional
        Name of one source (case and blanks ignored); all of them by default.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    ParameterError
        If there is no such source.
    DecodingError
        If a spectrum has no energies.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> ax = plot_spectrum(spectra, "Cyg X-1")  # doctest: +SKIP
    """
    pyplot = _pyplot()
    sources = pick_sources(hdulist, source)
    tables = [(name, channel_table(hdulist, number, name)) for number, name in sources]
    axes = _plain_axes(pyplot, ax)
    for index, (name, table) in enumerate(tables):
        _draw_spectrum(axes, table, _literal(name, limit=60), index)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _write_energies(axes)
    axes.set_xlabel("Energy (keV)")
    axes.set_ylabel(r"Count rate ($\mathrm{ct\,s^{-1}\,keV^{-1}}$)")
    _legend(axes, len(tables))
    return axes


def _plain_axes(pyplot: ModuleType, ax: Axes | None) -> Any:
    if ax is not None:
        return ax
    return pyplot.figure(figsize=(6.4, 4.4), layout="constrained").add_subplot()


def _style(index: int, size: float) -> dict[str, Any]:
    # C0, C1, ... follow the user's own colours; after ten of them another marker tells sources apart
    return {
        "color": f"C{index % 10}",
        "marker": _MARKERS[index // 10 % len(_MARKERS)],
        "markersize": size,
        "linestyle": "none",
        "elinewidth": 0.9,
        "capsize": 0,
    }


def _draw_spectrum(axes: Any, table: Table, name: str, index: int) -> None:
    rate, error = np.asarray(table["rate"]), np.asarray(table["error"])
    low, high = np.asarray(table["e_min"]), np.asarray(table["e_max"])
    # the middle on a logarithmic scale; a first channel may begin at 0
    middle = np.where(low > 0, np.sqrt(low * high), (low + high) / 2)
    usable = (np.asarray(table["quality"]) == 0) & np.isfinite(rate) & (high > 0)
    # without errors there is nothing to judge a point by but its sign
    detected = usable & (rate > 0) & ~(rate < _DETECTED * error)
    widths = np.array([middle - low, high - middle])
    points = axes.errorbar(
        middle[detected], rate[detected], error[detected], widths[:, detected], label=name, **_style(index, 3.5)
    )
    limited = usable & ~detected & (error > 0)
    if limited.any():
        limit = _LIMIT * error[limited]
        style = {**_style(index, 3.5), "marker": "none", "alpha": 0.55}
        # arrows of one length on a logarithmic scale
        axes.errorbar(middle[limited], limit, 0.3 * limit, widths[:, limited], uplims=True, **{**style, "capsize": 2})
    points.lines[0].set_zorder(3)


def _write_energies(axes: Any) -> None:
    """Write energies as 20, 50, 100 and not as powers of ten, of which a spectrum may span one or two."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: f"{energy:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any, entries: int, points: int = 0) -> None:
    if not entries:
        return
    # many names need room beside the data, and among many points no room is worth looking for
    place: dict[str, Any] = {"loc": "best" if points < 2000 else "upper right"}
    if entries > 8:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0.0}
    axes.legend(frameon=False, fontsize="small", **place)


# ---- light curves ----


def plot_lightcurve(table: Table, source: str | None = None, ax: Axes | None = None) -> Axes:
    """
    Draw light curves: the first value of the service (RATE, FLUX, COUNTS, MAG, ...) over time.

    Horizontal bars are the widths of the bins, vertical ones the errors; masked bins are gaps. Times are MJD (TT),
    or, where all of them are within a tenth of a day, seconds since the start of the first bin, which the axis names.
    Magnitudes grow downwards.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As returned by ``query_lightcurve``: columns ``src_name``, ``time``, ``time_bin``, ``e_min``, ``e_max``, values.
    source : str, optional
        Name of one source (case and blanks ignored); all of them by default.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    ParameterError
        If there is no such source, or the table is no light curve.
    ImportError
        If matplotlib is missing.

    Examples
    --------
    >>> ax = plot_lightcurve(curve, "Crab")  # doctest: +SKIP
    """
    pyplot = _pyplot()
    value, error = _value_columns(table)
    rows = table if source is None else table[_rows_of(table, source)]
    axes = _plain_axes(pyplot, ax)
    time, half, label = _time_axis(rows)
    count = 0
    for count, (name, chosen) in enumerate(_curves(rows), start=1):
        errors = None if error is None else _filled(rows[error])[chosen]
        style = _style(count - 1, 3.5) if chosen.sum() < _MANY else _faint_style(count - 1)
        axes.errorbar(time[chosen], _filled(rows[value])[chosen], errors, half[chosen], label=name, **style)
    axes.set_xlabel(label)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    _label_value(axes, table[value], value)
    _legend(axes, count, len(rows))
    return axes


def _faint_style(index: int) -> dict[str, Any]:
    from matplotlib.colors import to_rgba

    style = _style(index, 1.8)
    return {**style, "ecolor": to_rgba(style["color"], 0.25), "markeredgewidth": 0}


def _value_columns(table: Table) -> tuple[str, str | None]:
    """Names of the column to draw and of its error."""
    missing = [name for name in ("src_name", "time", "time_bin") if name not in table.colnames]
    if missing:
        raise ParameterError(f"this table is no light curve, since it has no column {', '.join(missing)}")
    fixed = {"src_name", "time", "time_bin", "e_min", "e_max"}
    known = {name.upper(): name for name in table.colnames if name not in fixed and _is_number(table[name])}
    value = next((name for name in ("RATE", "FLUX", "COUNTS", "MAG") if name in known), next(iter(known), None))
    if value is None:
        raise ParameterError(f"this light curve has no column of values, only {', '.join(table.colnames)}")
    errors = (f"{value}_ERR", f"{value}_ERROR", f"{value}ERR", f"ERR_{value}", f"E_{value}", "ERROR", "STAT_ERR", "ERR")
    error = next((known[name] for name in errors if name in known), None)
    return known[value], error


def _is_number(column: Any) -> bool:
    return getattr(column, "dtype", np.dtype(object)).kind in "fiu" and column.ndim == 1


def _rows_of(table: Table, source: str) -> np.ndarray:
    names = np.array([str(name) for name in table["src_name"]], dtype=object)
    return names == match_source(names, source)


def _filled(column: Any) -> np.ndarray:
    """Plain numbers; a masked one becomes NaN, which is not drawn."""
    values = getattr(column, "value", column)
    return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)


def _time_axis(rows: Table) -> tuple[np.ndarray, np.ndarray, str]:
    """Centres and half widths in the unit of the axis, and its label."""
    half = _filled(rows["time_bin"]) / 2
    mjd = np.asarray(Time(rows["time"]).tt.mjd, dtype=float)
    if not len(rows) or np.ptp(mjd) >= _SHORT:
        return mjd, half / 86400, "Time (MJD, TT)"
    time = Time(rows["time"]).tt
    first = int(np.argmin(mjd))
    start = time[first] - np.nan_to_num(half[first]) * u.s
    # what the label says has to be exact, hence rounded first
    start.precision = 3
    start = Time(start.isot, scale="tt")
    return (time - start).to_value(u.s), half, f"Time since {start.isot} TT (s)"


def _curves(rows: Table) -> Iterator[tuple[str, np.ndarray]]:
    """Name and rows of each curve: one per source, and per energy band where a source has several."""
    names = np.array([str(name) for name in rows["src_name"]], dtype=object)
    bands = _bands(rows)
    several = len(set(bands)) > 1
    for name, band in dict.fromkeys(zip(names, bands, strict=True)):
        chosen = (names == name) & np.array([other == band for other in bands], dtype=bool)
        yield f"{_literal(name, limit=60)} {band if several else ''}".strip(), chosen


def _bands(rows: Table) -> list[str]:
    if "e_min" not in rows.colnames or "e_max" not in rows.colnames:
        return [""] * len(rows)
    bounds = zip(_filled(rows["e_min"]), _filled(rows["e_max"]), strict=True)
    return [_band_text(low, high) if np.isfinite(low) and np.isfinite(high) else "" for low, high in bounds]


def _label_value(axes: Any, column: Any, name: str) -> None:
    unit = _unit_text(column.unit)
    title = printable(name, limit=40)
    title = "Magnitude" if title.upper() == "MAG" else title.capitalize() if title.isupper() else title
    axes.set_ylabel(f"{title} ({unit})" if unit else title)
    magnitude = name.upper().startswith("MAG") or column.unit == u.mag
    if magnitude and not axes.yaxis_inverted():
        axes.invert_yaxis()
