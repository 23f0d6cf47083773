"""Parts of replies that are over, for tests of what may come in them."""

import json

DONE = {"query_status": "done", "exit_status": {}, "job_monitor": {}}


def reply(**products):
    return json.dumps({**DONE, "products": products}).encode()


def product(*units, name="isgri_lc"):
    return reply(numpy_data_product_list=[{"name": name, "meta_data": "{}", "data_unit_list": list(units)}])


def unit(**values):
    return {"name": "T", "hdu_type": "bintable", "header": {}, "data": None, "dt": None, "binarys": None, **values}
