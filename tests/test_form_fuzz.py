"""Cards of any value: what comes out of forms, tables, files and pictures is a value or an error of ours."""

import copy
import random

import pytest

from astroquery_mmoda import (
    Products,
    read_lightcurve,
    spectrum_table,
    to_timeseries,
    write_lightcurve,
    write_regions,
    write_spectra,
)
from astroquery_mmoda.errors import MmodaError

REPLIES = {
    "isgri_image_dummy": ("image",),
    "isgri_lc_real": ("lightcurve",),
    "isgri_spectrum_dummy": ("spectrum", "arf", "rmf"),
    "spi_acs_lc_real": ("lightcurve",),
}
TIMES = [
    *("TSTART", "TSTOP", "MJDREF", "MJDREFI", "MJDREFF", "JDREF", "TIMEDEL", "TIMEPIXR", "TIMEZERO", "TIMEZERI"),
    *("TIMEUNIT", "TIMESYS", "TIMEREF", "DATE-OBS", "DATE-END", "MJD-OBS", "EXPOSURE", "ONTIME", "LIVETIME"),
]
NAMES = ["TELESCOP", "INSTRUME", "EXTNAME", "EXTVER", "NAME", "HDUCLAS1", "HDUCLAS2", "HDUCLAS3", "GRPNAME", "RA_OBJ"]
LAYOUT = ["BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "BSCALE", "BZERO", "BLANK"]
COLUMNS = [
    *(f"{stem}{n}" for n in (1, 2, 5) for stem in ("TTYPE", "TFORM", "TUNIT", "TNULL", "TSCAL", "TZERO", "TDIM"))
]
CHANNELS = ["DETCHANS", "TLMIN1", "TLMAX1", "TLMIN4", "TLMAX4", "CHANTYPE", "CHANMIN", "CHANMAX", "LO_THRES"]
SCALES = ["AREASCAL", "BACKSCAL", "CORRSCAL", "QUALITY", "GROUPING", "SYS_ERR", "STAT_ERR", "POISSERR", "RESPFILE"]
BANDS = ["E_MIN", "E_MAX", "EUNIT", "BUNIT", "IMATYPE"]
SKY = ["CRVAL1", "CRPIX2", "CTYPE1", "CTYPE2", "CD1_1", "CD2_2", "CDELT1", "CUNIT1", "EQUINOX", "RADECSYS", "LONPOLE"]
COMMON = [*TIMES, *NAMES, *LAYOUT, *BANDS]
CARDS = {
    "isgri_image_dummy": [*COMMON, *SKY],
    "isgri_lc_real": [*COMMON, *COLUMNS],
    "isgri_spectrum_dummy": [*COMMON, *COLUMNS, *CHANNELS, *SCALES],
    "spi_acs_lc_real": [*TIMES, *COLUMNS],
}
WRONG = [
    *(None, True, -1, 0, 5, 2**62, 2**70, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 0.5, 51544),
    *("", "x" * 3000, "\u0003\u202e", "\N{GREEK CAPITAL LETTER OMEGA}", "erg/(", "10**99999", "(1)", "None", "1e400"),
    *("9" * 5000, "TT", "2020-13-45", "INTEGRAL", "keV", "INTENSITY", "RATE", "TIME", "GLON-TAN", [], [[1]], {"a": 1}),
]


def headers(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "header" and isinstance(inner, dict):
                yield inner
            else:
                yield from headers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from headers(inner)


def small(body):
    """The first of many sources will do."""
    products = body["products"]
    listed = products["numpy_data_product_list"]
    return body | {"products": products | {"numpy_data_product_list": listed[:2]}}


def tried(ask):
    try:
        return ask()
    except MmodaError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - whether there is an error is left open


def look_at(products, output, plotting, chance):
    made = {form: tried(getattr(products, form)) for form in ("image", "spectrum", "lightcurve", "catalog")}
    asked = {
        "image": (lambda image: write_regions(image, output / "image.reg", overwrite=True), plotting.plot_image),
        "spectrum": (
            spectrum_table,
            lambda spectra: write_spectra(spectra, output, overwrite=True, group=3, systematic=0.01),
            plotting.plot_spectrum,
        ),
        "lightcurve": (
            to_timeseries,
            lambda curve: read_lightcurve(write_lightcurve(curve, output / "curve.fits", overwrite=True)),
            plotting.plot_lightcurve,
        ),
        "catalog": (lambda catalog: write_regions(catalog, output / "catalog.reg", overwrite=True),),
    }
    for form, asks in asked.items():
        # one way of using a form, since all of them take long
        for ask in [chance.choice(asks)] if made[form] is not None else ():
            tried(lambda ask=ask, form=form: ask(made[form]))
    assert repr(products)
    assert products._repr_html_()
    assert products.table.pformat()
    if chance.random() < 0.3:
        tried(lambda: products.write(output / "all", overwrite=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reply", REPLIES)
def test_cards_of_any_value(recorded, tmp_path, reply):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    from astroquery_mmoda import plotting

    body, chance = small(recorded(reply)), random.Random(reply)
    for card in CARDS[reply][::6]:
        wrong, changed = chance.choice(WRONG), copy.deepcopy(body)
        for header in headers(changed):
            header[card] = wrong
        try:
            products = tried(lambda changed=changed: Products.from_response(changed))
            if products is not None:
                look_at(products, tmp_path, plotting, chance)
        except Exception as error:  # noqa: BLE001 - the point of the test
            pytest.fail(f"{card} = {str(wrong)[:50]!r}: {type(error).__name__}: {error}")
        finally:
            plt.close("all")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("card", ["CTYPE1", "CTYPE2", "RADESYS", "RADECSYS", "CD1_1", "CUNIT1", "CRVAL2"])
def test_pictures_of_images_with_a_wrong_coordinate(recorded, card):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    from astroquery_mmoda.plotting import plot_image

    image = Products.from_response(recorded("isgri_image_dummy")).image()
    hdu = next(hdu for hdu in image if hdu.is_image and hdu.name == "SIGNIFICANCE")
    for wrong in ("XLON-ABC", None):
        hdu.header[card] = wrong
        tried(lambda: plot_image(image, extension=("SIGNIFICANCE", hdu.ver)))
        plt.close("all")
