"""Rates measured in mosaics: simulated skies of known rates, genuine mosaics, and what must be refused."""

import gzip
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astroquery.exceptions import InputWarning
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import curve_fit

from astroquery_mmoda import Products
from astroquery_mmoda.catalog import to_hdu
from astroquery_mmoda.combine import measure_rates
from astroquery_mmoda.errors import MmodaError, ParameterError
from tests.genuine_like import images

FALL = 4 * np.log(2)
CENTRE = SkyCoord(255.98656, -37.84412, unit="deg", frame="fk5")
COLUMNS = ["src_name", "ra", "dec", "e_min", "e_max", "rate", "rate_error", "significance", "upper_limit"]
COLUMNS += ["exposure", "noise"]


def sky_header(size=81, *, scale=0.0823, rotation=0.0, centre=CENTRE, form="CD", projection="TAN", frame="fk5"):
    """Cards of an image of ISGRI around a place, its grid described in one of the ways of FITS."""
    place = centre.transform_to(frame).spherical
    scales = np.broadcast_to(scale, 2)
    turned = np.radians(rotation)
    matrix = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    header = fits.Header({"NAXIS": 2, "NAXIS1": size, "NAXIS2": size})
    axes = ("GLON", "GLAT") if frame == "galactic" else ("RA--", "DEC-")
    for number, (axis, value) in enumerate(zip(axes, (place.lon.deg, place.lat.deg), strict=True), start=1):
        header[f"CTYPE{number}"] = f"{axis}-{projection}"
        header[f"CRVAL{number}"], header[f"CRPIX{number}"], header[f"CUNIT{number}"] = value, (size + 1) / 2, "deg"
    steps = np.array([-scales[0], scales[1]])
    if form == "CD":
        full = matrix * steps[:, np.newaxis]
        header.update({f"CD{i + 1}_{j + 1}": full[i, j] for i in (0, 1) for j in (0, 1)})
    else:
        header.update({"CDELT1": steps[0], "CDELT2": steps[1]})
        header.update({f"PC{i + 1}_{j + 1}": matrix[i, j] for i in (0, 1) for j in (0, 1)})
    if frame == "fk5":
        header.update({"RADESYS": "FK5", "EQUINOX": 2000.0})
    return header


def sky(sources, rates, header=None, *, fwhm=14 * u.arcmin, noise=None, variance=0.04, bands=((20.0, 40.0),), **cards):
    """Mosaic of Gaussians by the definition: angular distances to each pixel, for each band a factor of 1, 1/2, ..."""
    header = header or sky_header()
    header.update({"TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "DETNAM": "ISGRI", **cards})
    shape = header["NAXIS2"], header["NAXIS1"]
    rows, columns = np.indices(shape)
    places = WCS(header).pixel_to_world(columns, rows)
    with np.errstate(invalid="ignore"):
        pixels = sum(
            rate * np.exp(-FALL * (places.separation(source) / fwhm).to_value(u.one) ** 2)
            for source, rate in zip(sources, rates, strict=True)
        )
    hdulist = fits.HDUList([fits.PrimaryHDU()])
    variances = np.broadcast_to(np.asarray(variance, dtype=float), shape)
    for number, band in enumerate(bands, start=1):
        intensity = pixels / number + (0 if noise is None else noise * np.sqrt(variances))
        with np.errstate(invalid="ignore", divide="ignore"):
            maps = {
                "INTENSITY": (intensity, header.get("BUNIT", "count / s")),
                "VARIANCE": (variances, "count2 / s2"),
                "SIGNIFICANCE": (intensity / np.sqrt(variances), ""),
                "EXPOSURE": (np.where(variances > 0, 3000.0, 0.0), "s"),
            }
        for name, (data, unit) in maps.items():
            hdu = fits.ImageHDU(data.astype("f4"), header, name=name, ver=number)
            hdu.header.update({"BUNIT": unit, "E_MIN": band[0], "E_MAX": band[1]})
            hdulist.append(hdu)
    return hdulist


def correlated(shape, seed, fwhm_pixels=2.83):
    """Noise of variance 1 whose neighbouring pixels are alike, as those of images through coded masks are."""
    # the correlation is as wide as the point-spread function
    made = gaussian_filter(
        np.random.default_rng(seed).normal(size=shape), fwhm_pixels / 2.3548 / np.sqrt(2), mode="wrap"
    )
    return made / made.std()


def around(distance, angle=30 * u.deg, centre=CENTRE):
    return centre.directional_offset_by(angle, distance)


def together(*places):
    return SkyCoord([place.ra for place in places], [place.dec for place in places], frame="fk5")


def named(places, names=None):
    return Table({"src_names": names or [f"S{n}" for n in range(len(places))], "ra": places.ra, "dec": places.dec})


# ---- known rates


GRIDS = {
    "plain": {},
    "turned": {"rotation": 33.0},
    "PC": {"rotation": -70.0, "form": "PC"},
    "oblong pixels": {"scale": (0.05, 0.09)},
    "galactic": {"frame": "galactic"},
    "SIN": {"projection": "SIN", "rotation": 10.0},
    "small pixels": {"scale": 0.03, "size": 161},
    "many pixels, of which a part is used": {"scale": 0.004, "size": 701},
    "far from the tangent point": {"centre": around(15 * u.deg, 80 * u.deg), "size": 501},
    "CAR": {"projection": "CAR", "centre": SkyCoord(255.0, 0.0, unit="deg", frame="fk5"), "size": 1101},
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("offset", [0.0, 21.37, 47.1])
def test_a_gaussian_has_its_height(grid, offset):
    source = around(offset * u.arcmin)
    rates = measure_rates(sky([source], [12.5], sky_header(**GRIDS[grid])), source, fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(12.5, rel=2e-4)
    assert rates["rate_error"][0] == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (-0.5, 0.499999)])
def test_places_within_a_pixel(offset):
    header = sky_header()
    source = WCS(header).pixel_to_world(40 + offset[0], 40 + offset[1])
    rates = measure_rates(sky([source], [3.0], header), source, fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(3.0, rel=1e-4)


@settings(max_examples=12, deadline=None)
@given(
    st.floats(8, 30), st.floats(-40, 40), st.floats(-40, 40), st.floats(0, 360), st.floats(-5, 1000)
)  # width, place, rotation, rate
def test_any_gaussian_within_two_percent(fwhm, x, y, rotation, rate):
    source = CENTRE.spherical_offsets_by(x * u.arcmin, y * u.arcmin)
    mosaic = sky([source], [rate], sky_header(61, rotation=rotation), fwhm=fwhm * u.arcmin)
    found = measure_rates(mosaic, source, fwhm=fwhm * u.arcmin)
    assert found["rate"][0] == pytest.approx(rate, rel=0.001, abs=1e-4)


def test_units_bands_and_columns():
    source = around(10 * u.arcmin)
    mosaic = sky([source], [10.0], bands=((60.0, 100.0), (20.0, 60.0)), BUNIT="counts/sec")
    rates = measure_rates(mosaic, named(together(source), ["Her X-1"]), nsigma=2, fwhm="14 arcmin")
    assert rates.colnames == COLUMNS
    assert rates["src_name"].tolist() == ["Her X-1"] * 2
    assert rates["e_min"].tolist() == [20.0, 60.0]  # from the lowest
    np.testing.assert_allclose(rates["rate"], [5.0, 10.0], rtol=1e-4)
    units = {name: rates[name].unit for name in rates.colnames[1:]}
    assert units["rate"] == units["rate_error"] == units["upper_limit"] == u.ct / u.s
    assert (units["ra"], units["e_max"], units["exposure"]) == (u.deg, u.keV, u.s)
    assert units["significance"] is units["noise"] is None
    assert rates["exposure"].tolist() == [3000.0] * 2
    np.testing.assert_allclose(rates["upper_limit"], rates["rate"] + 2 * 0.2 * rates["noise"], rtol=1e-6)
    np.testing.assert_allclose(rates["significance"], rates["rate"] / 0.2 / rates["noise"], rtol=1e-6)
    assert (rates.meta["FWHM"], rates.meta["FWHMFROM"], rates.meta["NSIGMA"]) == (14.0, "given", 2.0)


def test_jemx_and_its_units():
    products = Products.from_response(json.loads(json.dumps(images.jemx())))
    mosaic = products.image()
    place = WCS(mosaic["INTENSITY"].header).pixel_to_world(*images.SOURCE)
    rates = measure_rates(mosaic, place, fwhm=8 * u.arcmin)
    assert rates["rate"].unit == u.ct / u.dm**2 / u.s
    # the width of its source is 2 sqrt(4 ln 2) pixels of 0.08 deg
    exact = measure_rates(mosaic, place, fwhm=4 * np.sqrt(np.log(2)) * images.SCALE * u.deg)
    assert abs(exact["rate"][0] - images.RATE) < 4 * exact["rate_error"][0]


def test_without_significance_and_exposure():
    mosaic = sky([CENTRE], [10.0], noise=correlated((81, 81), 1))
    full = measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)
    bare = measure_rates(
        fits.HDUList([hdu for hdu in mosaic if hdu.name[:3] not in ("SIG", "EXP")]), CENTRE, fwhm=14 * u.arcmin
    )
    assert bare["exposure"].mask.all()
    for name in ("rate", "rate_error", "noise", "significance"):
        np.testing.assert_allclose(bare[name], full[name], rtol=1e-6)


def test_of_a_cube_with_one_plane_and_no_energies():
    mosaic = sky([CENTRE], [10.0])
    for hdu in mosaic[1:]:
        hdu.data = hdu.data[np.newaxis]
        hdu.header.update({"CTYPE3": "FREQ", "CRVAL3": 1.0, "CRPIX3": 1.0, "CDELT3": 1.0, "CD3_3": 1.0})
        del hdu.header["E_MIN"]
    rates = measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(10.0, rel=1e-4)
    assert rates["e_min"].mask.all()


def test_other_units():
    mosaic = sky([CENTRE], [10.0], BUNIT="furlong")
    mosaic["EXPOSURE"].header["BUNIT"] = "ks"
    rates = measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)
    assert (str(rates["rate"].unit), rates["exposure"][0]) == ("furlong", 3e6)
    del mosaic["INTENSITY"].header["BUNIT"]
    assert measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)["rate"].unit == u.one


def test_significances_of_the_local_service(mmoda):
    """Its catalogue has those of the highest pixel, which is not where the source is."""
    field = {"coordinates": "MAXI J1820+070", "radius": "8 deg", "max_pointings": 10}
    mosaic = mmoda.query_image("isgri", **field, time_range=(58193.455, 58246.892))
    rates = measure_rates(mosaic, mosaic)
    found = Table.read(mosaic["CATALOG"])
    assert rates["src_name"].tolist() == found["src_names"].tolist()
    x, y = WCS(mosaic["INTENSITY"].header).world_to_pixel(SkyCoord(found["ra"], found["dec"], unit="deg", frame="fk5"))
    aside = np.exp(-FALL * ((x - np.rint(x)) ** 2 + (y - np.rint(y)) ** 2) * (0.0823 * 60 / rates.meta["FWHM"]) ** 2)
    np.testing.assert_allclose(aside * rates["rate"] / rates["rate_error"], found["significance"], rtol=0.02, atol=1.5)
    assert rates.meta["FWHM"] == pytest.approx(0.1 * 60 * 2.3548, rel=0.02)


# ---- neighbours


@pytest.mark.parametrize("apart", [0.3, 0.5, 1.0, 1.5, 2.0, 2.9])
def test_neighbours_are_separated(apart):
    pair = together(CENTRE, around(apart * 14 * u.arcmin))
    rates = measure_rates(sky(pair, [2.0, 200.0]), pair, fwhm=14 * u.arcmin)
    np.testing.assert_allclose(rates["rate"], [2.0, 200.0], rtol=2e-3)
    assert (rates["rate_error"] >= 0.2 * (1 - 1e-6)).all()


def test_neighbours_out_of_reach_do_not_matter():
    pair = together(CENTRE, around(3.01 * 14 * u.arcmin))
    rates = measure_rates(sky(pair, [2.0, 200.0]), pair[:1], fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(2.0, rel=0.02)
    assert rates["rate_error"][0] == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("apart", [0.5, 1.0])
def test_two_sources_are_right_within_their_errors(apart):
    pair, pulls = together(CENTRE, around(apart * 14 * u.arcmin)), []
    for seed in range(50):
        noise = correlated((41, 41), seed)
        rates = measure_rates(sky(pair, [10.0, 6.0], sky_header(41), noise=noise), pair, fwhm=14 * u.arcmin)
        pulls.append((rates["rate"] - [10.0, 6.0]) / rates["rate_error"])
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.35
    assert 0.85 < np.std(pulls) < 1.3


def test_errors_grow_the_closer_neighbours_are():
    errors = []
    for apart in (0.2, 0.4, 0.8, 4.0):
        pair = together(CENTRE, around(apart * 14 * u.arcmin))
        errors.append(measure_rates(sky(pair, [10.0, 10.0]), pair, fwhm=14 * u.arcmin)["rate_error"][0])
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.1 * errors[2]
    assert errors[3] == pytest.approx(0.2, rel=1e-5)


def test_one_place_under_two_names():
    twice = together(CENTRE, around(0.5 * u.arcmin), around(2 * u.deg))
    mosaic = sky(twice[::2], [10.0, 5.0])
    with pytest.warns(InputWarning, match=r"1.4 arcmin.*of both: GX 1 and GX 2\.$"):
        rates = measure_rates(mosaic, named(twice, ["GX 1", "GX 2", "GX 3"]), fwhm=14 * u.arcmin)
    np.testing.assert_allclose(rates["rate"], [10.0, 10.0, 5.0], rtol=0.01)
    np.testing.assert_allclose(rates["rate_error"], 0.2, rtol=1e-5)


def test_many_copies_of_one_neighbour():
    places = together(CENTRE, *[around(15 * u.arcmin)] * 400)
    with pytest.warns(InputWarning, match="of both"):
        rates = measure_rates(sky(places[:2], [10.0, 5.0]), named(places), fwhm=14 * u.arcmin)
    np.testing.assert_allclose(rates["rate"], [10.0] + [5.0] * 400, rtol=1e-3)


def test_a_thousand_sources():
    header = sky_header(400)
    generator = np.random.default_rng(5)
    places = WCS(header).pixel_to_world(*generator.uniform(10, 390, (2, 1000)))
    mosaic = sky([CENTRE], [0.0], header, bands=((20.0, 40.0), (40.0, 80.0)))
    begin = time.perf_counter()
    with pytest.warns(InputWarning, match="of both"):
        rates = measure_rates(mosaic, named(places), fwhm=14 * u.arcmin)
    assert time.perf_counter() - begin < 10
    assert len(rates) == 2000
    assert np.isfinite(rates["rate"]).all()


# ---- noise and empty places


def test_empty_places_and_upper_limits():
    header = sky_header(301)
    mosaic = sky([CENTRE], [0.0], header, noise=1.4 * correlated((301, 301), 3))
    x, y = np.divmod(np.random.default_rng(4).choice(280**2, 400, replace=False), 280)
    rates = measure_rates(mosaic, WCS(header).pixel_to_world(x + 10.3, y + 9.6), fwhm=14 * u.arcmin)
    np.testing.assert_allclose(rates["noise"], 1.4, rtol=0.03)
    np.testing.assert_allclose(rates["significance"], rates["rate"] / rates["rate_error"] / rates["noise"], rtol=1e-6)
    assert abs(rates["significance"].mean()) < 0.2
    assert 0.9 < rates["significance"].std() < 1.25
    limit = np.maximum(rates["rate"], 0) + 3 * rates["rate_error"] * rates["noise"]
    np.testing.assert_allclose(rates["upper_limit"], limit, rtol=1e-6)
    assert (rates["upper_limit"] >= 3 * 0.2 * 1.35).all()


def test_noise_is_at_least_one():
    quiet = sky([CENTRE], [0.0], noise=0.3 * correlated((81, 81), 3))
    assert measure_rates(quiet, CENTRE, fwhm=14 * u.arcmin)["noise"][0] == 1.0


def test_a_slope_of_the_background_is_no_rate():
    rows, columns = np.indices((81, 81))
    mosaic = sky([CENTRE], [1.0], noise=5 + 0.02 * rows + 0.01 * columns)
    assert measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)["rate"][0] == pytest.approx(1.0, abs=0.01)


# ---- edges


def test_outside_and_without_exposure_is_masked():
    rows, columns = np.indices((81, 81))
    variance = np.where(np.hypot(rows - 40, columns - 40) < 30, 0.04, 0.0)
    mosaic = sky([CENTRE], [10.0], variance=variance)
    pixels = [(40, 40), (40, 5), (-3, 40), (40, 81), (200, 200)]
    places = together(*(WCS(sky_header()).pixel_to_world(x, y) for x, y in pixels), SkyCoord(76, 37.8, unit="deg"))
    rates = measure_rates(mosaic, named(places), fwhm=14 * u.arcmin)
    for name in ("rate", "rate_error", "significance", "upper_limit", "exposure"):
        assert rates[name].mask.tolist() == [False] + [True] * 5
    assert not rates["noise"].mask.any()


@pytest.mark.parametrize("blank", [0.0, np.nan])
def test_errors_are_larger_at_an_edge(blank):
    rows, columns = np.indices((81, 81))
    variance = np.where(columns >= 40, 0.04, blank)
    source = WCS(sky_header()).pixel_to_world(40, 40)
    rates = measure_rates(sky([source], [10.0], variance=variance), source, fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(10.0, rel=1e-3)
    assert 0.2 * 1.05 < rates["rate_error"][0] < 0.2 * 1.5


def test_a_single_pixel_tells_no_rate():
    variance = np.zeros((81, 81))
    variance[40, 40] = 0.04
    assert measure_rates(sky([CENTRE], [10.0], variance=variance), CENTRE, fwhm=14 * u.arcmin)["rate"].mask.all()


def test_a_mosaic_without_exposure():
    rates = measure_rates(sky([CENTRE], [10.0], variance=0.0), CENTRE, fwhm=14 * u.arcmin)
    assert rates["rate"].mask.all()
    assert rates["noise"].mask.all()


# ---- widths


def test_width_of_bright_sources():
    places = together(CENTRE, around(2 * u.deg), around(2 * u.deg, 200 * u.deg), around(1.5 * u.deg, 120 * u.deg))
    mosaic = sky(places, [50.0, 30.0, 20.0, 1.0], fwhm=15.3 * u.arcmin, noise=correlated((81, 81), 8))
    rates = measure_rates(mosaic, places[3])  # whatever is asked for
    assert rates.meta["FWHM"] == pytest.approx(15.3, rel=0.02)
    assert rates.meta["FWHMFROM"] == "median of 3 fitted above 20 sigma"


def test_blends_give_no_width():
    pair = together(CENTRE, around(20 * u.arcmin))
    rates = measure_rates(sky(pair, [50.0, 50.0]), pair)
    assert (rates.meta["FWHM"], rates.meta["FWHMFROM"]) == (14.0, "typical of the instrument")


@pytest.mark.parametrize(
    ("instrume", "detnam", "arcmin"),
    [("IBIS", "ISGRI", 14.0), ("IBIS", "", 14.0), ("JMX1", "JMX1", 3.3), ("JMX2", "", 3.3)],
)
def test_width_of_the_instrument(instrume, detnam, arcmin):
    mosaic = sky([CENTRE], [1.0], sky_header(scale=0.02), INSTRUME=instrume, DETNAM=detnam)
    assert measure_rates(mosaic, CENTRE).meta["FWHM"] == arcmin


def test_width_of_unknown_instruments():
    faint = sky([CENTRE], [1.0], INSTRUME="NEW", DETNAM="")
    with pytest.raises(ParameterError, match=r"images of NEW is not known.*give fwhm="):
        measure_rates(faint, CENTRE)
    bright = sky([CENTRE], [100.0], INSTRUME="NEW", DETNAM="")
    assert measure_rates(bright, CENTRE).meta["FWHM"] == pytest.approx(14.0, rel=1e-3)


# ---- sources


def test_forms_of_sources(tmp_path):
    mosaic = sky([CENTRE], [10.0])
    table = named(together(CENTRE, around(1 * u.deg)), ["One", "Two"])
    with_catalog = fits.HDUList([*mosaic, to_hdu(table)])
    table.write(tmp_path / "list.ecsv")
    table.write(tmp_path / "list.fits")
    service = {"cat_frame": "fk5", "cat_coord_units": "deg", "cat_lon_name": "ra", "cat_lat_name": "dec"}
    service["cat_column_names"] = ["meta_ID", "src_names", "ra", "dec"]
    service["cat_column_list"] = [[0, 1], ["One", "Two"], table["ra"].tolist(), table["dec"].tolist()]
    (tmp_path / "list.json").write_text(json.dumps(service))
    forms = [table, with_catalog, service, json.dumps(service)]
    forms += [tmp_path / "list.ecsv", str(tmp_path / "list.fits"), tmp_path / "list.json"]
    for form in forms:
        rates = measure_rates(mosaic, form, fwhm=14 * u.arcmin)
        assert rates["src_name"].tolist() == ["One", "Two"]
        np.testing.assert_allclose(rates["rate"], [10.0, 0.0], rtol=1e-3, atol=1e-3)
    places = together(CENTRE, around(1 * u.deg))
    for form in (places, places.galactic, places.icrs, places.reshape(2, 1)):
        rates = measure_rates(mosaic, form, fwhm=14 * u.arcmin)
        assert rates["src_name"].tolist()[0] == "J170356-375038"
        np.testing.assert_allclose(rates["rate"], [10.0, 0.0], rtol=1e-3, atol=1e-3)


def test_a_galactic_table():
    place = CENTRE.galactic
    table = Table({"name": ["X"], "glon": [place.l.deg], "glat": [place.b.deg]})
    rates = measure_rates(sky([CENTRE], [10.0]), table, fwhm=14 * u.arcmin)
    assert rates["rate"][0] == pytest.approx(10.0, rel=1e-4)
    assert rates.meta["FRAME"] == "icrs"
    assert SkyCoord(rates["ra"][0], rates["dec"][0], unit="deg").separation(CENTRE) < 0.01 * u.arcsec


def test_no_sources():
    rates = measure_rates(sky([CENTRE], [10.0]), named(together(CENTRE))[:0], fwhm=14 * u.arcmin)
    assert rates.colnames == COLUMNS
    assert len(rates) == 0


# ---- what is written and shown


@pytest.mark.parametrize("form", ["ecsv", "fits"])
def test_files(form, tmp_path):
    places = together(CENTRE, around(20 * u.deg))
    rates = measure_rates(sky([CENTRE], [10.0], sky_header(41)), named(places), fwhm=14 * u.arcmin)
    rates.write(tmp_path / f"rates.{form}")
    again = Table.read(tmp_path / f"rates.{form}")
    assert again.colnames == COLUMNS
    assert again["rate"].mask.tolist() == [False, True]
    assert again["rate"][0] == rates["rate"][0]
    assert again["rate"].unit == rates["rate"].unit
    assert (again.meta["FWHM"], again.meta["FRAME"]) == (14.0, "fk5")


def test_latex_and_print(tmp_path):
    rates = measure_rates(sky([CENTRE], [10.123456]), CENTRE, fwhm=14 * u.arcmin)
    rates.write(tmp_path / "rates.tex", format="ascii.latex")
    assert re.search(
        r"J170356-375038 & 255.9866 & -37.8441 & 20 & 40 & 10.12 & 0.2 & ", (tmp_path / "rates.tex").read_text()
    )
    columns = ("src_name", "rate", "rate_error", "significance", "upper_limit", "exposure", "noise")
    assert max(map(len, rates[columns].pformat(max_width=-1))) <= 80


def test_goes_into_a_catalog_again():
    rates = measure_rates(sky([CENTRE], [10.0]), CENTRE, fwhm=14 * u.arcmin)
    again = measure_rates(sky([CENTRE], [10.0]), rates, fwhm=14 * u.arcmin)
    assert again["ra"].tolist() == rates["ra"].tolist()


@pytest.mark.parametrize("pixels", ["noise", 0.0, 1e38, np.nan, np.inf])
@pytest.mark.parametrize("name", ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"])
def test_pixels_that_make_no_sense(name, pixels):
    mosaic = sky([CENTRE], [10.0])
    mosaic[name].data[:] = 1000 * np.random.default_rng(1).normal(size=(81, 81)) if pixels == "noise" else pixels
    rates = measure_rates(mosaic, CENTRE)
    known, errors = rates["rate"].compressed(), rates["rate_error"].compressed()
    assert np.isfinite([known, errors]).all()
    assert (errors > 0).all()


def test_the_mosaic_is_unchanged():
    mosaic = sky([CENTRE], [10.0], variance=np.where(np.indices((81, 81))[0] > 3, 0.04, 0.0))
    before = [(hdu.header.tostring(), None if hdu.data is None else hdu.data.copy()) for hdu in mosaic]
    measure_rates(mosaic, CENTRE)
    for hdu, (header, data) in zip(mosaic, before, strict=True):
        assert hdu.header.tostring() == header
        if data is not None:
            np.testing.assert_array_equal(hdu.data, data)


# ---- what is refused


def test_images_without_errors():
    mosaic = sky([CENTRE], [10.0])
    with pytest.raises(ParameterError, match=r"need an INTENSITY and a VARIANCE.*images present: INTENSITY 1, SIG"):
        measure_rates(fits.HDUList([hdu for hdu in mosaic if hdu.name != "VARIANCE"]), CENTRE)
    with pytest.raises(ParameterError, match="images present: none"):
        measure_rates(fits.HDUList([fits.PrimaryHDU()]), CENTRE)


@pytest.mark.parametrize("mosaic", ["mosaic.fits", None, Table(), np.zeros((3, 3))])
def test_not_a_mosaic(mosaic):
    with pytest.raises(ParameterError, match=r"must be an HDUList.*fits\.open"):
        measure_rates(mosaic, CENTRE)


@pytest.mark.parametrize("nsigma", [0, -1, np.nan, np.inf, True, "3", None, [3], 3 * u.s, 1j])
def test_wrong_nsigma(nsigma):
    with pytest.raises(ParameterError, match="nsigma"):
        measure_rates(sky([CENTRE], [10.0]), CENTRE, nsigma=nsigma)


@pytest.mark.parametrize(
    "fwhm", [14, 0 * u.arcmin, -1 * u.arcmin, np.nan * u.deg, 3 * u.s, "wide", [1, 2] * u.deg, 90 * u.deg]
)
def test_wrong_fwhm(fwhm):
    with pytest.raises(ParameterError, match="fwhm"):
        measure_rates(sky([CENTRE], [10.0]), CENTRE, fwhm=fwhm)


@pytest.mark.parametrize("fwhm", [1 * u.arcsec, 0.05 * u.deg])
def test_narrower_than_pixels(fwhm):
    with pytest.raises(ParameterError, match="pixel"):
        measure_rates(sky([CENTRE], [10.0]), CENTRE, fwhm=fwhm)


@pytest.mark.parametrize(
    "sources",
    [["Crab"], ("Crab", "Vela"), None, 5, "no such file", Table({"a": [1]}), Table({"name": ["x"], "ra": [1.0]})],
)
def test_wrong_sources(sources):
    with pytest.raises(ParameterError, match="sources"):
        measure_rates(sky([CENTRE], [10.0]), sources)


def test_a_source_without_position():
    places = Table({"name": ["A", "B"], "ra": [1.0, np.nan], "dec": [2.0, 3.0]})
    with pytest.raises(ParameterError, match="sources: .*row 1 .'B'"):
        measure_rates(sky([CENTRE], [10.0]), places)
    with pytest.raises(ParameterError, match="not finite"):
        measure_rates(sky([CENTRE], [10.0]), SkyCoord([np.nan], [1], unit="deg"))


def test_images_without_sky():
    mosaic = sky([CENTRE], [10.0])
    for hdu in mosaic[1:]:
        hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "X", "Y"
    with pytest.raises(ParameterError, match="band 1 of the mosaic: .*sky coordinates"):
        measure_rates(mosaic, CENTRE)


def test_images_that_do_not_fit():
    mosaic = sky([CENTRE], [10.0])
    mosaic["VARIANCE"].data = np.ones((3, 4))
    with pytest.raises(ParameterError, match="different sizes"):
        measure_rates(mosaic, CENTRE)
    mosaic["VARIANCE"].data = np.ones((2, 81, 81))
    with pytest.raises(ParameterError, match="two dimensions"):
        measure_rates(mosaic, CENTRE)


@pytest.mark.parametrize(
    "cards",
    [{"CTYPE1": "RA---XYZ"}, {"CD1_1": 0.0, "CD2_2": 0.0}, {"CRVAL2": np.inf}, {"CRPIX1": "x"}, {"CUNIT1": "kg"}],
)
def test_coordinates_that_make_no_sense(cards):
    mosaic = sky([CENTRE], [10.0])
    for hdu in mosaic[1:]:
        for key, value in cards.items():
            hdu.header.set(key, str(value) if value == np.inf else value)
    with pytest.raises(MmodaError):
        measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)


def test_bands_in_different_units():
    mosaic = sky([CENTRE], [10.0], bands=((20.0, 40.0), (40.0, 80.0)))
    mosaic["INTENSITY", 2].header["BUNIT"] = "erg"
    with pytest.raises(ParameterError, match="measure them apart"):
        measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)
    mosaic["INTENSITY", 2].header["BUNIT"] = "1000 count / s"
    rates = measure_rates(mosaic, CENTRE, fwhm=14 * u.arcmin)
    np.testing.assert_allclose(rates["rate"], [10.0, 5000.0], rtol=1e-3)


@pytest.mark.parametrize("library", ["scipy", "reproject"])
def test_the_extra_is_named(library):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from astroquery_mmoda.combine import measure_rates\n"
        "try: measure_rates(None, None)\n"
        f"except ImportError as error: assert 'pip install {library}' in str(error), error\n"
        "else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_importing_it_is_light():
    code = (
        "import sys; import astroquery_mmoda.combine\n"
        "heavy = {'scipy', 'reproject', 'astropy.wcs', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


# ---- genuine mosaics


@pytest.fixture(scope="module", params=[1, 2])
def genuine_mosaic(genuine, request):
    return Products.from_response(
        gzip.decompress((genuine / "replies" / f"isgri_image_{request.param}.json.gz").read_bytes())
    ).image()


@pytest.mark.parametrize("number", [1, 2])
def test_genuine_file_of_the_software(genuine, number):
    """Named by IMATYPE alone, with zeros where nothing was exposed."""
    reply = genuine / "replies" / f"isgri_image_{number}.json.gz"
    rates = measure_rates(Products.from_response(gzip.decompress(reply.read_bytes())).image(), CENTRE)
    with fits.open(genuine / f"isgri_mosa_ima_{number}.fits.gz") as original:
        of_file = measure_rates(original, CENTRE)
    for name in COLUMNS[3:]:
        assert of_file[name][0] == pytest.approx(rates[name][0], rel=1e-6), name


def test_genuine_rate(genuine_mosaic):
    rates = measure_rates(genuine_mosaic, CENTRE)
    pixels = np.nan_to_num(genuine_mosaic["INTENSITY"].data.astype(float))
    x, y = WCS(genuine_mosaic["INTENSITY"].header).world_to_pixel(CENTRE)
    steps = np.linspace(-1, 1, 41)
    peak = map_coordinates(
        pixels, [np.add.outer(y + steps, 0 * steps), np.add.outer(0 * steps, x + steps)], order=3
    ).max()
    assert rates["rate"][0] == pytest.approx(peak, rel=0.06)

    box = (slice(round(float(y)) - 6, round(float(y)) + 7), slice(round(float(x)) - 6, round(float(x)) + 7))
    rows, columns = (each.ravel() for each in np.mgrid[box])

    def gaussian(_, height, x0, y0, width, constant):
        return height * np.exp(-FALL * ((columns - x0) ** 2 + (rows - y0) ** 2) / width**2) + constant

    free, _ = curve_fit(gaussian, rows, pixels[box].ravel(), [peak, x, y, 3.0, 0.0])
    assert rates["rate"][0] == pytest.approx(free[0], rel=0.03)
    assert 13.5 < rates.meta["FWHM"] < 14.6
    assert re.fullmatch(r"median of [34] fitted above 20 sigma", rates.meta["FWHMFROM"])
    variance = genuine_mosaic["VARIANCE"].data[round(float(y)), round(float(x))]
    assert rates["rate_error"][0] == pytest.approx(np.sqrt(variance), rel=1e-5)
    assert rates["noise"][0] == pytest.approx(1.40, abs=0.06)
    assert rates["rate"].unit == u.ct / u.s


def test_a_genuine_file_whose_images_have_one_name(genuine):
    with fits.open(genuine / "isgri_mosa_ima_1.fits.gz") as mosaic:
        assert "INTENSITY" not in mosaic
        assert measure_rates(mosaic, CENTRE)["rate"][0] == pytest.approx(41.92, rel=0.06)


def test_genuine_empty_places(genuine_mosaic):
    significance = np.nan_to_num(genuine_mosaic["SIGNIFICANCE"].data.astype(float))
    wcs, exposed = WCS(genuine_mosaic["INTENSITY"].header), genuine_mosaic["EXPOSURE"].data > 0
    bright = wcs.pixel_to_world(*np.nonzero(significance > 8)[::-1])
    rows, columns = np.nonzero(exposed)
    chosen = np.random.default_rng(2).choice(len(rows), 2000, replace=False)
    places = wcs.pixel_to_world(columns[chosen], rows[chosen])
    apart = places[:, np.newaxis].separation(bright).min(axis=1)
    rates = measure_rates(genuine_mosaic, places[apart > 0.8 * u.deg][:400])
    pulls = (rates["rate"] / rates["rate_error"] / rates["noise"]).compressed()
    assert len(pulls) > 380
    assert abs(np.mean(pulls)) < 0.2
    assert 0.8 < np.std(pulls) < 1.3
    assert 0.8 < 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 1.3


def test_genuine_rate_hardly_depends_on_the_width(genuine_mosaic):
    rates = [measure_rates(genuine_mosaic, CENTRE, fwhm=width * u.arcmin)["rate"][0] for width in (13.5, 14.6)]
    assert rates[0] == pytest.approx(rates[1], rel=0.02)
