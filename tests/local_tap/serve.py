# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
A small TAP service as odd as the deployed one, on a real PostgreSQL with pgSphere.

Runs in the dispatcher's environment: ``python serve.py DIRECTORY PORT DATABASE_PORT PARENT_PID``.
"""

from __future__ import annotations

import glob
import io
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg2
import psycopg2.extensions
from astropy.io.votable.tree import Field, Resource, TableElement, VOTableFile
from flask import Flask, Response, jsonify, request, send_from_directory
from psycopg2.extras import execute_values
from queryparser.adql import ADQLQueryTranslator
from queryparser.exceptions import QuerySyntaxError
from rows import COLUMNS, all_rows

DIRECTORY, PORT, DATABASE_PORT, PARENT = Path(sys.argv[1]), *map(int, sys.argv[2:5])
GALLERY = f"http://127.0.0.1:{PORT}"
DATA_TYPES = {"LONGINTEGER": "int", "INTEGER": "int", "FLOAT": "double", "BOOLEAN": "boolean"}
NOTHING = {"int": -1, "double": float("nan"), "char": ""}

app = Flask("local-tap")


# ---- the database


def ordinary_user() -> dict:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(DIRECTORY, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def start_database() -> subprocess.Popen:
    """A private cluster; the process ends with ours."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))[-1]
    data, whom = DIRECTORY / "data", ordinary_user()
    make = [f"{programs}/initdb", "-A", "trust", "-U", "owner", "-E", "UTF8", "--locale=C", "--no-sync", "-D", data]
    subprocess.run(make, check=True, cwd=DIRECTORY, stdout=subprocess.DEVNULL, **whom)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": DIRECTORY,
        "fsync": "off",
        "shared_buffers": "16MB",
        "log_min_error_statement": "panic",
    }
    command = [f"{programs}/postgres", "-D", data, "-p", str(DATABASE_PORT)]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return subprocess.Popen(command, cwd=DIRECTORY, **whom)


def connect(user: str):
    return psycopg2.connect(host="127.0.0.1", port=DATABASE_PORT, user=user, dbname="postgres")


def install_sphere(cursor) -> None:
    """
    Give the database its spherical types.

    ``CREATE EXTENSION`` would be the usual way, but PostgreSQL 15.20 refuses the script of Debian's pgSphere because of
    operators that it calls the commutator or negator of several others. Those are hints for the planner: they are left
    out, and the same functions work.
    """
    script = Path(sorted(glob.glob("/usr/share/postgresql/*/extension/pg_sphere--1.2.0.sql"))[-1]).read_text()
    script = re.sub(r"(?m)^\\.*$", "", script).replace("MODULE_PATHNAME", "$libdir/pg_sphere")
    script = re.sub(r"(?i),?\s*\b(?:COMMUTATOR|NEGATOR)\s*=\s*(?:'[^']*'|[^\s,)]+)", "", script)
    cursor.execute(script)


def fill_database() -> None:
    limit = time.monotonic() + 30
    while True:
        try:
            connection = connect("owner")
            break
        except psycopg2.OperationalError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with connection, connection.cursor() as cursor:
        install_sphere(cursor)
        cursor.execute("CREATE SCHEMA ivoa")
        cursor.execute(f"CREATE TABLE ivoa.obscore ({columns}); CREATE TABLE ivoa.nothing (a integer, b text)")
        cursor.execute("CREATE TABLE ivoa.whole (number bigint, word text); COMMENT ON TABLE ivoa.whole IS 'Numbers.'")
        cursor.execute("INSERT INTO ivoa.whole VALUES (7, 'seven'), (NULL, NULL)")
        execute_values(cursor, "INSERT INTO ivoa.obscore VALUES %s", all_rows(GALLERY), page_size=2000)
        cursor.execute("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA ivoa TO reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA ivoa TO reader")
    connection.close()


# ---- TAP


@app.post("/tap/sync")
def sync():
    form = request.values
    if form.get("FORMAT", "votable") != "votable":
        return f"Format {form['FORMAT']} currently not supported", 501
    if form.get("REQUEST", "doQuery") != "doQuery":
        return "The requested tap service is currently not available.", 501
    if form.get("LANG", "ADQL") != "ADQL":
        return Response("", mimetype="text/xml")
    try:
        # MAXREC is not looked at
        return Response(votable_of(ADQLQueryTranslator(form.get("QUERY")).to_postgresql()), mimetype="text/xml")
    except QuerySyntaxError as error:
        return f"Error while running an ADQL query: Error while parsing the ADQL query: {error}"
    except Exception as error:
        print(repr(error), flush=True)
        return "Internal error while running an ADQL query. Our team is notified and is working on it."


def votable_of(query: str) -> str:
    """VOTable of what a query finds: columns are told with the first row only, and each claims to be an array."""
    document, resource = VOTableFile(), Resource()
    table = TableElement(document)
    document.resources.append(resource)
    resource.tables.append(table)
    with connect("reader") as connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall()
        types = [psycopg2.extensions.string_types[column.type_code].name for column in cursor.description]
        kinds = [DATA_TYPES.get(name, "char") for name in types]
        if found:
            for column, kind in zip(cursor.description, kinds, strict=True):
                field = Field(document, ID=column.name, name=column.name, datatype=kind, arraysize="*")
                field.values.null = NOTHING[kind]
                table.fields.append(field)
            table.create_arrays(len(found))
        for number, row in enumerate(found):
            table.array[number] = tuple(
                NOTHING[kind] if value is None else linked(column.name, value)
                for column, kind, value in zip(cursor.description, kinds, row, strict=True)
            )
    text = io.BytesIO()
    document.to_xml(text)
    return text.getvalue()


def linked(name: str, value):
    """The gallery's pages and pictures are told by their full addresses."""
    if name == "product_path":
        return f"{GALLERY}/{value.lstrip('/')}"
    return value


@app.get("/tap/tables")
def tables():
    """Names and descriptions, no columns."""
    with connect("reader") as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, obj_description(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'ivoa' AND relkind IN ('r', 'v') ORDER BY relname"
        )
        items = "".join(
            f"<table><name>{name}</name><description>{words or 'description'}</description></table>"
            for name, words in cursor.fetchall()
        )
    text = (
        '<vod:tableset xmlns:vod="http://www.ivoa.net/xml/VODataService/v1.1" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="vod:TableSet">'
        f"<schema><name>ivoa</name><description>description</description>{items}</schema></vod:tableset>"
    )
    return Response(text, mimetype="text/xml")


@app.get("/tap/<path:other>")
def other(other: str):
    return "The requested tap service is currently not available.", 501


@app.post("/tap/async")
def asynchronous():
    return "TAP async query not implemented", 501


# ---- names and files


@app.get("/resolve_name")
def resolve_name():
    name = request.args["name"]
    if name.lower() == "crab":
        return jsonify(name=name, RA=83.6324, DEC=22.0174, message=f"{name} successfully resolved")
    return jsonify(name=name, message=f"{name} could not be resolved")


@app.get("/get_astro_entity_info_by_source_name")
def entity():
    if request.args["src_name"].lower() != "crab":
        return jsonify({})
    return jsonify(
        title="Crab", source_ra="83.63", source_dec="22.01", alternative_names_long_strin="NGC 1952 | M 1", nid="12"
    )


@app.get("/files/<path:name>")
def files(name: str):
    return send_from_directory(DIRECTORY / "files", name, conditional=True)


@app.get("/ready")
def ready():
    return str(os.getpid())


# ---- life


def main() -> None:
    (DIRECTORY / "files").mkdir()
    for name in ("crab_lc.fits", "crab_image.fits", "crab_image.png"):
        (DIRECTORY / "files" / name).write_bytes(name.encode() * 10_000)
    database = start_database()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        fill_database()
        serving = {"host": "127.0.0.1", "port": PORT, "threaded": True}
        threading.Thread(target=app.run, kwargs=serving, daemon=True).start()
        while not stopping.wait(0.2) and os.getppid() == PARENT and database.poll() is None:
            pass
    finally:
        database.send_signal(signal.SIGQUIT)  # at once, nothing is kept
        database.wait(10)


if __name__ == "__main__":
    main()
