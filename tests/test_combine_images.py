"""Sums of mosaics: against the definition, known sources on any grid, and genuine mosaics."""

import gzip
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel
from astroquery.exceptions import InputWarning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astroquery_mmoda import DecodingError, ParameterError, Products
from astroquery_mmoda.catalog import table_of, to_hdu
from astroquery_mmoda.combine import combine_images, measure_rates
from tests.genuine_like import images as like_osa

NAMES = ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"]
UNITS = {"INTENSITY": "count / s", "VARIANCE": "count2 / s2", "SIGNIFICANCE": "", "EXPOSURE": "s"}
SCALE = 0.08
CRAB = SkyCoord(83.633, 22.014, unit="deg", frame="icrs")


def axes(
    lon=83.6, lat=22.0, *, frame="FK5", projection="TAN", scale=SCALE, shape=(60, 70), pixel=None, turn=0.0, **more
):
    """Cards of a celestial grid whose reference is in the middle."""
    kinds = ("GLON", "GLAT") if frame == "GALACTIC" else ("RA--", "DEC-")
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    header = fits.Header({f"CTYPE{i + 1}": f"{kind}-{projection}" for i, kind in enumerate(kinds)})
    header.update({"CRVAL1": lon, "CRVAL2": lat, "CUNIT1": "deg", "CUNIT2": "deg"})
    x, y = pixel or (shape[1] / 2 + 0.5, shape[0] / 2 + 0.5)
    header.update({"CRPIX1": x, "CRPIX2": y, "CD1_1": -cos, "CD1_2": sin, "CD2_1": sin, "CD2_2": cos})
    if frame != "GALACTIC":
        header["RADESYS"] = frame
    if frame == "FK5":
        header["EQUINOX"] = 2000.0
    header.update(more)
    return header


def world(header):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header)


def gaussian(header, shape, source, height=40.0, fwhm=14.1):
    """A round source on the sky."""
    rows, columns = np.indices(shape)
    distance = world(header).pixel_to_world(columns, rows).separation(source).arcmin
    return height * np.exp(-(distance**2) / 2 / (fwhm / 2.3548) ** 2)


def mosaic(
    grid=None,
    *,
    shape=(60, 70),
    intensity=1.0,
    variance=2.0,
    exposure=1000.0,
    bands=((20.0, 40.0),),
    number=0,
    dtype="f4",
    mask=None,
    windows=None,
    **cards,
):
    """Mosaic in the form of `query_image`; a `number` of its own gives it a job, windows and times of its own."""
    grid = axes(shape=shape) if grid is None else grid
    primary = fits.PrimaryHDU()
    primary.header.update(INSTRUM="isgri", PRODUCT="isgri_image", JOB_ID=f"job{number}", OBJECT="Crab")
    windows = [f"{665 + number:04d}00{pointing:02d}0010.001" for pointing in (22, 23)] if windows is None else windows
    for line in ("osa_version = OSA11.2", f"scw_list = {','.join(windows)}") if windows else ():
        primary.header.add_history(f"MMODA parameter {line}")
    hdulist = fits.HDUList([primary])
    for version, band in enumerate(bands, start=1):
        planes = {"INTENSITY": intensity, "VARIANCE": variance, "EXPOSURE": exposure}
        planes = {name: np.array(np.broadcast_to(value, shape), dtype=dtype) for name, value in planes.items()}
        with np.errstate(all="ignore"):
            planes["SIGNIFICANCE"] = planes["INTENSITY"] / np.sqrt(planes["VARIANCE"])
        for name in NAMES:
            if mask is not None:
                planes[name][~mask] = 0.0 if name == "EXPOSURE" else np.nan
            header = grid.copy()
            header.update(
                TELESCOP="INTEGRAL", INSTRUME="IBIS", DETNAM="ISGRI", MJDREF=51544.0, TIMESYS="TT", TIMEUNIT="d"
            )
            header.update(E_MIN=band[0], E_MAX=band[1], BUNIT=UNITS[name], IMATYPE=name, ONTIME=900.0, TELAPSE=950.0)
            header.update({"TSTART": 1000.0 + number, "TSTOP": 1000.25 + number, "DATE-OBS": "2002-09-27T00:00:00"})
            header.update(cards)
            hdulist.append(fits.ImageHDU(planes[name], header, name=name, ver=version))
    return hdulist


def assert_same(one, other, rtol=1e-6, names=NAMES):
    assert [hdu.name for hdu in one if hdu.is_image] == [hdu.name for hdu in other if hdu.is_image]
    for hdu, expected in zip(one, other, strict=False):
        if hdu.name in names:
            np.testing.assert_allclose(hdu.data, expected.data, rtol=rtol, err_msg=hdu.name)


def is_consistent(hdulist):
    for hdu in hdulist:
        if hdu.name == "SIGNIFICANCE":
            intensity, variance = (hdulist[name, hdu.ver].data.astype(float) for name in ("INTENSITY", "VARIANCE"))
            np.testing.assert_allclose(hdu.data, intensity / np.sqrt(variance), rtol=1e-6, atol=1e-30)
            exposed = hdulist["EXPOSURE", hdu.ver].data > 0
            for name in NAMES[:3]:
                np.testing.assert_array_equal(np.isfinite(hdulist[name, hdu.ver].data), exposed)


def fitted(hdulist, position, version=1):
    """Height and place of a free Gaussian and a constant, by 13 x 13 pixels."""
    from scipy.optimize import curve_fit

    hdu = hdulist["INTENSITY", version]
    cutout = Cutout2D(hdu.data.astype(float), position, 13, wcs=world(hdu.header))
    rows, columns = np.indices(cutout.shape)

    def model(_, height, x, y, sigma, constant):
        return (height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 2 / sigma**2) + constant).ravel()

    (height, x, y, sigma, _), _ = curve_fit(model, None, cutout.data.ravel(), p0=(cutout.data.max(), 6, 6, 1.2, 0))
    return height, cutout.wcs.pixel_to_world(x, y), abs(sigma)


# ---- the genuine pair

SOURCE = SkyCoord(255.98656, -37.84412, unit="deg", frame="fk5")  # 4U 1700-377


@pytest.fixture(scope="module")
def pair(genuine):
    replies = [genuine / "replies" / f"isgri_image_{number}.json.gz" for number in (1, 2)]
    return [Products.from_response(gzip.decompress(path.read_bytes())).image() for path in replies]


@pytest.fixture(scope="module")
def genuine_sum(pair):
    return combine_images(pair, overlap=True)


@pytest.mark.parametrize("shift", [(0.5, 0.5), (0.25, 0.5), (0.37, 0.0)])
def test_interpolation_keeps_heights_better_than_bright_sources_are_known(shift):
    """Of thousands of sigma: cubic splines lose up to 0.9 % of the height of a fitted Gaussian, 1.5 % of a pixel."""
    grid, target = axes(shape=(60, 70)), axes(shape=(60, 70))
    target.update({"NAXIS": 2, "NAXIS1": 70, "NAXIS2": 60})
    target.update({"CRPIX1": target["CRPIX1"] + shift[0], "CRPIX2": target["CRPIX2"] + shift[1]})
    source = world(grid).pixel_to_world(34.2, 29.7)
    mosaics = [mosaic(grid, intensity=gaussian(grid, (60, 70), source, height=100.0))]
    found = combine_images(mosaics, wcs=target)
    expected = gaussian(target, (60, 70), source, height=100.0)
    inside = np.s_[10:50, 10:60]
    np.testing.assert_allclose(found["INTENSITY"].data[inside], expected[inside], rtol=0, atol=0.5)
    assert fitted(found, source)[0] == pytest.approx(100.0, rel=2e-3)


def test_coordinates_in_an_unknown_frame():
    with pytest.raises(ParameterError, match="unknown frame: RADESYS is 'XX'"):
        combine_images([mosaic(RADESYS="XX")])


@pytest.mark.parametrize("card", [{"CRVAL2": "22 deg"}, {"CD1_1": "inf"}])
def test_coordinates_that_are_no_numbers(card):
    """Which wcslib takes for 0."""
    with pytest.raises(DecodingError, match="mosaic 0: .*not a number: C"):
        combine_images([mosaic(**card)])


def test_a_genuine_source_keeps_its_place_and_height(pair, genuine_sum):
    fits_ = [fitted(one, SOURCE) for one in pair]
    variances = []
    for one in pair:
        x, y = world(one["VARIANCE"].header).world_to_array_index(SOURCE)
        variances.append(one["VARIANCE"].data[x, y])
    weights = 1 / np.array(variances, float)
    height, place, _ = fitted(genuine_sum, SOURCE)
    assert height == pytest.approx(np.average([fit[0] for fit in fits_], weights=weights), rel=0.02)
    ra, dec = (np.average([getattr(fit[1].fk5, axis).deg for fit in fits_], weights=weights) for axis in ("ra", "dec"))
    assert place.separation(SkyCoord(ra, dec, unit="deg", frame="fk5")).arcmin < 0.15


def test_genuine_pixels_agree_with_the_definition(pair, genuine_sum):
    is_consistent(genuine_sum)
    target = world(genuine_sum["INTENSITY"].header)
    rows, columns = np.indices(genuine_sum["INTENSITY"].shape)
    covered = np.zeros(rows.shape, bool)
    for one in pair:
        source = world(one["INTENSITY"].header)
        x, y = (np.round(values) for values in pixel_to_pixel(target, source, columns, rows))
        inside = (x >= 0) & (y >= 0) & (x < one["INTENSITY"].shape[1]) & (y < one["INTENSITY"].shape[0])
        exposed = one["EXPOSURE"].data[y[inside].astype(int), x[inside].astype(int)] > 0
        covered[inside] |= exposed
        # none of the pixels is lost
        assert exposed.sum() == pytest.approx((one["EXPOSURE"].data > 0).sum(), rel=0.05)
    np.testing.assert_array_equal(np.isfinite(genuine_sum["INTENSITY"].data), covered)
    assert np.nanmin(genuine_sum["VARIANCE"].data) > 0


def test_a_genuine_mosaic_added_to_itself(pair):
    twice = combine_images([pair[0], pair[0]], overlap=True)
    for name, factor in (("INTENSITY", 1), ("VARIANCE", 0.5), ("EXPOSURE", 2)):
        np.testing.assert_allclose(twice[name].data, factor * pair[0][name].data, rtol=1e-6)
    assert_same(combine_images(pair[:1]), pair[0][:1] + pair[0][2:], rtol=3e-6)


def test_the_order_of_genuine_mosaics_does_not_matter(pair, genuine_sum, genuine, tmp_path):
    assert_same(combine_images(pair[::-1], overlap=True), genuine_sum, rtol=0)
    assert_same(combine_images(iter(pair), overlap=True), genuine_sum, rtol=0)
    for number, one in enumerate(pair):
        one.writeto(tmp_path / f"{number}.fits")
    with fits.open(tmp_path / "0.fits") as first, fits.open(tmp_path / "1.fits", memmap=False) as second:
        assert_same(combine_images([first, second], overlap=True), genuine_sum, rtol=0)
    # and as INTEGRAL's software wrote them
    with (
        fits.open(genuine / "isgri_mosa_ima_1.fits.gz") as first,
        fits.open(genuine / "isgri_mosa_ima_2.fits.gz") as second,
    ):
        assert_same(combine_images([first, second], overlap=True), genuine_sum, rtol=0)


def test_genuine_mosaics_without_overlap_are_refused(pair):
    with pytest.raises(ParameterError, match=r"mosaic 0 and mosaic 1 both hold the same time .* overlap=True"):
        combine_images(pair)


# ---- the definition, on one grid

FLOATS = st.integers(-(10**6), 10**6).map(lambda number: number / 1024)
POSITIVE = st.floats(2**-10, 1e4, width=32)
# what a plane may hold where nothing was exposed, or where something went wrong
ODD = st.sampled_from([0.0, -1.0, np.nan, np.inf, -np.inf])


@st.composite
def planes(draw, shape=(4, 5)):
    found = {
        name: draw(arrays("f4", shape, elements=values))
        for name, values in (("intensity", FLOATS), ("variance", POSITIVE), ("exposure", POSITIVE))
    }
    for name, plane in found.items():
        odd = draw(arrays("f4", shape, elements=ODD))
        which = draw(arrays(bool, shape))
        if name == "intensity":
            which &= ~np.isfinite(odd)
        plane[which] = odd[which]
    return found


def by_definition(inputs):
    """Weighted mean, its variance and the sum of exposures in each pixel, one after the other."""
    shape = inputs[0]["intensity"].shape
    found = {name: np.full(shape, 0.0 if name == "EXPOSURE" else np.nan) for name in NAMES}
    for index in np.ndindex(shape):
        cells = [tuple(float(one[name][index]) for name in ("intensity", "variance", "exposure")) for one in inputs]
        cells = [cell for cell in cells if np.isfinite(cell).all() and cell[1] > 0 and cell[2] > 0]
        if cells:
            weight = sum(1 / cell[1] for cell in cells)
            found["INTENSITY"][index] = sum(cell[0] / cell[1] for cell in cells) / weight
            found["VARIANCE"][index] = 1 / weight
            found["SIGNIFICANCE"][index] = found["INTENSITY"][index] * weight**0.5
            found["EXPOSURE"][index] = sum(cell[2] for cell in cells)
    return found


def usable(inputs):
    return any(np.isfinite(plane["SIGNIFICANCE"]).any() for plane in [by_definition(inputs)])


QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(st.lists(planes(), min_size=1, max_size=4), st.randoms())
def test_the_definition(inputs, random):
    mosaics = [mosaic(shape=(4, 5), number=number, **one) for number, one in enumerate(inputs)]
    if not usable(inputs):
        with pytest.raises(ParameterError, match="none of the mosaics has exposed pixels"):
            combine_images(mosaics)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # of those without exposed pixels
        found = combine_images(mosaics)
        random.shuffle(mosaics)
        other = combine_images(mosaics)
    is_consistent(found)
    for name, expected in by_definition(inputs).items():
        np.testing.assert_allclose(found[name].data, expected, rtol=1e-6, atol=1e-4 if name != "VARIANCE" else 0)
    assert_same(other, found, rtol=0)


@QUICK
@given(planes(), st.integers(1, 5))
def test_repetition(plane, times):
    if not usable([plane]):
        return
    one = mosaic(shape=(4, 5), **plane)
    single, several = combine_images([one]), combine_images([one] * times, overlap=True)
    for name, factor in (("INTENSITY", 1), ("VARIANCE", 1 / times), ("SIGNIFICANCE", times**0.5), ("EXPOSURE", times)):
        np.testing.assert_allclose(several[name].data, factor * single[name].data.astype(float), rtol=1e-6)
    np.testing.assert_allclose(several["INPUTS"].data["WEIGHT"], 1 / times)


@QUICK
@given(st.lists(planes(), min_size=3, max_size=3))
def test_a_sum_of_sums(inputs):
    if not all(usable([one]) for one in inputs):
        return
    mosaics = [mosaic(shape=(4, 5), number=number, **one) for number, one in enumerate(inputs)]
    whole, parts = combine_images(mosaics), combine_images([combine_images(mosaics[:2]), mosaics[2]])
    for name in ("VARIANCE", "EXPOSURE"):
        np.testing.assert_allclose(parts[name].data, whole[name].data, rtol=1e-5)
    np.testing.assert_allclose(parts["INTENSITY"].data, whole["INTENSITY"].data, rtol=1e-5, atol=1e-3)
    assert parts[0].header["NJOBS"] == whole[0].header["NJOBS"] == 3
    assert sorted(",".join(parts["INPUTS"].data["JOB_ID"]).split(",")) == ["job0", "job1", "job2"]
    for keyword in ("TSTART", "TSTOP", "TELAPSE", "ONTIME", "DATE-OBS", "DATE-END"):
        assert parts[1].header[keyword] == whole[1].header[keyword]


@QUICK
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=4), st.randoms())
def test_grids_that_differ_by_whole_pixels(shifts, random):
    """Nothing is interpolated: each pixel of the input is one of the sum."""
    inputs, total = [], {}
    for number, (right, down) in enumerate(shifts):
        generator = np.random.default_rng(number)
        pixels = generator.normal(size=(6, 7)).astype("f4")
        variance = generator.uniform(1, 2, size=(6, 7)).astype("f4")
        inputs.append(
            mosaic(axes(pixel=(3 - right, 4 - down)), shape=(6, 7), number=number, intensity=pixels, variance=variance)
        )
        for row, column in np.ndindex(6, 7):
            total.setdefault((row + down, column + right), []).append(
                (float(pixels[row, column]), float(variance[row, column]))
            )
    random.shuffle(inputs)
    found = combine_images(inputs)
    rows, columns = ([place[axis] for place in total] for axis in (0, 1))
    assert found["INTENSITY"].shape == (max(rows) - min(rows) + 1, max(columns) - min(columns) + 1)
    assert np.isfinite(found["INTENSITY"].data).sum() == len(total)
    for (row, column), cells in total.items():
        weight = sum(1 / variance for _, variance in cells)
        place = (row - min(rows), column - min(columns))
        assert found["INTENSITY"].data[place] == pytest.approx(
            sum(pixel / variance for pixel, variance in cells) / weight, rel=1e-5, abs=1e-6
        )
        assert found["VARIANCE"].data[place] == pytest.approx(1 / weight, rel=1e-6)
        assert found["EXPOSURE"].data[place] == 1000.0 * len(cells)
    # the sky is where it was
    sky = world(inputs[0]["INTENSITY"].header).pixel_to_world(2, 3)
    x, y = world(found["INTENSITY"].header).world_to_pixel(sky)
    assert abs(x - round(float(x))) < 1e-6
    assert abs(y - round(float(y))) < 1e-6


def test_pixels_that_must_not_weigh():
    grid = axes(shape=(2, 3))
    good = mosaic(grid, shape=(2, 3), intensity=1.0, variance=1.0)
    values = {
        "intensity": [[np.nan, 5, 5], [5, 5, 5]],
        "variance": [[1, 0, -1], [np.nan, np.inf, 1e-44]],
        "exposure": 100,
    }
    bad = mosaic(grid, shape=(2, 3), number=1, **values)
    found = combine_images([good, bad])
    np.testing.assert_array_equal(found["INTENSITY"].data, [[1, 1, 1], [1, 1, 5]])
    np.testing.assert_array_equal(found["EXPOSURE"].data, [[1000, 1000, 1000], [1000, 1000, 1100]])


# ---- other grids


@pytest.fixture(scope="module")
def island():
    """A field with a hole, and a border that follows neither rows nor columns."""
    rows, columns = np.indices((60, 70))
    field = np.hypot(rows - 30, columns - 33) < 24
    field[28, 30] = field[40:43, 35:37] = False
    return field


@pytest.mark.parametrize(
    "target",
    [
        axes(83.9, 22.3, shape=(80, 90)),
        axes(83.6, 22.0, pixel=(35.0, 30.0), shape=(60, 70)),  # half a pixel beside
        axes(83.6, 22.0, turn=33.0, scale=0.05, shape=(120, 120)),
        axes(184.6, -5.8, frame="GALACTIC", shape=(90, 90)),
        axes(83.6, 22.0, frame="ICRS", projection="SIN", scale=0.11, shape=(50, 50)),
        axes(0.0, 0.0, projection="CAR", scale=0.5, shape=(360, 720)),
        axes(60.0, 10.0, projection="AIT", scale=0.4, shape=(500, 1000)),
    ],
)
def test_a_constant_stays_constant_everywhere(island, target):
    """Also along the border and around holes, which are finite exactly where a pixel with exposure is."""
    shape = (target["CRPIX2"] - 0.5) * 2, (target["CRPIX1"] - 0.5) * 2
    shape = tuple(int(size) for size in shape)
    wcs = world(target)
    wcs.array_shape = shape
    found = combine_images([mosaic(intensity=7.0, variance=3.0, exposure=500.0, mask=island)], wcs=wcs)
    assert found["INTENSITY"].shape == shape
    rows, columns = np.indices(shape)
    x, y = pixel_to_pixel(wcs, world(axes()), columns, rows)
    exposed = np.zeros(shape, bool)
    near = np.isfinite(x) & (x > -0.5) & (y > -0.5) & (x < 69.5) & (y < 59.5)
    border = (abs(x - np.floor(x) - 0.5) < 1e-5) | (abs(y - np.floor(y) - 0.5) < 1e-5)
    exposed[near] = island[np.round(y[near]).astype(int), np.round(x[near]).astype(int)]
    finite = np.isfinite(found["INTENSITY"].data)
    np.testing.assert_array_equal(finite[~border], exposed[~border])
    assert finite[exposed].all()  # on the border of two pixels, either does
    assert exposed.sum() > 20
    is_consistent(found)
    for name, value in (("INTENSITY", 7.0), ("VARIANCE", 3.0), ("EXPOSURE", 500.0)):
        np.testing.assert_allclose(found[name].data[finite], value, rtol=1e-6)


GRIDS = {
    "pointings beside": [axes(83.9, 22.4), axes(82.9, 21.7)],
    "scales": [axes(scale=0.06, shape=(80, 90)), axes(83.9, 21.7)],
    "turned": [axes(turn=20.0), axes(turn=-41.0)],
    "frames": [axes(83.9, 22.1, frame="ICRS"), axes(184.6, -5.8, frame="GALACTIC")],
    "equinoxes": [axes(83.7, 22.1), axes(83.0, 22.0, EQUINOX=1950.0)],
    "projections": [axes(projection="ZEA"), axes(83.8, 22.1, projection="SIN")],
}


@pytest.mark.parametrize("grids", GRIDS.values(), ids=list(GRIDS))
def test_a_source_stays_where_and_as_high_as_it_is(grids):
    mosaics = []
    for number, grid in enumerate(grids):
        shape = (80, 90) if grid["CD2_2"] == 0.06 else (60, 70)
        pixels = gaussian(grid, shape, CRAB, height=40.0 - 10 * number)
        mosaics.append(mosaic(grid, shape=shape, number=number, intensity=pixels, variance=1.0 + number))
    found = combine_images(mosaics)
    height, place, sigma = fitted(found, CRAB)
    assert place.separation(CRAB).arcsec < 3
    assert height == pytest.approx((40 * 1 + 30 * 0.5) / 1.5, rel=0.02)
    scale = np.sqrt(abs(np.linalg.det(world(found["INTENSITY"].header).pixel_scale_matrix))) * 60
    assert scale == pytest.approx(60 * min(0.06 if grid["CD2_2"] == 0.06 else SCALE for grid in grids), rel=1e-6)
    assert 2.3548 * sigma * scale == pytest.approx(14.1, rel=0.02)
    assert_same(combine_images(mosaics[::-1]), found, rtol=0)


@pytest.mark.parametrize(
    ("lon", "lat", "offset"),
    [(359.9, 10.0, 1.5), (0.05, -60.0, 3.0), (10.0, 89.5, 170.0), (200.0, -88.9, 90.0), (40.0, 0.0, 0.5)],
)
def test_anywhere_on_the_sky(lon, lat, offset):
    source = SkyCoord(lon, lat, unit="deg", frame="fk5")
    grids = [axes((lon + shift) % 360, lat, shape=(90, 100)) for shift in (0, offset)]
    mosaics = [
        mosaic(grid, shape=(90, 100), number=number, intensity=gaussian(grid, (90, 100), source), variance=number + 1.0)
        for number, grid in enumerate(grids)
    ]
    found = combine_images(mosaics)
    assert max(found["INTENSITY"].shape) < 250
    height, place, _ = fitted(found, source)
    assert place.separation(source).arcsec < 5
    assert height == pytest.approx(40, rel=0.01)
    # all that was exposed is there: as much of the sky in the sum as in the parts together
    both = found["EXPOSURE"].data == 2000
    assert found["EXPOSURE"].data.sum() == pytest.approx(2 * 90 * 100 * 1000, rel=0.03)
    np.testing.assert_allclose(found["VARIANCE"].data[both], 2 / 3, rtol=1e-6)


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0, 360),
    st.floats(-1, 1),
    st.lists(st.tuples(st.floats(-2, 2), st.floats(0, 360), st.floats(-180, 180)), min_size=1, max_size=3),
    st.floats(0.7, 1.0),
)
def test_sources_on_any_grids(lon, sine, pointings, factor):
    source = SkyCoord(lon, np.degrees(np.arcsin(sine)), unit="deg", frame="icrs")
    mosaics = []
    for number, (distance, angle, turn) in enumerate(pointings):
        centre = source.directional_offset_by(angle * u.deg, abs(distance) * u.deg)
        grid = axes(
            centre.ra.deg, centre.dec.deg, frame="ICRS", turn=turn, scale=SCALE * factor**number, shape=(90, 90)
        )
        pixels = gaussian(grid, (90, 90), source, height=40.0)
        mosaics.append(mosaic(grid, shape=(90, 90), number=number, intensity=pixels, variance=1.0 + number))
    found = combine_images(mosaics)
    is_consistent(found)
    height, place, _ = fitted(found, source)
    assert place.separation(source).arcsec < 5
    assert height == pytest.approx(40, rel=0.015)


def test_far_apart():
    """Fields 100 deg apart are on one grid of equal areas; none of their pixels is lost, or on the other side of the sky."""
    sources = [SkyCoord(lon, lat, unit="deg", frame="fk5") for lon, lat in ((10, 20), (110, -20), (60, 50))]
    mosaics = []
    for number, source in enumerate(sources):
        grid = axes(source.ra.deg, source.dec.deg, scale=0.2)
        pixels = gaussian(grid, (60, 70), source, fwhm=30)
        mosaics.append(mosaic(grid, number=number, intensity=pixels))
    found = combine_images(mosaics)
    assert found["INTENSITY"].header["CTYPE1"] == "RA---ZEA"
    # a tangential plane at the reference of each field has no more than 3 % more area than the sky
    assert np.isfinite(found["INTENSITY"].data).sum() == pytest.approx(3 * 60 * 70, rel=0.03)
    for source in sources:
        height, place, _ = fitted(found, source)
        assert place.separation(source).arcmin < 0.3
        assert height == pytest.approx(40, rel=0.05)  # equal areas are not round far from the centre


def test_a_grid_too_large():
    tiny = mosaic(axes(scale=1e-5))
    with pytest.raises(
        ParameterError, match=r"more than 30,000,000 in all: combine those of one region, or give .* wcs="
    ):
        combine_images([tiny, mosaic(axes(200.0, -30.0), number=1)])
    opposite = [mosaic(axes(0.0, 0.0), number=0), mosaic(axes(180.0, 0.0), number=1)]
    with pytest.raises(ParameterError, match="wcs="):
        combine_images(opposite)


# ---- grids of the user


def test_forms_of_a_grid():
    one, shape = mosaic(intensity=3.0), (40, 45)
    header = axes(83.8, 22.2, shape=shape)
    wcs = world(header)
    wcs.array_shape = shape
    hdu = fits.ImageHDU(np.zeros(shape), header)
    found = combine_images([one], wcs=wcs)
    assert found["INTENSITY"].shape == shape
    ours = world(found["VARIANCE"].header)
    np.testing.assert_allclose(ours.wcs_pix2world([[3, 8]], 0), wcs.wcs_pix2world([[3, 8]], 0), rtol=1e-14)
    for given_ in (hdu, hdu.header, fits.PrimaryHDU(hdu.data, header)):
        assert_same(combine_images(iter([one]), wcs=given_), found, rtol=0)
    # the header of what is there already
    assert_same(combine_images([one], wcs=one["INTENSITY"]), one)
    assert wcs.array_shape == shape


@pytest.mark.parametrize(
    ("wcs", "match"),
    [
        ("J2000", "array_shape, a header, or an image HDU, not a str"),
        (world(axes()), "wcs.array_shape = "),
        (axes(), "NAXIS1 and NAXIS2"),
        (fits.ImageHDU(np.zeros((3, 4))).header, "two axes, both of celestial"),
        (fits.ImageHDU(np.zeros((2, 3, 4)), axes()), "two axes"),
        (
            fits.ImageHDU(
                np.zeros((3, 4)),
                axes(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", A_ORDER=2, B_ORDER=2, A_2_0=1e-4, B_2_0=1e-5),
            ),
            "distortions",
        ),
    ],
)
def test_grids_that_do_not_do(wcs, match):
    with pytest.raises(ParameterError, match=match):
        combine_images([mosaic()], wcs=wcs)


def test_a_grid_beside_a_mosaic():
    here, there = mosaic(), mosaic(axes(200.0, -30.0), number=1)
    wcs = here["INTENSITY"]
    with pytest.warns(InputWarning, match="mosaic 1: no exposed pixel is on the grid"):
        found = combine_images([here, there], wcs=wcs)
    assert_same(found, here)
    np.testing.assert_array_equal(found["INPUTS"].data["WEIGHT"], [1, 0])
    with pytest.raises(ParameterError, match="none of the mosaics has exposed pixels"):
        combine_images([there], wcs=wcs)
    with pytest.raises(ParameterError, match="at least one mosaic is needed, and none is given"):
        combine_images([], wcs=wcs)


# ---- what the sum says of itself


def test_header():
    mosaics = [mosaic(number=number) for number in (3, 0, 7)]
    found = combine_images(mosaics)
    assert [hdu.name for hdu in found] == ["PRIMARY", *NAMES, "INPUTS"]
    primary = found[0].header
    expected = {
        "INSTRUM": "isgri",
        "PRODUCT": "isgri_image",
        "OBJECT": "Crab",
        "NJOBS": 3,
        "NFAILED": 0,
        "SPANDAYS": 7.25,
    }
    assert {keyword: primary[keyword] for keyword in expected} == expected
    assert "JOB_ID" not in primary
    assert primary["HISTORY"][:] == ["MMODA parameter osa_version = OSA11.2"]
    for hdu in found[1:5]:
        header = hdu.header
        assert header["BUNIT"] == UNITS[hdu.name]
        assert (header["IMATYPE"], header["EXTVER"]) == (hdu.name, 1)
        assert (header["TSTART"], header["TSTOP"], header["ONTIME"]) == (1000.0, 1007.25, 2700.0)
        assert header["TELAPSE"] == pytest.approx(7.25 * 86400)
        assert (header["DATE-OBS"], header["DATE-END"]) == ("2002-09-27T00:00:00.000", "2002-10-04T06:00:00.000")
        assert (header["MJD-OBS"], header["MJD-END"]) == (52544.0, 52551.25)
        assert (header["TELESCOP"], header["DETNAM"], header["E_MIN"], header["E_MAX"]) == (
            "INTEGRAL",
            "ISGRI",
            20.0,
            40.0,
        )
        assert hdu.data.dtype == np.float32
    table = Table.read(found["INPUTS"])
    assert list(table["JOB_ID"]) == ["job3", "job0", "job7"]
    assert table["WINDOWS"][0] == "066800220010.001,066800230010.001"
    np.testing.assert_allclose(table["START"], [52547, 52544, 52551])
    assert list(table["EXPOSURE"]) == [1000.0] * 3
    np.testing.assert_allclose(table["WEIGHT"], 1 / 3)


def test_weights_of_inputs():
    found = combine_images([mosaic(number=0, variance=1.0), mosaic(number=1, variance=3.0)])
    np.testing.assert_allclose(found["INPUTS"].data["WEIGHT"], [0.75, 0.25])


def test_times_in_other_units():
    found = combine_images(
        [mosaic(number=number, TIMEUNIT="s", TSTART=10.0 + number, TSTOP=10.5 + number) for number in (0, 1)]
    )
    header = found["INTENSITY"].header
    assert header["TIMEUNIT"] == "s"
    assert (header["TSTART"], header["TSTOP"], header["TELAPSE"]) == pytest.approx((10.0, 11.5, 1.5), abs=1e-5)


def test_references_that_differ():
    first, second = mosaic(number=0), mosaic(number=1, MJDREF=51545.0, TSTART=1000.0, TSTOP=1000.25)
    header = combine_images([first, second])["INTENSITY"].header
    assert (header["MJDREF"], header["TSTART"], header["TSTOP"]) == (0.0, 52544.0, 52545.25)


def test_without_times():
    mosaics = [mosaic(number=number) for number in (0, 1)]
    for one in mosaics:
        for hdu in one[1:]:
            for keyword in ("TSTART", "TSTOP", "ONTIME", "DATE-OBS"):
                del hdu.header[keyword]
    header = combine_images(mosaics)["INTENSITY"].header
    assert not {"TSTART", "TSTOP", "ONTIME", "TELAPSE", "DATE-OBS"} & set(header)


def test_a_sum_is_written_read_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from astroquery_mmoda.plotting import plot_image

    found = combine_images([mosaic(number=0), mosaic(axes(83.9, 22.2), number=1)])
    found.writeto(tmp_path / "sum.fits")
    with fits.open(tmp_path / "sum.fits") as again:
        again.verify("exception")
        assert_same(again, found, rtol=0)
        more = combine_images([again, mosaic(number=2)])
    assert more[0].header["NJOBS"] == 3
    assert list(more["INPUTS"].data["JOB_ID"]) == ["job0,job1", "job2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert WCS(found["INTENSITY"].header).array_shape == found["INTENSITY"].shape
        plot_image(found).figure.draw_without_rendering()
    with pytest.raises(ParameterError, match=r"both hold the science window 06660022"):
        combine_images([found, mosaic(number=1)])


def test_source_lists():
    """Known sources once, unnamed ones once by place; significances are those in the sum."""
    new = SkyCoord(84.4, 22.6, unit="deg", frame="fk5")
    mosaics = []
    for number, grid in enumerate((axes(), axes(83.9, 22.4), axes(83.3, 21.9))):
        pixels = gaussian(grid, (60, 70), CRAB, height=40.0) + gaussian(grid, (60, 70), new, height=6.0)
        pixels += np.random.default_rng(number).normal(scale=1e-3, size=pixels.shape)
        mosaics.append(mosaic(grid, number=number, intensity=pixels, variance=1.0))
        if number < 2:
            places = SkyCoord([CRAB.fk5, new])
            sources = Table(
                {"meta_ID": [0, 1], "src_names": ["Crab", f"NEW_{3 - number}"], "significance": [20.0, 6.0]}
            )
            sources["ra"], sources["dec"] = places.ra, places.dec
            sources["NEW_SOURCE"], sources["ISGRI_FLAG"], sources["FLAG"] = -32768, 2, 1
            sources["ERR_RAD"] = [0.001, 0.05] * u.deg
            mosaics[number].append(to_hdu(sources))
    found = combine_images(mosaics)
    assert [hdu.name for hdu in found] == ["PRIMARY", *NAMES, "INPUTS", "CATALOG"]
    table = table_of(found)
    assert list(table["src_names"]) == ["Crab", "NEW_1"]
    # three times the exposure of each
    np.testing.assert_allclose(table["significance"], [40 * 3**0.5, 6 * 3**0.5], rtol=0.05)
    again = combine_images([found, mosaic(number=5)])
    assert list(table_of(again)["src_names"]) == ["Crab", "NEW_1"]
    assert "CATALOG" not in combine_images(mosaics[2:])


def test_rates_are_measured_in_sums():
    grids = axes(), axes(83.9, 22.4)
    mosaics = [
        mosaic(grid, number=number, intensity=gaussian(grid, (60, 70), CRAB, height=30.0 + 10 * number), variance=1.0)
        for number, grid in enumerate(grids)
    ]
    (row,) = measure_rates(combine_images(mosaics), CRAB)
    assert row["rate"] == pytest.approx(35, rel=0.02)
    assert row["rate_error"] == pytest.approx(0.5**0.5, rel=1e-5)
    assert row["exposure"] == pytest.approx(2000)


def test_two_bands():
    bands = ((20.0, 40.0), (40.0, 80.0))
    mosaics = [mosaic(number=number, bands=bands) for number in (0, 1)]
    for one in mosaics:
        one["INTENSITY", 2].data[:] = 5.0
        one["VARIANCE", 2].data[:] = 8.0
    one = mosaics[1]
    mosaics[1] = fits.HDUList([one[0], *one[5:], *one[1:5]])  # the other way round
    found = combine_images(mosaics)
    assert [(hdu.name, hdu.ver) for hdu in found[1:9]] == [(name, version) for version in (1, 2) for name in NAMES]
    assert found["INTENSITY", 1].data[3, 3] == 1.0
    assert (found["INTENSITY", 2].data[3, 3], found["VARIANCE", 2].data[3, 3]) == (5.0, 4.0)
    assert (found["INTENSITY", 2].header["E_MIN"], found["INTENSITY", 2].header["E_MAX"]) == (40.0, 80.0)
    is_consistent(found)


def test_numbers_of_other_types():
    """What is more exact in the inputs is so in the sum, in the byte order of this machine."""
    found = combine_images([mosaic(number=number, intensity=1 + 1e-10, dtype=">f8") for number in (0, 1)])
    assert found["INTENSITY"].data.dtype == np.float64
    np.testing.assert_allclose(found["INTENSITY"].data, 1 + 1e-10, rtol=1e-15)
    assert combine_images([mosaic(dtype=">f4")])["INTENSITY"].data.dtype == np.dtype("f4")
    assert combine_images([mosaic(dtype="i2")])["EXPOSURE"].data.dtype == np.dtype("f4")


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_the_forms_of_products(instrument, tmp_path):
    products = Products.from_response(getattr(like_osa, instrument)())
    mosaic_ = products.image()
    found = combine_images([mosaic_, mosaic_], overlap=True)
    np.testing.assert_allclose(found["VARIANCE"].data, mosaic_["VARIANCE"].data / 2, rtol=1e-6)
    assert found["INTENSITY"].header["BUNIT"] == mosaic_["INTENSITY"].header["BUNIT"]
    assert found["INTENSITY"].header["IMATYPE"] == mosaic_["INTENSITY"].header["IMATYPE"]
    # outcomes of query_many are pairs
    assert_same(combine_images(iter([(1, mosaic_), (0, mosaic_)]), overlap=True), found, rtol=0)
    # the service's own HDUs
    assert_same(combine_images([products[0].data, mosaic_], overlap=True), found, rtol=0)


@pytest.mark.parametrize("how", ["plain", "compressed", "scaled", "memory", "closed"])
def test_files(how, tmp_path):
    mosaics = [mosaic(number=number, intensity=1.5 + number) for number in (0, 1)]
    expected = combine_images(mosaics)
    opened = []
    for number, one in enumerate(mosaics):
        name = tmp_path / f"{number}.fits{'.gz' if how == 'compressed' else ''}"
        if how == "scaled":
            one["INTENSITY"].scale("int16", bscale=0.5)
        one.writeto(name)
        opened.append(fits.open(name, memmap=how != "memory"))
    if how == "closed":
        for one in opened:
            len(one)
            one.close()
    assert_same(combine_images(opened), expected, rtol=0)
    assert not any("data" in vars(hdu) for one in opened for hdu in one[1:])
    for one in opened:
        one.close()


# ---- refused


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(DETNAM="JMX2"), r"mosaic 1 has DETNAM 'JMX2', those before it have 'ISGRI': they must not be summed"),
        (dict(INSTRUME="JMX1"), "INSTRUME"),
        (dict(TELESCOP="Swift"), "TELESCOP"),
        (dict(bands=((20.0, 41.0),)), r"'20-41 keV', those before it have '20-40 keV'"),
        (dict(bands=((20.0, 40.0), (40.0, 80.0))), r"'20-40 keV, 40-80 keV', those before it have '20-40 keV'"),
        (dict(E_MIN="Real"), r"'unknown', those before it have '20-40 keV'"),
        (
            dict(BUNIT="count / dm2 / s"),
            r"BUNIT of INTENSITY \(20-40 keV\) 'count / \(s dm2\)', those before it have 'count / s'",
        ),
        (dict(TIMESYS="UTC"), "TIMESYS"),
        (dict(windows=["066500220010.000"]), "both hold the science window 066500220010.000: it would count twice"),
    ],
)
def test_what_must_not_be_summed(change, match):
    for arrange in (list, iter):
        with pytest.raises(ParameterError, match=match):
            combine_images(arrange([mosaic(), mosaic(number=1, **change)]))


def test_versions_of_the_software():
    other = mosaic(number=1)
    other[0].header["HISTORY"] = ""
    del other[0].header["HISTORY"]
    other[0].header.add_history("MMODA parameter osa_version = OSA10.2")
    with pytest.raises(ParameterError, match="osa_version 'OSA10.2'"):
        combine_images([mosaic(), other])


def test_a_long_time_of_isgri():
    with pytest.warns(InputWarning, match="ISGRI evolves"):
        found = combine_images([mosaic(), mosaic(number=200)])
    assert found[0].header["SPANDAYS"] == 200.25


@pytest.mark.parametrize("name", ["INTENSITY", "VARIANCE", "EXPOSURE"])
def test_an_image_that_is_missing(name):
    one = mosaic(number=1, bands=((20.0, 40.0), (40.0, 80.0)))
    del one[name, 2]
    with pytest.raises(ParameterError, match=rf"mosaic 1 has no image {name} of 40-80 keV .*query_image"):
        combine_images([mosaic(bands=((20.0, 40.0), (40.0, 80.0))), one])


def test_images_of_other_kinds():
    sky = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 4)), axes(), name="DATA_IMAGE")])
    with pytest.raises(
        ParameterError, match=r"no image INTENSITY and VARIANCE and EXPOSURE \(images present: DATA_IMAGE\)"
    ):
        combine_images([sky])
    cube = mosaic()
    for hdu in cube[1:]:
        hdu.data = hdu.data[np.newaxis]
    with pytest.raises(ParameterError, match="two axes, not 3"):
        combine_images([cube])
    shifted = mosaic()
    shifted["VARIANCE"].header["CRVAL1"] += 1
    with pytest.raises(ParameterError, match="different grids"):
        combine_images([shifted])
    plain = mosaic()
    for hdu in plain[1:]:
        hdu.header.update(CTYPE1="LINEAR", CTYPE2="LINEAR")
        del hdu.header["RADESYS"]
    with pytest.raises(ParameterError, match="mosaic 0 must have two axes, both of celestial coordinates"):
        combine_images([plain])
    with pytest.raises((ParameterError, DecodingError), match="mosaic 0"):
        combine_images([mosaic(CTYPE1="RA---XYZ", CTYPE2="DEC--XYZ")])


@pytest.mark.parametrize("wrong", [mosaic(), "sum.fits", 3, None, Table()])
def test_not_an_iterable(wrong):
    with pytest.raises(ParameterError, match="a list, or another iterable, of HDULists is needed"):
        combine_images(wrong)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ("sum.fits", "mosaic 1 is not of type HDUList.* but str"),
        ((1, ParameterError("too far")), "mosaic 1 is the error of a query that failed; leave it out: too far"),
    ],
)
def test_not_a_mosaic(wrong, match):
    with pytest.raises(ParameterError, match=match):
        combine_images([mosaic(), wrong])


def test_a_file_that_ends_too_early(tmp_path):
    path = tmp_path / "mosaic.fits"
    mosaic().writeto(path)
    path.write_bytes(path.read_bytes()[:-10000])
    with warnings.catch_warnings(), fits.open(path) as cut:
        warnings.simplefilter("ignore")  # of astropy, that it is cut
        for mosaics in ([cut], iter([cut])):
            with pytest.raises(DecodingError, match="the pixels of mosaic 0"):
                combine_images(mosaics)


def test_a_text_for_a_number():
    with pytest.raises(DecodingError, match="mosaic 1: not a number: CRVAL2"):
        combine_images([mosaic(), mosaic(number=1, CRVAL2="inf")])


def test_parts_without_data():
    bare = fits.HDUList([fits.PrimaryHDU()])
    with pytest.warns(InputWarning, match="2 of 4 inputs have no data and are left out: mosaic 0, 2"):
        found = combine_images([bare, mosaic(), bare, mosaic(number=1)])
    assert (found[0].header["NJOBS"], found[0].header["NNODATA"], len(found["INPUTS"].data)) == (2, 2, 2)
    again = combine_images([found, mosaic(number=2)])
    assert again[0].header["NNODATA"] == 2
    with pytest.raises(ParameterError, match="at least one mosaic is needed: all 2 given are empty"):
        combine_images([bare, bare])
    with pytest.raises(ParameterError, match="at least one mosaic is needed, and none is given"):
        combine_images(iter(()))
    with pytest.raises(ParameterError, match="mosaic 2 has DETNAM 'JMX2', those before it have 'ISGRI'"):
        combine_images([bare, mosaic(), mosaic(number=1, DETNAM="JMX2")])


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reproject", None)
    with pytest.raises(ImportError, match="sums of images and rates need reproject, .*: pip install reproject"):
        combine_images([])


# ---- memory


def test_inputs_stay_as_they_are():
    mosaics = [mosaic(number=0), mosaic(axes(83.9, 22.2), number=1)]
    copies = [fits.HDUList([hdu.copy() for hdu in one]) for one in mosaics]
    combine_images(mosaics)
    for one, copy in zip(mosaics, copies, strict=True):
        assert fits.FITSDiff(one, copy).identical


def test_memory_does_not_grow_with_the_number_of_mosaics():
    def peak(count):
        tracemalloc.start()
        combine_images(
            mosaic(axes(83.6 + 0.1 * (number % 5), 22.0), shape=(200, 200), number=number) for number in range(count)
        )
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    combine_images([mosaic(), mosaic(axes(84.0, 22.0), number=1)])  # libraries are loaded
    assert peak(9) < 1.1 * peak(4)


def test_a_disk_that_gets_full(full_disk, monkeypatch):
    def save(file, pixels, **options):
        raise OSError(f"{pixels.size} requested and 0 written")  # as numpy does

    full_disk(10_000, None)
    monkeypatch.setattr(np, "save", save)
    with pytest.raises(OSError, match="no space left: the file needs 50,400 bytes"):
        combine_images(mosaic(number=number) for number in range(4))
