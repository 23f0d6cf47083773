# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Replies with tables of workflows, encoded as the service does."""

import io
import json

from astropy.table import Table

from astroquery_mmoda import Products

ONTOLOGY = "http://odahub.io/ontology#"


def entry(columns, name="spectrum_table", meta=None):
    """One element of ``astropy_table_product_ascii_list``; the metadata are JSON in JSON, as workflows send them."""
    text = io.StringIO()
    (columns if isinstance(columns, Table) else Table(columns)).write(text, format="ascii.ecsv")
    return {"name": name, "ascii": text.getvalue(), "binary": None, "meta_data": json.dumps(json.dumps(meta or {}))}


def reply(*entries, source="Mrk 421", product="Spectrum", **more):
    """A reply that is done, to a request for a product of a workflow."""
    parameters = {"src_name": source, "product_type": product, "instrument": "hess"}
    uris = {each["name"]: f"{ONTOLOGY}ODAAstropyTable" for each in entries}
    products = {"analysis_parameters": parameters, "prod_uris": uris, "astropy_table_product_ascii_list": list(entries)}
    return {"query_status": "done", "products": products | more}


def products(*entries, **asked):
    """The products of it."""
    return Products.from_response(reply(*entries, **asked))
