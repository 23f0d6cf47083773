"""
Peak of memory and CPU time of calls, in a process of their own that has imported and warmed up everything.

The limits of `conf` are a tenth of their defaults there, so that small replies and files go beyond them.
"""

import json
import subprocess
import sys
from contextlib import contextmanager

# each line of stdin is the path of a case; a copy of the warm process looks at it and answers with one line
_DRIVER = """
import json, os, signal, sys, time, traceback
from pathlib import Path
from astroquery_mmoda import conf, read_lightcurve, spectrum_table, to_timeseries
from astroquery_mmoda.errors import MmodaError
from astroquery_mmoda.products import Products

for limit in (
    "max_extra_memory", "max_gunzip_size", "max_json_values", "max_pickle_opcodes", "max_form_parts", "max_table_header"
):
    setattr(conf, limit, getattr(conf, limit) // 10)

def size(key):
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(key))

def stands():
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    except OSError:
        pass
    return size("VmRSS")

def tried(name, ask, before=None):
    before = stands() if before is None else before
    start, said = time.process_time(), ""
    try:
        return ask()
    except MmodaError as error:
        said = str(error)
    finally:
        told.append((name, size("VmHWM") - before, time.process_time() - start, said))

def forms_of(products):
    for form in ("image", "spectrum", "lightcurve", "catalog"):
        made = tried(form, getattr(products, form))
        if form == "spectrum" and made is not None:
            tried("spectrum_table", lambda: spectrum_table(made))
        if form == "lightcurve" and made is not None:
            tried("to_timeseries", lambda: to_timeseries(made))
        del made
    for name in ("table", "sources"):
        tried(name, lambda: getattr(products, name))
    for name in ("__repr__", "_repr_html_", "cite"):
        tried(name, getattr(products, name))

def decoded(path):
    body = path.read_bytes()
    before = stands()
    for product in tried("reply", lambda: Products.from_response(body), before) or ():
        tried("data", lambda: product.data, before)
        if sum(bool(said) for *_, said in told) > 3:
            break
    return told

def look_at(path):
    if path.is_dir():
        products = tried("read", lambda: Products.read(path))
        for product in (products or ())[:20]:
            tried("data", lambda: product.data)
        for file in path.glob("*.fits"):
            tried("read_lightcurve", lambda: read_lightcurve(file))
    else:
        body = path.read_bytes()
        products = tried("reply", lambda: Products.from_response(body))
        for product in (products or ())[:1]:
            tried("data", lambda: product.data)
    if products is not None:
        forms_of(products)
    return told

def answered(path, look):
    child = os.fork() if hasattr(os, "fork") else 0
    if child:
        status = os.waitpid(child, 0)[1]
        return status and print(json.dumps(f"ended with status {status}"), flush=True)
    try:
        if hasattr(signal, "alarm"):
            signal.alarm(120)
        told.clear()
        print(json.dumps(look(path)), flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
    if hasattr(os, "fork"):
        os._exit(0)

told = []
for line in sys.stdin:
    how, path = json.loads(line)
    look_at(Path(path)) if how == "small" else answered(Path(path), decoded if how == "decode" else look_at)
"""


@contextmanager
def warm_process(*small):
    """Start a process, let it look at small cases, and give a function that measures another."""
    command = [sys.executable, "-W", "ignore", "-c", _DRIVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def sent(path, how):
            process.stdin.write(json.dumps([how, str(path)]) + "\n")
            process.stdin.flush()

        def measured(path, *, forms=True):
            """What each call took, one after the other; without forms the data of all products, and memory in all."""
            sent(path, "all" if forms else "decode")
            answer = json.loads(process.stdout.readline())
            assert isinstance(answer, list), answer
            return answer

        for path in small:
            sent(path, "small")
        yield measured
        process.stdin.close()


def check(told, size):
    """See that each call took no more memory than `size` (bytes) and 5 s, and that its error is short."""
    for call, peak, seconds, said in told:
        assert peak < size / 1e6, (call, told)
        assert seconds < 5, (call, told)
        assert len(said) < 2000
