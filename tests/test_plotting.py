# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Plots: what is drawn, where, and that nothing else is touched."""

import io
import re
import sys
from itertools import pairwise

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack
from astropy.time import Time
from astropy.wcs import WCS
from astroquery.exceptions import InputWarning

from astroquery_mmoda import Products
from astroquery_mmoda.errors import ParameterError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402 - after the choice of a backend without windows
from matplotlib.colors import AsinhNorm, LogNorm  # noqa: E402

from astroquery_mmoda import plotting  # noqa: E402
from astroquery_mmoda.plotting import plot_image, plot_lightcurve, plot_spectrum  # noqa: E402
from tests.genuine_like import images  # noqa: E402


@pytest.fixture(autouse=True)
def _leave_no_trace():
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


def picture(tolerance):
    """
    Compare the figure that a test returns with tests/baseline, letters aside, which differ with matplotlib's version.

    ``pytest --mpl-generate-path=$PWD/tests/baseline tests/test_plotting.py`` makes them anew: look at them!
    """
    settings = {"baseline_dir": "baseline", "style": "default", "tolerance": tolerance, "deterministic": True}
    return pytest.mark.mpl_image_compare(**settings, savefig_kwargs={"dpi": 60})


@pytest.fixture
def without_letters(monkeypatch):
    """Function that gives the figure of axes, which will be saved without letters."""

    def figure_of(ax):
        monkeypatch.setattr(matplotlib.text.Text, "draw", lambda *args, **kwargs: None)
        # the place of a legend depends on the size of its letters
        box = matplotlib.transforms.Bbox.from_extents(0, 0, 0, 8)
        monkeypatch.setattr(matplotlib.offsetbox.TextArea, "get_bbox", lambda *args, **kwargs: box)
        return ax.figure

    return figure_of


def make_axes(size=(5, 4), **projection):
    """Axes at a fixed place, whatever room letters need."""
    return matplotlib.figure.Figure(figsize=size).add_axes((0.15, 0.15, 0.6, 0.75), **projection)


# ---- images ----

SOURCES = {
    "MAXI J1820+070": (100, 100, 150.0), "Ser X-1": (140, 60, 60.0), "GRS 1915+105": (40, 130, 90.0),
    "SS 433": (43, 126, 12.0), "NEW_1": (80, 170, 7.0), "4U 1916-053": (160, 150, 15.0),
    "IGR J18027-2016": (110, 20, 20.0), "AX J1820.5-1434": (60, 40, 9.0), "V2400 Oph": (35, 60, 11.0),
    "IGR J18214-1318": (112, 24, 8.0),
}  # fmt: skip


def make_header(size=200):
    header = fits.Header()
    header.update(
        CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=275.09, CRVAL2=7.18, CRPIX1=size / 2, CRPIX2=size / 2,
        CD1_1=-0.0823, CD1_2=0.0, CD2_1=0.0, CD2_2=0.0823, CUNIT1="deg", CUNIT2="deg", RADESYS="FK5", EQUINOX=2000.0,
    )  # fmt: skip
    return header


def make_mosaic(size=200, noise=1.0):
    rows, columns = np.mgrid[:size, :size]
    image = noise * np.random.default_rng(3).normal(size=(size, size))
    for x, y, height in SOURCES.values():
        image += height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 5)
    image[np.hypot(rows - size / 2, columns - size / 2) > 0.49 * size] = np.nan
    hdulist = fits.HDUList([fits.PrimaryHDU()])
    for band, (low, high) in enumerate([(30.0, 80.0), (80.0, 200.0)], start=1):
        for name, unit in {"INTENSITY": "count/s", "SIGNIFICANCE": "no units", "EXPOSURE": "s"}.items():
            header = make_header(size)
            header.update(BUNIT=unit, E_MIN=low, E_MAX=high)
            data = np.abs(image) if name == "EXPOSURE" else image
            hdulist.append(fits.ImageHDU((data / band).astype(">f4"), header, name=name, ver=band))
    return hdulist


def make_catalog():
    places = np.array(list(SOURCES.values()))
    ra, dec = WCS(make_header()).wcs_pix2world(places[:, 0], places[:, 1], 0)
    catalog = Table({"src_names": list(SOURCES), "significance": places[:, 2], "ra": ra * u.deg, "dec": dec * u.deg})
    catalog.meta["FRAME"] = "fk5"
    return catalog


def make_sky():
    """Axes for such a mosaic; without a layout engine, which takes most of the time of a picture."""
    return make_axes((7, 5.6), projection=WCS(make_header()))


def with_catalog(hdulist):
    hdu = fits.table_to_hdu(make_catalog())
    hdu.name = "CATALOG"
    hdulist.append(hdu)
    return hdulist


def source_names_on(ax):
    """Texts on an image that are names of sources, and not the note in the corner."""
    return [text for text in ax.texts if "keV" not in text.get_text()]


def marked(ax):
    return np.concatenate([collection.get_offsets() for collection in ax.collections if len(collection.get_offsets())])


def test_image():
    ax = plot_image(make_mosaic())
    assert type(ax).__name__ == "WCSAxes"
    assert ax.coords[0].get_axislabel() == "Right ascension (FK5)"
    assert ax.coords[1].get_axislabel() == "Declination (FK5)"
    assert len(ax.images) == 1
    assert [text.get_text() for text in ax.texts] == ["30\N{EN DASH}80 keV\nExposure \N{LESS-THAN OR EQUAL TO} 151 s"]
    bar = ax.images[0].colorbar
    assert bar.ax.get_ylabel() == "Significance ($\\sigma$)"
    norm = ax.images[0].norm
    assert isinstance(norm, AsinhNorm)
    assert norm.vmin == -3
    assert norm.vmax > 140
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("extension", "label", "facts"),
    [
        (
            ("SIGNIFICANCE", 2),
            "Significance ($\\sigma$)",
            "80\N{EN DASH}200 keV\nExposure \N{LESS-THAN OR EQUAL TO} 1.2 ks",
        ),
        (
            "INTENSITY",
            "Intensity ($\\mathrm{ct\\,s^{-1}}$)",
            "30\N{EN DASH}80 keV\nExposure \N{LESS-THAN OR EQUAL TO} 2.4 ks",
        ),
        # of which its own map says more
        ("EXPOSURE", "Exposure ($\\mathrm{s}$)", "30\N{EN DASH}80 keV"),
        (1, "Intensity ($\\mathrm{ct\\,s^{-1}}$)", "30\N{EN DASH}80 keV\nExposure \N{LESS-THAN OR EQUAL TO} 2.4 ks"),
    ],
    ids=["significance", "intensity", "exposure", "number"],
)
def test_image_of_another_kind(extension, label, facts):
    mosaic = make_mosaic(20)
    for band in (1, 2):
        mosaic["EXPOSURE", band].data[10, 10] = 2400 / band
    ax = plot_image(mosaic, extension=extension)
    assert ax.images[0].colorbar.ax.get_ylabel() == label
    assert [text.get_text() for text in ax.texts] == [facts]


def test_the_scale_is_that_of_the_field():
    """Zeros outside of the field would make its noise, and so the linear part of the scale, too small."""
    mosaic = Products.from_response(images.isgri()).image()
    inside = images.field()
    ax = plot_image(mosaic, extension="INTENSITY")
    drawn = ax.images[0]
    np.testing.assert_array_equal(np.ma.getmaskarray(drawn.get_array()), ~inside)
    values = mosaic["INTENSITY"].data[inside]
    noise = 1.4826 * np.median(np.abs(values - np.median(values)))
    assert drawn.norm.linear_width == pytest.approx(3 * noise, rel=1e-6)


def test_variances_are_drawn_by_powers_of_ten():
    mosaic = Products.from_response(images.isgri()).image()
    ax = plot_image(mosaic, extension="VARIANCE")
    assert isinstance(ax.images[0].norm, LogNorm)
    assert ax.images[0].norm.vmin == np.nanmin(mosaic["VARIANCE"].data)
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(("noise", "width"), [(1.0, 1.0), (1.5, 1.5), (0.5, 1.0)])
def test_the_scale_of_crowded_fields(noise, width):
    ax = plot_image(make_mosaic(60, noise))
    assert ax.images[0].norm.linear_width == pytest.approx(3 * width, rel=0.1)
    assert 0 in ax.images[0].colorbar.locator.locs
    assert {-3.0, 3.0} <= set(ax.images[0].colorbar.locator.locs) or noise == 1.5


# the edges of pixels differ with matplotlib's version
@picture(5.5)
def test_sources_of_the_reply_are_marked(without_letters):
    ax = plot_image(with_catalog(make_mosaic(noise=0)), ax=make_axes(projection=WCS(make_header())))
    assert {text.get_text() for text in source_names_on(ax)} == set(SOURCES)
    offsets = {tuple(np.round(place, 2)) for place in marked(ax)}
    assert offsets == {(float(x), float(y)) for x, y, _ in SOURCES.values()}
    known, new = [collection for collection in ax.collections if len(collection.get_offsets())]
    assert (len(known.get_offsets()), len(new.get_offsets())) == (9, 1)
    ax.figure.draw_without_rendering()
    assert not overlaps([text.get_window_extent() for text in ax.texts])
    return without_letters(ax)


def make_crowd():
    """Thirty sources, half of them within a tenth of the field, half of them new."""
    number = np.arange(30)
    turn = 2.4 * number
    away = np.where(number < 15, 2 + number, 20 + 5 * number)
    x, y = 100 + 0.6 * away * np.cos(turn), 100 + 0.6 * away * np.sin(turn)
    ra, dec = WCS(make_header()).wcs_pix2world(x, y, 0)
    names = [f"NEW_{n}" if n % 2 else f"IGR J18{n:02d}7-20{n:02d}" for n in number]
    return Table({"src_names": names, "significance": 50.0 - number, "ra": ra * u.deg, "dec": dec * u.deg})


def overlaps(boxes):
    return [(one, other) for index, one in enumerate(boxes) for other in boxes[:index] if one.overlaps(other)]


def test_a_crowded_field():
    crowd = make_crowd()
    ax = plot_image(make_mosaic(noise=0), catalog=crowd, ax=make_axes((7, 5.6), projection=WCS(make_header())))
    ax.figure.draw_without_rendering()
    assert len(marked(ax)) == 30
    assert {text.get_text() for text in source_names_on(ax)} == set(crowd["src_names"])
    # letters only: the boxes of names with a line reach to their sources
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in ax.texts]
    assert not overlaps(boxes)
    assert all(ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1 for box in boxes)


def test_names_without_room_are_left_out():
    crowd = vstack([make_crowd()[:15]] * 3, metadata_conflicts="silent")
    crowd["src_names"] = [f"{name} {row}" for row, name in enumerate(crowd["src_names"])]
    ax = plot_image(make_mosaic(), catalog=crowd, ax=make_sky())
    assert len(marked(ax)) == 45
    named = [text.get_text() for text in source_names_on(ax)]
    assert 30 < len(named) < 45
    # the most significant ones have their names
    assert {f"IGR J18007-2000 {row}" for row in range(0, 45, 15)} < set(named)


def test_names_at_the_edges_are_not_cut_off():
    x, y = np.array([1, 198, 1, 198, 100, 100]), np.array([1, 1, 198, 198, 1, 198])
    ra, dec = WCS(make_header()).wcs_pix2world(x, y, 0)
    catalog = Table({"src_names": ["1RXS J180834.7+101041"] * 6, "ra": ra, "dec": dec})
    ax = plot_image(make_mosaic(), catalog=catalog, ax=make_sky())
    ax.figure.draw_without_rendering()
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in source_names_on(ax)]
    assert len(boxes) == 6
    assert all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 for box in boxes)
    assert all(ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1 for box in boxes)


def test_a_given_catalogue_takes_the_place_of_the_own():
    catalog = make_catalog()[:3]
    ax = plot_image(with_catalog(make_mosaic()), catalog=catalog, ax=make_sky())
    assert len(source_names_on(ax)) == 3
    assert not source_names_on(plot_image(with_catalog(make_mosaic()), catalog=catalog[:0], ax=make_sky()))


def test_names_beyond_ascii_are_drawn_as_they_were():
    from astroquery_mmoda.catalog import to_hdu

    catalog = make_catalog()[:1]
    catalog["src_names"] = ["η Car"]
    mosaic = make_mosaic()
    mosaic.append(to_hdu(catalog))
    assert "η Car" not in str(mosaic["CATALOG"].data["src_names"])
    assert [text.get_text() for text in source_names_on(plot_image(mosaic, ax=make_sky()))] == ["η Car"]


def test_catalogues_of_any_origin():
    center = SkyCoord(275.09, 7.18, unit="deg", frame="fk5")
    away = SkyCoord(95, -7, unit="deg")
    galactic = Table({"name": ["A", "B"], "position": SkyCoord([center.galactic, away.galactic])})
    plain = Table({"NAME": ["cost$5$"], "RA": [275.09 * 60], "DEC": [7.18]})
    plain["RA"].unit = "arcmin"
    ax = plot_image(make_mosaic(), catalog=galactic, ax=make_sky())
    assert [text.get_text() for text in source_names_on(ax)] == ["A"]
    np.testing.assert_allclose(marked(ax), [[99, 99]], atol=1e-3)
    ax = plot_image(make_mosaic(), catalog=plain, ax=make_sky())
    np.testing.assert_allclose(marked(ax), [[99, 99]], atol=1e-3)
    ax.figure.draw_without_rendering()
    with pytest.raises(ParameterError, match="needs coordinates: a SkyCoord column"):
        plot_image(make_mosaic(), catalog=Table({"name": ["A"]}))


def test_image_on_given_axes():
    mosaic = make_mosaic()
    figure = matplotlib.figure.Figure()
    ax = figure.add_subplot(projection=WCS(mosaic["SIGNIFICANCE"].header))
    assert plot_image(mosaic, ax=ax) is ax
    assert not pyplot.get_fignums()


def test_axes_without_the_sky_of_the_image():
    mosaic = make_mosaic()
    figure = matplotlib.figure.Figure()
    elsewhere = make_header()
    elsewhere["CRVAL1"] = 10.0
    for ax in (figure.add_subplot(), figure.add_subplot(projection=WCS(elsewhere))):
        with pytest.raises(ParameterError, match="projection=WCS"):
            plot_image(mosaic, ax=ax)


@pytest.mark.parametrize("extension", ["RESIDUAL", ("SIGNIFICANCE", 3), 99, "CATALOG", "PRIMARY"])
def test_missing_images(extension):
    with pytest.raises(ParameterError, match=r"images present: \('INTENSITY', 1\), \('SIGNIFICANCE', 1\)"):
        plot_image(with_catalog(make_mosaic(50)), extension=extension)
    assert not pyplot.get_fignums()


def test_image_without_a_sky():
    with pytest.raises(ParameterError, match=r"sky coordinates of extension \('SIGNIFICANCE', 1\) are missing"):
        plot_image(fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3)), name="SIGNIFICANCE")]))


def test_image_without_data():
    mosaic = with_catalog(make_mosaic(20))
    mosaic["SIGNIFICANCE"].data[:] = np.nan
    ax = plot_image(mosaic)
    assert [text.get_text() for text in source_names_on(ax) if text.get_text() not in SOURCES] == ["no data"]


@pytest.mark.parametrize("factor", [0.011, 2000.0])
def test_colour_bar_of_intensities(factor):
    mosaic = make_mosaic(50)
    for hdu in mosaic[1:]:
        hdu.data[25, 25] = 100
        hdu.data *= factor
    ax = plot_image(mosaic, extension="INTENSITY")
    ax.figure.draw_without_rendering()
    ticks = ax.images[0].colorbar.ax.yaxis.get_major_ticks()
    boxes = [
        tick.label1.get_window_extent() if tick.label1.get_visible() else tick.label2.get_window_extent()
        for tick in ticks
    ]
    assert len(boxes) >= 3
    assert all(lower.y1 < upper.y0 for lower, upper in zip(boxes[:-1], boxes[1:], strict=True))


@pytest.mark.parametrize(
    ("value", "extension"),
    [(np.nan, "INTENSITY"), (0.0, "INTENSITY"), (0.0, "SIGNIFICANCE"), (np.nan, "EXPOSURE"), (5.0, "EXPOSURE")],
)
def test_featureless_images(value, extension):
    mosaic = make_mosaic(20)
    mosaic[extension].data[:] = value
    ax = make_axes(projection=WCS(mosaic[extension].header))
    plot_image(mosaic, extension=extension, ax=ax).figure.draw_without_rendering()


def test_right_ascension_is_on_the_lower_edge():
    axes = plot_image(make_mosaic(300)).coords
    assert [axes[index].get_axislabel_position() for index in (0, 1)] == [["b"], ["l"]]
    rotated = make_mosaic(300)
    rotated["SIGNIFICANCE"].header.update(PC1_1=0.0, PC1_2=1.0, PC2_1=-1.0, PC2_2=0.0)
    ax = plot_image(rotated, catalog=make_catalog())
    ax.figure.draw_without_rendering()
    assert ax.coords[0].get_axislabel_position()[0] in ("l", "r")


def test_galactic_image():
    mosaic = make_mosaic(20)
    mosaic["SIGNIFICANCE"].header.update(CTYPE1="GLON-AIT", CTYPE2="GLAT-AIT", CRVAL1=0.0, CRVAL2=0.0)
    del mosaic["SIGNIFICANCE"].header["RADESYS"], mosaic["SIGNIFICANCE"].header["EQUINOX"]
    ax = plot_image(mosaic, catalog=make_catalog())
    assert ax.coords[0].get_axislabel() == "Galactic longitude"
    ax.figure.draw_without_rendering()


# ---- spectra ----


def make_spectra(names=("Crab", "Cyg X-1"), channels=20):
    edges = np.geomspace(20, 400, channels + 1)
    hdulist = fits.HDUList([fits.PrimaryHDU()])
    for number, name in enumerate(names, start=1):
        rate = np.geomspace(10, 0.01, channels) / number
        columns = [
            fits.Column("CHANNEL", "I", array=np.arange(channels)),
            fits.Column("RATE", "E", array=rate),
            fits.Column("STAT_ERR", "E", array=np.full(channels, 0.02)),
            fits.Column("QUALITY", "I", array=np.arange(channels) < 2),
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM", ver=number)
        hdu.header["SRC_NAME"] = name
        bounds = [
            fits.Column("CHANNEL", "I", array=np.arange(channels)),
            fits.Column("E_MIN", "E", "keV", array=edges[:-1]),
            fits.Column("E_MAX", "E", "keV", array=edges[1:]),
        ]
        hdulist.extend([hdu, fits.BinTableHDU.from_columns(bounds, name="EBOUNDS", ver=number)])
    return hdulist


def test_spectrum():
    ax = plot_spectrum(make_spectra(), "crab")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_xlabel() == "Energy (keV)"
    assert "keV^{-1}" in ax.get_ylabel()
    detected, limits = ax.containers
    rate = np.geomspace(10, 0.01, 20)
    # two of bad quality, and those below two sigma
    low = (rate < 0.04).sum()
    assert len(detected.lines[0].get_xdata()) == 20 - 2 - low
    assert len(limits.lines[0].get_xdata()) == low
    edges = np.geomspace(20, 400, 21)
    np.testing.assert_allclose(limits.lines[0].get_ydata(), 0.06 / np.diff(edges)[-low:], rtol=1e-5)
    np.testing.assert_allclose(detected.lines[0].get_xdata()[0], np.sqrt(edges[2] * edges[3]), rtol=1e-5)
    ax.figure.draw_without_rendering()


@picture(2)
def test_spectra_of_all_sources(without_letters):
    ax = plot_spectrum(make_spectra(), ax=make_axes())
    assert legend_of(ax) == ["Crab", "Cyg X-1", r"3$\sigma$ upper limits up to 280 keV"]
    return without_letters(ax)


def test_many_spectra_are_told_apart():
    ax = plot_spectrum(make_spectra([f"S {number}" for number in range(25)], channels=4))
    lines = [container.lines[0] for container in ax.containers if str(container.get_label()).startswith("S")]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 25
    for part in ("get_color", "get_marker"):
        assert all(getattr(one, part)() != getattr(other, part)() for one, other in pairwise(lines))


def test_spectrum_without_detections():
    spectra = make_spectra(["Crab"])
    spectra["SPECTRUM"].data["RATE"][:] = -1
    ax = plot_spectrum(spectra)
    assert len(ax.containers[1].lines[0].get_xdata()) == 18
    ax.figure.draw_without_rendering()
    spectra["SPECTRUM"].data["STAT_ERR"][:] = np.nan
    plot_spectrum(spectra).figure.draw_without_rendering()


def make_faint_spectra(last=(9, 14)):
    """Two spectra in octaves of energy, of which no channel after the last one is detected at 3 sigma."""
    spectra = make_spectra(["Crab", "Vela X-1"], channels=32)
    edges = 10 * 2 ** (np.arange(33) / 4)
    for version, channel in enumerate(last, start=1):
        hdu, bounds = spectra["SPECTRUM", version], spectra["EBOUNDS", version]
        hdu.data["RATE"] = np.where(np.arange(32) <= channel, 0.2, 0.05)  # 10 and 2.5 sigma
        hdu.data["RATE"][::5] = 0.0
        hdu.data["RATE"][channel] = 0.07
        bounds.data["E_MIN"], bounds.data["E_MAX"] = edges[:-1], edges[1:]
        hdu.header["EXPOSURE"] = 12000.0 * version
    return spectra, edges


def ends_of(ax):
    """Upper edges of the last bins: of points and of arrows, of the first spectrum."""
    return [container.lines[2][0].get_segments()[-1][1, 0] for container in ax.containers[:2]]


def test_limits_end_an_octave_above_what_is_detected():
    spectra, edges = make_faint_spectra()
    ax = plot_spectrum(spectra, "Crab")
    np.testing.assert_allclose(ends_of(ax), [edges[14], edges[11]], rtol=1e-5)
    assert edges[14] == pytest.approx(2 * edges[10])
    assert legend_of(ax) == ["Crab", r"3$\sigma$ upper limits up to 113 keV"]
    assert [text.get_text() for text in ax.texts] == ["Exposure 12 ks"]
    # each source has its own end, also if it is drawn later
    plot_spectrum(spectra, "Vela X-1", ax=ax)
    both = plot_spectrum(spectra)
    for axes in (ax, both):
        assert legend_of(axes) == ["Crab", "Vela X-1", "3$\\sigma$ upper limits up to 113\N{EN DASH}269 keV"]
        assert [text.get_text() for text in axes.texts] == ["Exposure 12\N{EN DASH}24 ks"]


@pytest.mark.parametrize(
    ("limits", "points_end", "arrows_end", "says"),
    [
        (True, 32, 31, ""),
        (50 * u.keV, 10, 6, " up to 50 keV"),
        ("0.05 MeV", 10, 6, " up to 50 keV"),
        (500, 23, 21, " up to 500 keV"),
    ],
    ids=["all", "energy", "text", "number"],
)
def test_limits_as_wanted(limits, points_end, arrows_end, says):
    spectra, edges = make_faint_spectra()
    ax = plot_spectrum(spectra, "Crab", limits=limits)
    np.testing.assert_allclose(ends_of(ax), [edges[points_end], edges[arrows_end]], rtol=1e-5)
    assert legend_of(ax) == ["Crab", rf"3$\sigma$ upper limits{says}"]


@pytest.mark.parametrize("no", [False, np.False_], ids=["bool", "numpy"])
def test_no_limits(no):
    spectra, edges = make_faint_spectra()
    ax = plot_spectrum(spectra, "Crab", limits=no)
    assert len(ax.containers) == 1
    assert legend_of(ax) == ["Crab"]


@pytest.mark.parametrize("limits", [-5, 0, "all", "3 s", np.nan, [1, 2], 2 * u.s], ids=str)
def test_wrong_limits(limits):
    with pytest.raises(ParameterError, match="limits"):
        plot_spectrum(make_spectra(), limits=limits)
    assert not pyplot.get_fignums()


def test_spectrum_of_nothing():
    ax = plot_spectrum(fits.HDUList([fits.PrimaryHDU()]))
    assert [text.get_text() for text in ax.texts] == ["no spectra"]
    ax.figure.draw_without_rendering()
    with pytest.raises(ParameterError, match="sources present: 'Crab'"):
        plot_spectrum(make_spectra(["Crab"]), "Vela")
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize(
    "plot", [lambda ax: plot_spectrum(make_spectra(), ax=ax), lambda ax: plot_lightcurve(make_curve(), ax=ax)]
)
def test_given_axes(plot):
    ax = matplotlib.figure.Figure().add_subplot()
    assert plot(ax) is ax
    assert not pyplot.get_fignums()


# ---- light curves ----


def make_curve(names=("Crab", "Cyg X-1"), *, width=100.0, bins=30, column="RATE", unit="count/s", band=(28.0, 40.0)):
    tables = []
    for level, name in enumerate(names, start=1):
        empty = np.arange(bins) % 10 == 7
        table = Table({"src_name": [name] * bins})
        table["time"] = Time(57818.5 + (np.arange(bins) + 0.5) * width / 86400, format="mjd", scale="tt")
        table["time_bin"] = np.full(bins, width) * u.s
        for key, edge in zip(("e_min", "e_max"), band, strict=True):
            table[key] = MaskedColumn(np.full(bins, edge), unit="keV")
        table[column] = MaskedColumn(np.where(empty, 0, level), mask=empty, unit=unit, dtype=float)
        table["ERROR"] = MaskedColumn(np.full(bins, 0.1), mask=empty, unit=unit)
        table["FRACEXP"] = np.ones(bins)
        tables.append(table)
    return vstack(tables, metadata_conflicts="silent")


def points(container):
    x, y = container.lines[0].get_data()
    return np.asarray(x), np.asarray(y)


@picture(2)
def test_short_lightcurve(without_letters):
    ax = plot_lightcurve(make_curve(), time_format="relative", ax=make_axes())
    assert ax.get_xlabel() == "Time since 2017-03-06T12:00:00 TT (s)"
    assert ax.get_ylabel() == "Rate ($\\mathrm{ct\\,s^{-1}}$)"
    assert [text.get_text() for text in ax.texts] == ["28\N{EN DASH}40 keV"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Crab", "Cyg X-1"]
    for level, container in enumerate(ax.containers, start=1):
        x, y = points(container)
        measured = [bin for bin in range(30) if bin % 10 != 7]
        np.testing.assert_allclose(x, 50 + 100 * np.array(measured), atol=1e-3)
        assert set(y) == {level}
        # the widths of the bins are those of the steps
        assert (container.has_xerr, container.has_yerr) == (False, True)
    assert len([line for line in ax.lines if line.get_label() == "_nolegend_" and len(line.get_xdata()) == 90]) == 2
    return without_letters(ax)


def test_long_lightcurve():
    ax = plot_lightcurve(make_curve(width=10000.0), "crab")
    assert ax.get_xlabel() == "Time (MJD, TT)"
    assert len(ax.containers) == 1
    np.testing.assert_allclose(points(ax.containers[0])[0][0], 57818.5 + 5000 / 86400)
    ax.figure.draw_without_rendering()
    assert ax.xaxis.get_offset_text().get_text() == ""


@picture(2)
def test_many_bins_are_steps(without_letters):
    table = make_curve(["GRB"], width=0.05, bins=2000)
    seconds = 0.05 * np.arange(2000)
    table["RATE"] = table["RATE"] + 5 * np.exp((30 - seconds) / 8) * (seconds > 30)
    table.remove_rows(slice(1000, 1100))
    ax = plot_lightcurve(table, time_format="relative", ax=make_axes())
    assert not ax.containers
    x, y = ax.lines[0].get_data()
    edges = 0.05 * np.array([*range(1000), *range(1100, 2000)])
    np.testing.assert_allclose(x[::3], edges, atol=1e-5)
    np.testing.assert_allclose(x[1::3], edges + 0.05, atol=1e-5)
    # nothing is drawn over masked bins, nor over those that are missing
    assert np.isnan(y[3 * 7 : 3 * 7 + 3]).all()
    assert not np.isnan(y[3 * 998 + 2])
    assert np.isnan(y[3 * 999 + 2])
    assert len(ax.collections) == 1
    return without_letters(ax)


def test_many_bins_far_from_each_other_are_points():
    table = make_curve(["Crab"], width=1000, bins=400)
    table["time_bin"] = 100 * u.s
    ax = plot_lightcurve(table)
    assert (len(ax.containers), len(points(ax.containers[0])[0])) == (1, 360)


@picture(2)
def test_sources_far_apart_need_a_logarithmic_scale(without_letters):
    bright, weak = make_curve(["Crab"]), make_curve(["3C 111"])
    bright["RATE"] = bright["RATE"] * 100
    weak["RATE"][:7] = 0.1
    both = vstack([bright, weak], metadata_conflicts="silent")
    ax = plot_lightcurve(both, ax=make_axes())
    assert ax.get_yscale() == "log"
    _, detected, limits = ax.containers
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Crab", "3C 111", r"3$\sigma$ upper limits"]
    np.testing.assert_allclose(points(limits)[1], 0.3)
    assert (len(points(limits)[1]), len(points(detected)[1])) == (7, 20)
    assert plot_lightcurve(both, "3C 111").get_yscale() == "linear"
    # the scale of what is drawn already stays
    drawn = plot_lightcurve(make_curve())
    assert plot_lightcurve(both, ax=drawn).get_yscale() == "linear"
    return without_letters(ax)


@pytest.mark.parametrize(
    ("t0", "begin", "label"),
    [
        (None, 0.0, "2017-03-06T12:00:00 TT"),
        ("2017-03-06T11:58:50.8", 0.016, "2017-03-06T11:58:50.8 UTC"),
        (57818.5 - 100 / 86400, 100 - 69.184, "2017-03-06T11:58:20 UTC"),
        (Time(57818.5, format="mjd", scale="tt") - 3.25 * u.s, 3.25, "2017-03-06T11:59:56.75 TT"),
    ],
    ids=["first bin", "text", "MJD", "Time"],
)
def test_seconds_after_an_instant(t0, begin, label):
    ax = plot_lightcurve(make_curve(["Crab"]), time_format="relative", t0=t0)
    assert ax.get_xlabel() == f"Time since {label} (s)"
    np.testing.assert_allclose(points(ax.containers[0])[0][:2], begin + np.array([50, 150]), atol=1e-5)


def dates(ax):
    return [moment.isoformat() for moment in matplotlib.dates.num2date(points(ax.containers[0])[0])]


def written(ax):
    """Texts at the ticks of time, and what they have in common."""
    formatter = ax.xaxis.get_major_formatter()
    return formatter.format_ticks(ax.get_xticks()), formatter.get_offset()


def test_dates():
    ax = plot_lightcurve(make_curve(["Crab"]), time_format="utc")
    assert ax.get_xlabel() == "Time (UTC)"
    # TT is ahead of UTC by 69.184 s
    assert dates(ax)[:2] == ["2017-03-06T11:59:40.816000+00:00", "2017-03-06T12:01:20.816000+00:00"]


@pytest.mark.parametrize("time_format", ["mjd", "utc", "relative"])
def test_error_bars_are_seen_in_full(time_format):
    low, high = plot_lightcurve(make_curve(["Crab"]), time_format=time_format).get_ylim()
    assert low < 0.9 < 1.1 < high


def test_error_bars_of_the_user_are_seen_in_full():
    ax = pyplot.figure().add_subplot()
    ax.errorbar(57818.5 - 40587, 0, 5)
    low, high = plot_lightcurve(make_curve(["Crab"]), time_format="utc", ax=ax).get_ylim()
    assert low < -5 < 5 < high


@pytest.mark.parametrize(
    ("width", "tick", "common"),
    [
        (3e6, r"20\d\d(-\d\d)?", ""),
        (2e4, r"(20\d\d-)?\d\d-\d\d", "2017"),
        (100, r"\d\d:\d\d", "2017-03-06"),
        (0.5, r"\d\d(:\d\d){0,2}(\.\d)?", "2017-03-06 11:59"),
    ],
    ids=["years", "days", "minutes", "seconds"],
)
def test_dates_can_be_read(width, tick, common):
    ticks, offset = written(plot_lightcurve(make_curve(["Crab"], width=width), time_format="utc"))
    assert len(ticks) > 2
    assert all(re.fullmatch(tick, text) for text in ticks)
    assert offset == common


def test_leap_seconds():
    table = make_curve(["Crab"])
    utc = Time(["2016-12-31T12:00:00", "2016-12-31T23:59:59.5", "2017-01-01T00:00:01"], scale="utc")
    table, table["time"] = table[:3], utc.tt
    ax = plot_lightcurve(table, time_format="utc", steps=False)
    # the day with a leap second is not longer than the others
    assert dates(ax) == [
        f"{time}+00:00" for time in ("2016-12-31T12:00:00", "2016-12-31T23:59:59.500000", "2017-01-01T00:00:01")
    ]
    table["time"] += [0, 1, 0] * u.s
    with pytest.warns(InputWarning, match="1 bins are within the leap second at the end of 2016-12-31"):
        ax = plot_lightcurve(table, time_format="utc", steps=False)
    assert dates(ax)[1] == "2017-01-01T00:00:00.500000+00:00"
    ax = plot_lightcurve(table, time_format="relative", t0=utc[0], steps=False)
    np.testing.assert_allclose(points(ax.containers[0])[0], [0, 43200.5, 43202], atol=1e-5)


def test_another_time_zone_changes_no_date():
    with pyplot.rc_context({"timezone": "Europe/Zurich"}):
        ax = plot_lightcurve(make_curve(["Crab"]), time_format="utc")
        assert written(ax)[0][0] == "12:00"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time_format": "isot"}, "time_format='isot': use one of mjd, utc, relative"),
        ({"time_format": None}, "time_format=None: use one of"),
        ({"t0": 58000}, 't0= is the time from which time_format="relative" counts'),
        ({"time_format": "relative", "t0": "noon"}, "t0='noon': not a valid time"),
        ({"time_format": "relative", "t0": [58000, 58001]}, "t0=.*not a valid time"),
    ],
    ids=["format", "no format", "t0 alone", "no time", "two times"],
)
def test_wrong_times(options, says):
    with pytest.raises(ParameterError, match=says):
        plot_lightcurve(make_curve(), **options)
    assert not pyplot.get_fignums()


def test_a_second_curve_keeps_the_time_axis():
    early, late = make_curve(["Crab"]), make_curve(["Cyg X-1"])[5:]
    t0 = "2017-03-06T11:58:50.816"
    ax = plot_lightcurve(early, time_format="relative", t0=t0)
    for options in ({}, {"time_format": "relative"}, {"time_format": "relative", "t0": Time(t0)}):
        plot_lightcurve(late, ax=ax, **options)
    places = [points(container)[0][0] for container in ax.containers]
    np.testing.assert_allclose(places, [50, 550, 550, 550], atol=1e-3)
    assert len({container.lines[0].get_color() for container in ax.containers}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Crab", "Cyg X-1"]
    with pytest.raises(ParameterError, match=r"t0=2017-03-06T12:00:00 UTC differs .* 2017-03-06T11:58:50.816 UTC"):
        plot_lightcurve(late, time_format="relative", t0="2017-03-06T12:00", ax=ax)
    with pytest.raises(ParameterError, match='time_format="relative" already, not "utc"'):
        plot_lightcurve(late, time_format="utc", ax=ax)
    ax.cla()
    assert plot_lightcurve(late, ax=ax).get_xlabel() == "Time (MJD \N{MINUS SIGN} 57818, TT)"
    np.testing.assert_allclose(points(ax.containers[0])[0][0], 57818.5 + 550 / 86400)


def legend_of(ax):
    return [text.get_text().replace("\n", " ") for text in ax.get_legend().get_texts()]


def test_bands_and_instruments_are_named_once():
    ax = plot_lightcurve(make_curve(["Crab"]))
    assert (legend_of(ax), [text.get_text() for text in ax.texts]) == (["Crab"], ["28\N{EN DASH}40 keV"])
    plot_lightcurve(make_curve(["Cyg X-1"]), ax=ax)
    assert (legend_of(ax), [text.get_text() for text in ax.texts]) == (["Crab", "Cyg X-1"], ["28\N{EN DASH}40 keV"])
    other = make_curve(["Crab"], band=(40.0, 80.0))
    plot_lightcurve(other, ax=ax)
    three = ["Crab 28\N{EN DASH}40 keV", "Cyg X-1 28\N{EN DASH}40 keV", "Crab 40\N{EN DASH}80 keV"]
    assert (legend_of(ax), list(ax.texts)) == (three, [])
    # the labels of the user stay
    ax.plot([57818.5], [1], "x", label="published")
    other.meta["INSTRUM"] = "jemx"
    plot_lightcurve(other, ax=ax)
    assert set(legend_of(ax)) == {*three, "Crab (jemx) 40\N{EN DASH}80 keV", "published"}
    assert len({container.lines[0].get_color() for container in ax.containers}) == 4


def test_values_in_other_units_need_other_axes():
    ax = plot_lightcurve(make_curve(["Crab"]))
    per_minute = make_curve(["Cyg X-1"], unit="ct / min")
    plot_lightcurve(per_minute, ax=ax)
    assert ax.get_ylabel() == "Rate ($\\mathrm{ct\\,s^{-1}}$)"
    np.testing.assert_allclose(points(ax.containers[1])[1], 1 / 60)
    np.testing.assert_allclose(ax.containers[1].lines[2][0].get_segments()[0][:, 1], [0.9 / 60, 1.1 / 60])
    with pytest.raises(ParameterError, match=r"FLUX \(erg / .*\) can't be drawn on axes in ct / s"):
        plot_lightcurve(make_curve(["Crab"], column="FLUX", unit="erg / (s cm2)"), ax=ax)


def test_shared_axes_are_labelled_once():
    grid = pyplot.figure().subplots(2, 2, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat:
        plot_lightcurve(make_curve(), time_format="utc", ax=ax)
    for (row, column), ax in np.ndenumerate(grid):
        assert ax.get_xlabel() == ("Time (UTC)" if row == 1 else "")
        assert ax.get_ylabel() == ("Rate ($\\mathrm{ct\\,s^{-1}}$)" if column == 0 else "")
        for axis, is_outer in ((ax.xaxis, row == 1), (ax.yaxis, column == 0)):
            assert axis.get_major_ticks()[0].label1.get_visible() is is_outer
            assert axis.get_offset_text().get_visible() is is_outer


def test_the_label_of_shared_axes_stands_below_whatever_is_drawn_there():
    figure = pyplot.figure()
    lower = figure.add_axes((0.1, 0.1, 0.8, 0.4))
    upper = figure.add_axes((0.1, 0.5, 0.8, 0.4), sharex=lower)
    beside = figure.add_axes((0.92, 0.1, 0.05, 0.4), sharex=lower)
    plot_lightcurve(make_curve(width=10000.0), ax=upper)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "Time (MJD, TT)")
    plot_lightcurve(make_curve(width=10000.0)[5:], ax=beside)
    assert beside.get_xlabel().split() == ["Time", "(MJD,", "TT)"]
    # one time axis for all of them
    np.testing.assert_allclose(points(beside.containers[0])[0][0], 57818.5 + 55000 / 86400)


def test_images_that_share_their_axes():
    mosaic = make_mosaic(30)
    wcs = WCS(mosaic["SIGNIFICANCE"].header)
    figure = pyplot.figure(figsize=(8, 4), layout="constrained")
    left = figure.add_subplot(1, 2, 1, projection=wcs)
    right = figure.add_subplot(1, 2, 2, projection=wcs, sharex=left, sharey=left)
    for band, ax in enumerate((left, right), start=1):
        plot_image(mosaic, extension=("SIGNIFICANCE", band), ax=ax)
    labels = [[coordinate.get_axislabel() for coordinate in ax.coords] for ax in (left, right)]
    assert labels == [["Right ascension (FK5)", "Declination (FK5)"], ["Right ascension (FK5)", ""]]


def test_steps_if_wanted():
    table = make_curve(["Crab"], bins=5)
    ax = plot_lightcurve(table)
    assert (len(ax.lines), ax.containers[0].has_xerr) == (1, True)
    ax = plot_lightcurve(table, steps=True)
    assert not ax.containers[0].has_xerr
    # of many, also without widths: to the middle between them, and where times are not in order
    order = np.random.default_rng(5).permutation(400)
    table = make_curve(["Crab"], bins=400)
    table["RATE"][0] = 2
    table = table[order]
    assert plot_lightcurve(table, steps=False).containers[0].has_xerr
    table["time_bin"] = np.nan
    ax = plot_lightcurve(table, steps=True, time_format="relative", t0=Time(57818.5, format="mjd", scale="tt"))
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(x[:5], [0, 100, 100, 100, 200], atol=1e-5)
    np.testing.assert_allclose(y[:5], [2, 2, 2, 1, 1])
    assert len(ax.collections) == 1
    # on a logarithmic scale, those that are not detected are arrows
    _, logarithmic = pyplot.subplots(subplot_kw={"yscale": "log"})
    table["RATE"][:10], table["ERROR"] = 0.1, 0.1
    ax = plot_lightcurve(table, steps=True, ax=logarithmic)
    assert np.nanmin(ax.lines[0].get_ydata()) == 1
    assert legend_of(ax)[-1] == r"3$\sigma$ upper limits"


def test_barycentred_times_have_their_own_axis():
    table = make_curve(["Crab"], width=10000.0)
    table["time"] = Time(table["time"].mjd, format="mjd", scale="tdb")
    ax = plot_lightcurve(table)
    assert ax.get_xlabel() == "Time (MJD, TDB)"
    np.testing.assert_array_equal(points(ax.containers[0])[0], table["time"].mjd[~table["RATE"].mask])
    with pytest.warns(InputWarning, match="times in TT are drawn on an axis in TDB"):
        plot_lightcurve(make_curve(["Cyg X-1"], width=10000.0), ax=ax)
    assert ax.get_xlabel() == "Time (MJD, TDB)"
    table["time"] = Time(57818.5 + np.arange(30) / 86400, format="mjd", scale="tdb")
    assert plot_lightcurve(table).get_xlabel() == "Time (MJD \N{MINUS SIGN} 57818, TDB)"
    assert plot_lightcurve(table, time_format="relative").get_xlabel().endswith(" TDB (s)")
    assert plot_lightcurve(table, time_format="utc").get_xlabel() == "Time (UTC at the barycentre)"


def test_columns_that_the_service_told():
    table = make_curve(["Crab"])
    table["BACKV"], table["BACKE"] = np.full(30, 7.0), np.full(30, 0.5)
    table.meta.update(VALUECOL="BACKV", ERRORCOL="BACKE")
    ax = plot_lightcurve(table)
    assert ax.get_ylabel().startswith("Backv")
    assert set(points(ax.containers[0])[1]) == {7}
    np.testing.assert_allclose(ax.containers[0].lines[2][0].get_segments()[0][:, 1], [6.5, 7.5])


def test_odd_bins():
    """Unknown or negative widths and errors are not drawn, and one bin is a curve."""
    table = make_curve(["Crab"], bins=3)
    table["time_bin"] = MaskedColumn([np.nan, -1, 100], mask=[True, False, False], unit="s")
    table["ERROR"] = [np.nan, -1, 0.1]
    ax = plot_lightcurve(table)
    assert len(points(ax.containers[0])[0]) == 3
    ax.figure.draw_without_rendering()
    plot_lightcurve(table[2:]).figure.draw_without_rendering()


def test_legend_beside_the_data():
    table = make_curve([f"Source {number}" for number in range(6)], bins=5)
    ax = plot_lightcurve(table)
    ax.figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    assert ax.bbox.x1 < legend.x0
    assert legend.x1 <= ax.figure.bbox.x1
    # where nothing makes room, it must not be cut off
    ax = plot_lightcurve(table, ax=matplotlib.figure.Figure().add_subplot())
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x1 <= ax.bbox.x1


def test_other_values():
    ax = plot_lightcurve(make_curve(["Mrk 421"], column="MAG", unit="mag"))
    assert ax.yaxis_inverted()
    assert ax.get_ylabel() == "Magnitude ($\\mathrm{mag}$)"
    plot_lightcurve(make_curve(["Mrk 501"], column="MAG", unit="mag"), ax=ax)
    assert ax.yaxis_inverted()
    ax = plot_lightcurve(make_curve(["Mrk 421"], column="FLUX", unit="erg / (s cm2)"))
    assert not ax.yaxis_inverted()
    assert ax.get_ylabel().startswith("Flux ($")
    table = make_curve(["Mrk 421"], column="strain", unit=None, band=(np.nan, np.nan))
    assert plot_lightcurve(table).get_ylabel() == "strain"
    table.remove_column("ERROR")
    assert not plot_lightcurve(table).containers[0].has_yerr


@picture(2)
def test_energy_bands_are_told_apart(without_letters):
    bands = [make_curve(band=band, bins=12) for band in ((40.0, 80.0), (28.0, 40.0))]
    bands[0]["RATE"] = bands[0]["RATE"] / 3
    table = vstack(bands, metadata_conflicts="silent")
    ax = plot_lightcurve(table, ax=make_axes())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    bands = ("28\N{EN DASH}40 keV", "40\N{EN DASH}80 keV")
    assert labels == [f"{name} {band}" for name in ("Crab", "Cyg X-1") for band in bands]
    assert not ax.texts
    return without_letters(ax)


def test_lightcurve_of_nothing():
    ax = plot_lightcurve(make_curve()[:0])
    assert [text.get_text() for text in ax.texts] == ["no data"]
    ax.figure.draw_without_rendering()
    table = make_curve()
    table["RATE"].mask[:] = True
    assert [text.get_text() for text in plot_lightcurve(table).texts] == ["28\N{EN DASH}40 keV", "no data"]
    with pytest.raises(ParameterError, match="sources present: 'Crab', 'Cyg X-1'"):
        plot_lightcurve(make_curve(), "Vela")
    with pytest.raises(ParameterError, match="no column src_name, time"):
        plot_lightcurve(Table({"RATE": [1.0]}))
    with pytest.raises(ParameterError, match="no column of values"):
        plot_lightcurve(make_curve()["src_name", "time", "time_bin", "e_min", "e_max"])
    assert len(pyplot.get_fignums()) == 2


# ---- manners ----


def texts_of(figure):
    """All texts that are seen, by what they are part of, in a figure that was drawn."""
    figure.draw_without_rendering()
    parts = {"legend": [], "labels": [], "ticks": [], "notes": []}
    for ax in figure.axes:
        parts["labels"] += [ax.title, ax.xaxis.label, ax.yaxis.label, ax.xaxis.get_offset_text()]
        for axis in (ax.xaxis, ax.yaxis):
            (low, high), number = sorted(axis.get_view_interval()), ax.yaxis is axis
            ticks = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
            parts["ticks"] += [tick for tick in ticks if low <= tick.get_position()[number] <= high]
        parts["notes"] += ax.texts
        parts["legend"] += ax.get_legend().get_texts() if ax.get_legend() else []
    seen = {}
    for part, texts in parts.items():
        seen[part] = [
            (text.get_text(), matplotlib.text.Text.get_window_extent(text))
            for text in texts
            if text.get_text() and text.get_visible()
        ]
    return seen


LONG = ["IGR J17497-2821", "1RXS J180834.7+101041", "SWIFT J1753.5-0127", "XTE J1856+053"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plot_lightcurve(make_curve(LONG[:1]), time_format="relative", t0="2017-03-06T11:58:50.8", ax=ax),
        lambda ax: plot_lightcurve(make_curve(LONG), time_format="utc", ax=ax),
        lambda ax: plot_lightcurve(make_curve(), time_format="relative", t0="1995-10-10", ax=ax),
        lambda ax: plot_spectrum(make_spectra(LONG), ax=ax),
        lambda ax: plot_spectrum(make_spectra([*LONG, *(f"{name} (far)" for name in LONG)]), ax=ax),
        lambda ax: plot_spectrum(make_faint_spectra()[0], ax=ax),
    ],
    ids=["event", "sources", "seconds", "spectra", "eight", "limits"],
)
def test_texts_stay_in_a_figure_of_one_column(draw):
    figure = pyplot.figure(figsize=(3.5, 2.6), layout="constrained")
    ax = draw(figure.add_subplot())
    seen = texts_of(figure)
    boxes = [box for texts in seen.values() for _, box in texts]
    assert all(figure.bbox.containsx(x) and figure.bbox.containsy(y) for box in boxes for x, y in box.corners())
    # ticks are not written over each other, nor a label over them, nor a note over the legend
    assert not overlaps([box for _, box in seen["labels"]])
    assert not any(box.count_overlaps([other for _, other in seen["ticks"]]) for _, box in seen["labels"])
    assert not overlaps([box for text, box in seen["ticks"]])
    legend = ax.get_legend().get_window_extent()
    assert not legend.count_overlaps([box for part in ("ticks", "notes") for _, box in seen[part]])
    assert not any(box.count_overlaps([other for _, other in seen["labels"]]) for _, box in seen["legend"])
    # most of the figure is for the data
    assert ax.bbox.width * ax.bbox.height > 0.3 * figure.bbox.width * figure.bbox.height


@pytest.mark.parametrize("number", [1, 14])
def test_a_legend_leaves_space_for_the_data(number):
    """Whether there are other axes beside, or very many names."""
    figure, axes = pyplot.subplot_mosaic("AAA;BCD", figsize=(7, 5), layout="constrained")
    plot_lightcurve(make_curve([f"{LONG[1]} {n}" for n in range(number)]), ax=axes["A"])
    plot_spectrum(make_spectra([f"{LONG[1]} {n}" for n in range(number)]), ax=axes["B"])
    figure.draw_without_rendering()  # warns if there is none
    assert axes["B"].bbox.width > 0.2 * figure.bbox.width
    assert axes["B"].bbox.height > 0.2 * figure.bbox.height


def test_an_image_of_one_column():
    mosaic = with_catalog(make_mosaic(noise=0))
    figure = pyplot.figure(figsize=(3.5, 3), layout="constrained")
    ax = plot_image(mosaic, ax=figure.add_subplot(projection=WCS(make_header())))
    figure.draw_without_rendering()
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert all(
        figure.bbox.x0 <= x <= figure.bbox.x1 and figure.bbox.y0 <= y <= figure.bbox.y1 for x, y in box.corners()
    )
    names = [matplotlib.text.Text.get_window_extent(text) for text in ax.texts]
    assert not overlaps(names)
    assert all(ax.bbox.contains(*corner) for name in names for corner in name.corners())


def test_the_size_of_figures_of_the_user():
    assert tuple(plot_lightcurve(make_curve()).figure.get_size_inches()) == (6.4, 4.4)
    with pyplot.rc_context({"figure.figsize": (3.5, 2.6)}):
        figures = [
            plot(data).figure
            for plot, data in (
                (plot_lightcurve, make_curve(LONG)),
                (plot_spectrum, make_spectra()),
                (plot_image, make_mosaic(20)),
            )
        ]
    assert {tuple(figure.get_size_inches()) for figure in figures} == {(3.5, 2.6)}


def test_vector_files_are_small():
    table = make_curve(["GRB"], width=0.05, bins=4000)
    table["RATE"] = np.random.default_rng(2).poisson(100, 4000).astype(float)
    curve = plot_lightcurve(table, ax=make_axes())
    image = plot_image(make_mosaic(500), ax=make_axes((7, 5.6), projection=WCS(make_header(500))))
    for kind, ax, most in (("svg", curve, 150), ("pdf", image, 240)):
        file = io.BytesIO()
        ax.figure.savefig(file, format=kind)
        assert len(file.getvalue()) < 1000 * most
    # letters are part of the file
    assert b"/FontFile" in file.getvalue() or b"/Type3" in file.getvalue()


def test_one_figure_per_plot_and_none_shown(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *args, **kwargs: pytest.fail("shown"))
    axes = [plot_image(make_mosaic(20)), plot_spectrum(make_spectra()), plot_lightcurve(make_curve())]
    assert len(pyplot.get_fignums()) == len({ax.figure for ax in axes}) == 3


def test_interactive_mode_stays_as_it_was():
    for interactive in (True, False):
        with pyplot.ion() if interactive else pyplot.ioff():
            plot_lightcurve(make_curve())
            assert matplotlib.is_interactive() is interactive


def test_colours_of_the_user():
    with pyplot.style.context({"axes.prop_cycle": pyplot.cycler(color=["lime", "navy"])}):
        ax = plot_spectrum(make_spectra())
        assert [container.lines[0].get_color() for container in (ax.containers[0], ax.containers[2])] == ["C0", "C1"]
    ax = plot_spectrum(make_spectra())
    assert ax.containers[0].lines[0].get_color() != "C0"


@pytest.mark.parametrize(
    ("reply", "plot"),
    [
        ("isgri_image_6_done", lambda products: plot_image(products.image())),
        ("nb_image_4_done", lambda products: plot_image(products.image(), extension="SKY")),
        ("isgri_spectrum_real", lambda products: plot_spectrum(products.spectrum())),
        ("jemx_spectrum_dummy", lambda products: plot_spectrum(products.spectrum())),
        ("isgri_lc_real", lambda products: plot_lightcurve(products.lightcurve())),
        ("jemx_lc_dummy", lambda products: plot_lightcurve(products.lightcurve())),
        ("spi_acs_lc_real", lambda products: plot_lightcurve(products.lightcurve())),
        ("nb_lightcurve_4_done", lambda products: plot_lightcurve(products.lightcurve())),
    ],
)
def test_recorded_replies(reply, plot, recorded):
    ax = plot(Products.from_response(recorded(reply)))
    ax.figure.draw_without_rendering()
    assert "no data" not in [text.get_text() for text in ax.texts]
    assert ax.get_legend() or ax.images


def test_the_input_stays_as_it_was():
    mosaic, table = with_catalog(make_mosaic(50)), make_curve()
    before = [hdu.header.tostring() for hdu in mosaic], [repr(table[name]) for name in table.colnames]
    plot_image(mosaic)
    plot_lightcurve(table)
    assert ([hdu.header.tostring() for hdu in mosaic], [repr(table[name]) for name in table.colnames]) == before


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for plot, data in ((plot_image, make_mosaic(20)), (plot_spectrum, make_spectra()), (plot_lightcurve, make_curve())):
        with pytest.raises(ImportError, match="pip install matplotlib"):
            plot(data)
    assert plotting.__all__ == ["plot_image", "plot_lightcurve", "plot_spectrum"]


@pytest.mark.parametrize(
    ("plot", "wrong", "says"),
    [
        (plot_spectrum, Table({"RATE": [1.0]}), "not Table"),
        (plot_image, Table({"RATE": [1.0]}), "HDUList is needed, .*fits.open.*, not a Table"),
        (plot_lightcurve, fits.HDUList([fits.PrimaryHDU()]), "HDUList is not a light curve"),
    ],
)
def test_what_another_query_returned(plot, wrong, says):
    with pytest.raises(ParameterError, match=says):
        plot(wrong)
