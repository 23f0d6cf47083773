# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Plots: what is drawn, where, and that nothing else is touched."""

import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table, vstack
from astropy.time import Time
from astropy.wcs import WCS

from astroquery_mmoda.errors import ParameterError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402 - after the choice of a backend without windows
from matplotlib.colors import AsinhNorm  # noqa: E402

from astroquery_mmoda import plotting  # noqa: E402
from astroquery_mmoda.plotting import plot_image, plot_lightcurve, plot_spectrum  # noqa: E402


@pytest.fixture(autouse=True)
def _leave_no_trace():
    before = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == before


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


def make_mosaic(size=200):
    rows, columns = np.mgrid[:size, :size]
    image = np.random.default_rng(3).normal(size=(size, size))
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


def with_catalog(hdulist):
    hdu = fits.table_to_hdu(make_catalog())
    hdu.name = "CATALOG"
    hdulist.append(hdu)
    return hdulist


def marked(ax):
    return np.concatenate([collection.get_offsets() for collection in ax.collections if len(collection.get_offsets())])


def test_image():
    ax = plot_image(make_mosaic())
    assert type(ax).__name__ == "WCSAxes"
    assert ax.coords[0].get_axislabel() == "Right ascension (FK5)"
    assert ax.coords[1].get_axislabel() == "Declination (FK5)"
    assert len(ax.images) == 1
    assert not ax.texts
    bar = ax.images[0].colorbar
    assert bar.ax.get_ylabel() == "Significance ($\\sigma$), 30\N{EN DASH}80 keV"
    norm = ax.images[0].norm
    assert isinstance(norm, AsinhNorm)
    assert norm.vmin == -3
    assert norm.vmax > 140
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("extension", "label"),
    [
        (("SIGNIFICANCE", 2), "Significance ($\\sigma$), 80\N{EN DASH}200 keV"),
        ("INTENSITY", "Intensity ($\\mathrm{ct\\,s^{-1}}$), 30\N{EN DASH}80 keV"),
        ("EXPOSURE", "Exposure ($\\mathrm{s}$), 30\N{EN DASH}80 keV"),
        (1, "Intensity ($\\mathrm{ct\\,s^{-1}}$), 30\N{EN DASH}80 keV"),
    ],
)
def test_image_of_another_kind(extension, label):
    ax = plot_image(make_mosaic(), extension=extension)
    assert ax.images[0].colorbar.ax.get_ylabel() == label
    ax.figure.canvas.draw()


def test_sources_of_the_reply_are_marked():
    ax = plot_image(with_catalog(make_mosaic()))
    assert {text.get_text() for text in ax.texts} == set(SOURCES)
    offsets = {tuple(np.round(place, 2)) for place in marked(ax)}
    assert offsets == {(float(x), float(y)) for x, y, _ in SOURCES.values()}
    known, new = [collection for collection in ax.collections if len(collection.get_offsets())]
    assert (len(known.get_offsets()), len(new.get_offsets())) == (9, 1)
    ax.figure.canvas.draw()


def test_names_do_not_overlap():
    ax = plot_image(with_catalog(make_mosaic()))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    pairs = [(one, other) for index, one in enumerate(boxes) for other in boxes[:index]]
    assert not [pair for pair in pairs if pair[0].overlaps(pair[1])]


def test_a_given_catalogue_takes_the_place_of_the_own():
    catalog = make_catalog()[:3]
    ax = plot_image(with_catalog(make_mosaic()), catalog=catalog)
    assert len(ax.texts) == 3
    assert not plot_image(with_catalog(make_mosaic()), catalog=catalog[:0]).texts


def test_catalogues_of_any_origin():
    center = SkyCoord(275.09, 7.18, unit="deg", frame="fk5")
    away = SkyCoord(95, -7, unit="deg")
    galactic = Table({"name": ["A", "B"], "position": SkyCoord([center.galactic, away.galactic])})
    plain = Table({"NAME": ["cost$5$"], "RA": [275.09 * 60], "DEC": [7.18]})
    plain["RA"].unit = "arcmin"
    ax = plot_image(make_mosaic(), catalog=galactic)
    assert [text.get_text() for text in ax.texts] == ["A"]
    np.testing.assert_allclose(marked(ax), [[99, 99]], atol=1e-3)
    ax = plot_image(make_mosaic(), catalog=plain)
    np.testing.assert_allclose(marked(ax), [[99, 99]], atol=1e-3)
    ax.figure.canvas.draw()
    with pytest.raises(ParameterError, match="no columns ra and dec"):
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
    with pytest.raises(ParameterError, match="no sky"):
        plot_image(fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 3)), name="SIGNIFICANCE")]))


@pytest.mark.parametrize("value", [np.nan, 0.0, 5.0])
@pytest.mark.parametrize("extension", ["SIGNIFICANCE", "INTENSITY", "EXPOSURE"])
def test_featureless_images(value, extension):
    mosaic = make_mosaic(20)
    mosaic[extension].data[:] = value
    plot_image(mosaic, extension=extension).figure.canvas.draw()


def test_galactic_image():
    mosaic = make_mosaic(20)
    mosaic["SIGNIFICANCE"].header.update(CTYPE1="GLON-AIT", CTYPE2="GLAT-AIT", CRVAL1=0.0, CRVAL2=0.0)
    del mosaic["SIGNIFICANCE"].header["RADESYS"], mosaic["SIGNIFICANCE"].header["EQUINOX"]
    ax = plot_image(mosaic, catalog=make_catalog())
    assert ax.coords[0].get_axislabel() == "Galactic longitude"
    ax.figure.canvas.draw()


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
    ax.figure.canvas.draw()


def test_spectra_of_all_sources():
    ax = plot_spectrum(make_spectra())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Crab", "Cyg X-1"]
    ax.figure.canvas.draw()


def test_many_spectra_are_told_apart():
    ax = plot_spectrum(make_spectra([f"S {number}" for number in range(25)], channels=4))
    lines = [container.lines[0] for container in ax.containers if str(container.get_label()).startswith("S")]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 25
    ax.figure.canvas.draw()


def test_spectrum_without_detections():
    spectra = make_spectra(["Crab"])
    spectra["SPECTRUM"].data["RATE"][:] = -1
    ax = plot_spectrum(spectra)
    assert len(ax.containers[1].lines[0].get_xdata()) == 18
    ax.figure.canvas.draw()


def test_spectrum_of_nothing():
    plot_spectrum(fits.HDUList([fits.PrimaryHDU()])).figure.canvas.draw()
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


def test_short_lightcurve():
    ax = plot_lightcurve(make_curve())
    assert ax.get_xlabel() == "Time since 2017-03-06T12:00:00.000 TT (s)"
    assert ax.get_ylabel() == "Rate ($\\mathrm{ct\\,s^{-1}}$)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Crab", "Cyg X-1"]
    for level, container in enumerate(ax.containers, start=1):
        x, y = points(container)
        np.testing.assert_allclose(x, 50 + 100 * np.arange(30), atol=1e-3)
        assert np.isnan(y).sum() == 3
        assert set(y[np.isfinite(y)]) == {level}
        assert (container.has_xerr, container.has_yerr) == (True, True)
    ax.figure.canvas.draw()


def test_long_lightcurve():
    ax = plot_lightcurve(make_curve(width=10000.0), "crab")
    assert ax.get_xlabel() == "Time (MJD, TT)"
    assert len(ax.containers) == 1
    np.testing.assert_allclose(points(ax.containers[0])[0][0], 57818.5 + 5000 / 86400)
    ax.figure.canvas.draw()
    assert ax.xaxis.get_offset_text().get_text() == ""


def test_milliseconds_are_kept():
    table = make_curve(["GRB"], width=0.05, bins=2000)
    ax = plot_lightcurve(table)
    x, _ = points(ax.containers[0])
    np.testing.assert_allclose(x, 0.025 + 0.05 * np.arange(2000), atol=1e-5)
    ax.figure.canvas.draw()


def test_other_values():
    ax = plot_lightcurve(make_curve(["Mrk 421"], column="MAG", unit="mag"))
    assert ax.yaxis_inverted()
    assert ax.get_ylabel() == "Magnitude ($\\mathrm{mag}$)"
    plot_lightcurve(make_curve(["Mrk 501"], column="MAG", unit="mag"), ax=ax)
    assert ax.yaxis_inverted()
    ax = plot_lightcurve(make_curve(["Mrk 421"], column="FLUX", unit="erg / (s cm2)"))
    assert not ax.yaxis_inverted()
    assert ax.get_ylabel().startswith("Flux ($")
    table = make_curve(["Mrk 421"], column="strain", unit=None)
    assert plot_lightcurve(table).get_ylabel() == "strain"
    table.remove_column("ERROR")
    assert not plot_lightcurve(table).containers[0].has_yerr


def test_energy_bands_are_told_apart():
    table = vstack([make_curve(["Crab"]), make_curve(["Crab"], band=(40.0, 80.0))], metadata_conflicts="silent")
    ax = plot_lightcurve(table)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["Crab 28\N{EN DASH}40 keV", "Crab 40\N{EN DASH}80 keV"]


def test_lightcurve_of_nothing():
    plot_lightcurve(make_curve()[:0]).figure.canvas.draw()
    with pytest.raises(ParameterError, match="sources present: 'Crab', 'Cyg X-1'"):
        plot_lightcurve(make_curve(), "Vela")
    with pytest.raises(ParameterError, match="no column src_name, time"):
        plot_lightcurve(Table({"RATE": [1.0]}))
    with pytest.raises(ParameterError, match="no column of values"):
        plot_lightcurve(make_curve()["src_name", "time", "time_bin", "e_min", "e_max"])
    assert len(pyplot.get_fignums()) == 1


# ---- manners ----


def test_one_figure_per_plot_and_none_shown(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda *args, **kwargs: pytest.fail("shown"))
    axes = [plot_image(make_mosaic(20)), plot_spectrum(make_spectra()), plot_lightcurve(make_curve())]
    assert len(pyplot.get_fignums()) == len({ax.figure for ax in axes}) == 3


def test_the_input_stays_as_it_was():
    mosaic, table = with_catalog(make_mosaic(50)), make_curve()
    before = [hdu.header.tostring() for hdu in mosaic], [repr(table[name]) for name in table.colnames]
    plot_image(mosaic)
    plot_lightcurve(table)
    assert ([hdu.header.tostring() for hdu in mosaic], [repr(table[name]) for name in table.colnames]) == before


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for plot, data in ((plot_image, make_mosaic(20)), (plot_spectrum, make_spectra()), (plot_lightcurve, make_curve())):
        with pytest.raises(ImportError, match=r"astroquery_mmoda\[plot\]"):
            plot(data)
    assert plotting.__all__ == ["plot_image", "plot_lightcurve", "plot_spectrum"]
