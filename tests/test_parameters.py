"""What an instrument offers, read from recorded meta-data and from that of older servers."""

import json

import pytest
from astropy import units as u

from astroquery_mmoda.errors import ParameterError, ServiceError
from astroquery_mmoda.products.kinds import KINDS
from astroquery_mmoda.request.metadata import kind_from_name, read_metadata
from astroquery_mmoda.text import nearest

INSTRUMENTS = ["isgri", "jemx", "spi_acs", "example", "empty", "empty_async"]


@pytest.fixture(params=["nested lists (1.3.6)", "JSON texts (1.3.3)"])
def schema_of(request, recorded):
    def read(instrument):
        reply = recorded(f"meta_data_{instrument}")
        if "1.3.3" in request.param:
            reply = [[json.dumps(row) if isinstance(row, list) else row for row in reply[0]]]
        return read_metadata(reply, instrument)

    return read


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_recorded_instrument_is_read(schema_of, instrument):
    schema = schema_of(instrument)
    assert schema.products
    for product, parameters in schema.products.items():
        assert schema.kind(product) in KINDS
        assert None not in parameters
        assert all(name == parameter.name for name, parameter in parameters.items())


def test_isgri(schema_of):
    schema = schema_of("isgri")
    kinds = {product: schema.kind(product) for product in schema.products}
    assert kinds == {
        "isgri_image": "image",
        "isgri_spectrum": "spectrum",
        "isgri_lc": "lightcurve",
        "spectral_fit": "other",
    }
    lc = schema.products["isgri_lc"]
    types = {
        name: lc[name].type for name in ("T1", "RA", "radius", "E1_keV", "time_bin", "max_pointings", "osa_version")
    }
    assert types == {
        "T1": "time",
        "RA": "angle",
        "radius": "angle",
        "E1_keV": "energy",
        "time_bin": "duration",
        "max_pointings": "integer",
        "osa_version": "string",
    }
    assert lc["scw_list"].type == "list"
    assert lc["selected_catalog"].type == "catalog"
    assert "detection_threshold" not in lc
    assert schema.products["isgri_image"]["detection_threshold"].type == "float"


def test_choices_are_enforced_only_if_the_default_is_one(schema_of):
    parameters = schema_of("isgri").products["isgri_image"]
    assert parameters["osa_version"].choices
    assert parameters["osa_version"].enforced_choices == ()
    assert parameters["integral_data_rights"].enforced_choices == ("public", "all-private")


def test_limits_and_types_of_a_workflow(schema_of):
    example = schema_of("example").products
    assert (example["lightcurve"]["nbins"].minimum, example["lightcurve"]["nbins"].maximum) == (2, 1000)
    assert "how many bins" in example["lightcurve"]["nbins"].description
    types = {name: example["everything"][name].type for name in ("flag", "cfg", "scale", "opt", "when")}
    assert types == {"flag": "boolean", "cfg": "structured", "scale": "float", "opt": "float", "when": "time"}
    assert schema_of("empty").products["file_dummy"]["dummy_file"].type == "file"


def test_types_without_ontology(recorded):
    """Dispatcher 1.3.3 tells units and defaults only."""
    reply = recorded("meta_data_isgri")
    for row in reply[0][2:]:
        for parameter in row:
            parameter.pop("owl_uri", None)
    lc = read_metadata(reply, "isgri").products["isgri_lc"]
    names = ("T1", "RA", "E1_keV", "time_bin", "max_pointings", "scw_list", "osa_version")
    assert [lc[name].type for name in names] == ["time", "angle", "energy", "duration", "integer", "list", "string"]


@pytest.mark.parametrize("reply", [None, [], [[]], {"a": 1}, [[{"instrumet": "x"}]], "text", [["not json"]], [[1, 2]]])
def test_other_replies_are_refused(reply):
    with pytest.raises(ServiceError, match="description of instrument 'isgri'"):
        read_metadata(reply, "isgri")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("isgri_lc", "lightcurve"),
        ("LightCurve", "lightcurve"),
        ("light_curve_1", "lightcurve"),
        ("mosaic", "image"),
        ("PhotonSpectrum", "spectrum"),
        ("spectra", "spectrum"),
        ("Spectrogram", "spectrogram"),
        ("isgri_arf", "arf"),
        ("sky_map", "skymap"),
        ("light curves", "lightcurve"),
        ("Catalogues", "catalog"),
        ("collection", "other"),
        ("velocity", "other"),
        ("mapping", "other"),
        ("used", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_kind_from_name(name, kind):
    assert kind_from_name(name) == kind


# names of products of the service's plugins, and of the public notebooks that are its workflows
PRODUCTS = {
    "image": "isgri_image jemx_image legacy_survey_image Image Image_public_dl3 image TS_map",
    "spectrum": "isgri_spectrum jemx_spectrum antares_spectrum Spectrum Spectrum_public_dl3 Spectrum_gammapy "
    "Spectrum_folded Spectrum_counts_IRF Spectrum_aperture Spectrum_from_photometry Model_spectrum GW_spectrum "
    "spectrum spectrum_around_source LST1_spectrum Multi-instrument_spectrum "
    "Multi-instrument_spectral_energy_distribution",
    "lightcurve": "isgri_lc jemx_lc spi_acs_lc polar_lc Lightcurve Lightcurve_public_dl3 lightcurve light_curve",
    "catalog": "Catalog Run_Phosphoros_on_Catalog",
    "skymap": "gw_skymap_image",
    "strain": "gw_strain",
    "spectrogram": "gw_spectrogram",
    "picture": "pictures sky_plot",
    "table": "filter_table",
    "other": "spectral_fit legacy_survey_photometry Simulate Find_data observations Get_data Generate_events "
    "Generate_figures Simulate_pointing model_cube_file pre-defined_model LST1_observation_simulator LST1_events CTAO "
    "MAGIC_simulator-v1.9 Visibility_predictor detectgrb integralallsky correlate detect_impulsive "
    "Likelihood_profile GW_limits GW_constraints Phase_transition_parameters source_extraction ps_around_source "
    "Synchrotron-self-Compton_Bremsstrhalung Synchrotron_external-Compton_Bremsstrahlung histogram_column "
    "compute_new_column fit fits2tiff telescope_type_prediction extract_data_predict_workflow ctatiming "
    "batsurvey-catmux batgrbproduct 2411.01640_Fig2 Porphyrion",
}


@pytest.mark.parametrize(("kind", "names"), PRODUCTS.items())
def test_kinds_of_the_products_of_the_service(kind, names):
    rows = [{"prod_dict": {name: f"{name}_query" for name in names.split()}}]
    table = read_metadata([rows], "workflow").list_products()
    assert {row["product"]: row["kind"] for row in table} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize(
    ("products", "chosen"),
    [
        ("Image Catalog Spectrum", "Catalog"),
        ("isgri_image isgri_lc", "isgri_image"),
        ("gw_skymap_image gw_strain gw_spectrogram", "gw_skymap_image"),
    ],
)
def test_where_sources_are_listed(products, chosen):
    schema = read_metadata([[{"prod_dict": {name: f"{name}_query" for name in products.split()}}]], "workflow")
    assert schema.choose("catalog", None) == chosen


@pytest.mark.parametrize(
    ("products", "says"),
    [
        ("Spectrum Lightcurve", "no catalog or image or skymap products. It has: Spectrum"),
        ("Image Image_public_dl3 Simulate", r"2 image products. Choose one with product=: Image \(image\), Image_pub"),
        ("Catalog Catalogue Image", "2 catalog products"),
        ("source_extraction", r"no catalog .*Choose one with product=: source_extraction \(other\)"),
    ],
)
def test_where_sources_may_be_listed(products, says):
    schema = read_metadata([[{"prod_dict": {name: f"{name}_query" for name in products.split()}}]], "workflow")
    with pytest.raises(ParameterError, match=says):
        schema.choose("catalog", None)


def test_choosing_a_product(schema_of):
    isgri = schema_of("isgri")
    assert isgri.choose("image", None) == "isgri_image"
    assert isgri.choose("image", "spectral_fit") == "spectral_fit"
    with pytest.raises(ParameterError, match=r"4 products.*product=.*isgri_image \(image\)"):
        isgri.choose("product", None)
    with pytest.raises(ParameterError, match=r"Unknown product 'isgri_img'.*did you mean 'isgri_image'"):
        isgri.choose("image", "isgri_img")
    with pytest.raises(ParameterError, match=r"no image product.*spi_acs_lc \(lightcurve\)"):
        schema_of("spi_acs").choose("image", None)
    assert schema_of("spi_acs").choose("product", None) == "spi_acs_lc"


def test_table_of_parameters(schema_of):
    table = schema_of("isgri").list_parameters("isgri_lc")
    assert table.colnames[:5] == ["product", "name", "default", "unit", "type"]
    assert not {"token", "user_catalog", "selected_catalog", "T_format", "time_bin_format"} & set(table["name"])
    row = table[list(table["name"]).index("time_bin")]
    assert (row["default"], row["unit"], row["type"]) == ("1000.0", "s", "duration")
    assert table["min"].mask.all()
    limits = schema_of("example").list_parameters("lightcurve")
    row = limits[list(limits["name"]).index("nbins")]
    assert (row["min"], row["max"], row["optional"]) == (2, 1000, True)


def described(**row):
    """The row of a table for one parameter that a workflow has."""
    row = {"name": "p", "units": None, "value": 1.0, **row}
    rows = [{"prod_dict": {"Spectrum": "query"}}, [{"query_name": "query"}, {"product_name": "Spectrum"}, row]]
    table = read_metadata([rows], "workflow").list_parameters("Spectrum")
    return table[0] if len(table) else None


@pytest.mark.parametrize(
    ("units", "unit"),
    [
        ("sec", "s"),
        ("s", "s"),
        ("hour", "h"),
        ("hours", "h"),
        ("day", "d"),
        ("d", "d"),
        ("deg", "deg"),
        ("degrees", "deg"),
        ("arcmin", "arcmin"),
        ("keV", "keV"),
        ("GHz", "GHz"),
        ("1/(TeV cm2 s)", "1 / (TeV s cm2)"),
        ("TeV/cm2/s", "TeV / (s cm2)"),
        ("isot", ""),
        ("mjd", "d"),
        ("jd", "d"),
        ("unix", "s"),
        ("str", ""),
        ("", ""),
        (None, ""),
        ("sigma", ""),
        ("furlong per night", "furlong per night"),
        ("10**99999999 m", "10**99999999 m"),
    ],
)
def test_units_are_spelled_as_astropy_reads_them(units, unit):
    found = described(units=units)["unit"]
    assert found == unit
    if unit not in ("furlong per night", "10**99999999 m"):
        assert u.Unit(found) == u.Unit(unit)


def test_every_recorded_unit_is_read_by_astropy(schema_of):
    for instrument in INSTRUMENTS:
        for row in schema_of(instrument).list_parameters():
            assert row["unit"] == "" if row["type"] == "time" else u.Unit(row["unit"]) is not None
    table = schema_of("isgri").list_parameters("isgri_image")
    described = dict(zip(table["name"], table["description"], strict=True))
    assert described["detection_threshold"] == "least significance of a source - in sigma"
    assert described["T1"] == "start (time_range=)"


@pytest.mark.parametrize(
    ("choices", "more", "listed"),
    [
        (
            ["True", "true", "yes", "1", True, "False", "false", "no", "0", False],
            {"owl_uri": ["#Boolean"]},
            "True, False",
        ),
        (["False", "True"], {"owl_uri": ["#Boolean"]}, "True, False"),
        (["yes", "1", True], {"value": True}, "True"),
        (["False", "True"], {"value": "False"}, "False, True"),
        (["g", "i", "r", "g"], {}, "g, i, r"),
        (["0.2 deg", "0.4 deg"], {}, "0.2 deg, 0.4 deg"),
        ([0.4, 0.7, 0.9], {}, "0.4, 0.7, 0.9"),
        ([1.0, 2.0], {"owl_uri": ["#Integer"]}, "1, 2"),
        ([1, 2, 1], {"owl_uri": ["#Integer"]}, "1, 2"),
        (["0", "1"], {"owl_uri": ["#String"]}, "0, 1"),
        ([], {}, ""),
        (None, {}, ""),
    ],
)
def test_choices_are_listed_plainly(choices, more, listed):
    assert described(restrictions={"allowed_values": choices}, **more)["choices"] == listed


@pytest.mark.parametrize(
    ("extra", "description"),
    [
        ({"label": "Radius", "description": "of the circle", "group": "Plotting"}, "Radius - of the circle"),
        ({"label": "", "description": " of the circle "}, "of the circle"),
        ({"label": "Radius", "description": None}, "Radius"),
        ({"label": "same", "description": "same"}, "same"),
        ({"label": "MWA (radio", "description": 5}, "MWA (radio - 5"),
        ({"label": ["a"], "description": {"b": 1}}, ""),
        ({}, ""),
        (None, ""),
        (["label"], ""),
        ("label", ""),
    ],
)
def test_label_and_description(extra, description):
    assert described(extra_metadata=extra)["description"] == description


def test_a_long_description_is_shortened():
    assert len(described(extra_metadata={"label": "x" * 1_000_000})["description"]) <= 500


@pytest.mark.parametrize(
    ("row", "optional"),
    [
        ({"restrictions": {"is_optional": True}}, True),
        ({"restrictions": {"is_optional": False}, "value": 1}, True),
        ({"restrictions": {"is_optional": False}, "value": None}, False),
        # older servers do not say it
        ({"restrictions": {}, "value": None}, True),
        ({"value": None}, True),
        ({"value": ""}, True),
        # the default is an example
        ({"name": "T1", "value": "2017-03-06T13:26:48.000", "units": "isot"}, False),
        ({"name": "T1", "value": None, "units": "isot"}, True),
    ],
)
def test_optional_is_what_can_be_left_out(row, optional):
    assert described(**row)["optional"] == optional


def test_positions_and_times_are_not_optional(schema_of):
    table = schema_of("isgri").list_parameters("isgri_lc")
    assert set(table["name"][~table["optional"]]) == {"RA", "DEC", "T1", "T2"}
    assert all(table["description"] != "")


@pytest.mark.parametrize("name", ["RA_rename", "token_rename", "source", "output_format"])
def test_own_parameters_of_a_workflow_are_listed(name):
    assert described(name=name, value="x", units="str", owl_uri=["http://odahub.io/ontology#String"])["name"] == name


@pytest.mark.parametrize("name", ["T_format", "time_bin_format", "other_format", "token"])
def test_auxiliary_parameters_are_not(name):
    assert described(name=name, value="isot", units="str") is None


def test_nearest():
    assert nearest("radus", ["radius", "RA"]) == " (did you mean 'radius'?)"
    assert nearest("e1_kev", ["E1_keV", "E2_keV"]) == " (did you mean 'E1_keV'?)"
    assert nearest("zork", ["radius"]) == ""
