# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""What can be written behind ``mmoda``."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from ..text import may_hold_token, printable

KINDS = ("image", "catalog", "spectrum", "lightcurve", "product")
_NEVER_AN_ARGUMENT = (
    "a token is never an argument, since the list of processes and the history of the shell would show it. "
    "'mmoda token login' asks for it, or reads it from standard input: mmoda token login < FILE"
)
# options of ours never begin with a digit, so what does is a number or a declination
_NEGATIVE = re.compile(r"-\.?\d")


class UsageProblem(Exception):
    """The command line is wrong; the message says how."""


class _Parser(argparse.ArgumentParser):
    """Parser of which errors are one paragraph, and show no token; names may stand between and behind options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)
        self.is_intermixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.is_intermixed:
            return super().parse_known_args(args, namespace)
        self.is_intermixed = False  # it calls this method
        try:
            found, rest = self.parse_known_intermixed_args(args, namespace)
        finally:
            self.is_intermixed = True
        if rest:  # the parser of all commands would not name this one
            advice = '; names of several words need quotes, as in "Ser X-1"'
            if rest[0].startswith("-"):
                advice = "; parameters are given by --set NAME=VALUE" if self.prog.endswith("query") else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{advice}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        text = _NEVER_AN_ARGUMENT if may_hold_token(message) else printable(message, limit=1000)
        raise UsageProblem(f"{text}{'' if text[-1:] in '.!?' else '.'} See: {self.prog} --help")


def _text(given: str) -> str:
    """Value of an option or name; empty ones are those of variables of the shell that are not set."""
    if not given.strip():
        raise argparse.ArgumentTypeError("it is empty; is a variable of the shell not set?")
    return given[1:] if _NEGATIVE.match(given[1:]) and given[0] == " " else given


class _Refused(argparse.Action):
    """An option that is there to say why it is not."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(_NEVER_AN_ARGUMENT)


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read a command line, by default that of this process; `UsageProblem` if it is wrong."""
    given = sys.argv[1:] if argv is None else argv
    # what begins with a blank is not taken for an option
    found = make_parser().parse_args([f" {text}" if _NEGATIVE.match(text) else text for text in given])
    if found.command == "query" and (problem := _query_problem(found)):
        raise UsageProblem(f"{problem} See: mmoda query --help")
    return found


def _query_problem(found: argparse.Namespace) -> str:
    """What can't be together in a query, or is missing; empty if all is well."""
    if found.code is not None:
        if found.kind is not None:
            return "--code takes kind, instrument and name from the snippet: leave out what stands beside it."
        found.kind = "product"
    elif found.instrument is None:
        return "give a kind and an instrument, such as: mmoda query image isgri Crab --out DIR."
    if found.submit and found.windows_per_job is not None:
        return "--submit is for a single job: leave out --windows-per-job, whose jobs are combined in the end."
    if found.out is None and not found.submit:
        return "--out DIR says where the files are to be written; or --submit, not to wait."
    if any(text.partition("=")[0].strip() == "token" for text in found.set):
        return f"{_NEVER_AN_ARGUMENT}."
    return ""


def make_parser() -> argparse.ArgumentParser:
    """Parser of all commands."""
    parser = _Parser(prog="mmoda", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"mmoda {version('astroquery_mmoda')}")
    _add_common(parser, form="text", switch=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for name, (summary, more, examples, add) in _COMMANDS.items():
        description = textwrap.fill(f"{summary[0].upper()}{summary[1:]}. {more}", 80)
        own = commands.add_parser(name, help=summary, description=description, epilog=f"examples:\n{examples}")
        own.register("type", None, _text)
        add(own)
        _add_common(own, form=argparse.SUPPRESS, switch=argparse.SUPPRESS)  # behind the command, too
        own.is_intermixed = True
    return parser


def _add_common(parser: argparse.ArgumentParser, *, form: str, switch: bool | str) -> None:
    group = parser.add_argument_group("for all commands")
    add = group.add_argument
    add("--format", choices=("text", "ecsv", "json"), default=form, help="form of the table that is printed (text)")
    add(
        "--server",
        type=_text,
        metavar="URL",
        default=switch or None,
        help="address of the service, instead of that in astroquery_mmoda.cfg",
    )
    add("--quiet", action="store_true", default=switch, help="write nothing but errors to standard error")
    add("--debug", action="store_true", default=switch, help="show each request, and the traceback of an error")
    add("--token", nargs="?", action=_Refused, help=argparse.SUPPRESS)


# ---- the commands


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    pass


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instrument", metavar="INSTRUMENT", help="as 'mmoda instruments' lists it")
    parser.add_argument("product", metavar="PRODUCT", nargs="?", help="only this product's")


def _add_position(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="an object, whose position is looked up")
    add = parser.add_argument
    add("--position", nargs=2, metavar=("RA", "DEC"), help="in deg, or as 05:34:32 -5:12:03; NAME then only names it")
    add("--radius", metavar="SIZE", help="such as 8deg or '30 arcmin'; a bare number is in deg")
    add("--time", nargs=2, metavar=("A", "B"), help="begin and end: ISO 8601 or MJD, UTC")


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", choices=KINDS, help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"
    )
    parser.add_argument("instrument", metavar="INSTRUMENT", nargs="?", help="as 'mmoda instruments' lists it")
    _add_position(parser)
    add = parser.add_argument
    add("--energy", nargs=2, metavar=("A", "B"), help="band, such as 20keV 40keV; bare numbers are in keV")
    add("--time-bin", metavar="WIDTH", help="of light curves, such as 1000s; a bare number is in s")
    add("--product", help="needed where an instrument has several of this kind, and for the kind product")
    add("--catalog", metavar="FILE", help="sources: ECSV, FITS, or JSON of the service")
    add("--scw-list", metavar="FILE", help="science windows: a text file, or a table of 'mmoda windows'")
    add(
        "--windows-per-job",
        metavar="N",
        help="divide --scw-list into jobs of N windows, or max, and combine the results",
    )
    add("--on-error", choices=("raise", "skip"), help="with --windows-per-job: what to do if some of the jobs fail")
    add("--set", metavar="NAME=VALUE", action="append", default=[], help="any other parameter; can be repeated")
    add(
        "--code",
        metavar="FILE",
        help="take instrument and parameters from a snippet of the web page ('-': standard input)",
    )
    add("--timeout", metavar="SECONDS", help="wait no longer; the job goes on")
    add("--submit", action="store_true", help="do not wait: print the id of the job")
    _add_writing(parser, required=False)


def _add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its id, of which the first characters are enough, or its link")
    parser.add_argument("--timeout", metavar="SECONDS", help="wait no longer; the job goes on")


def _add_result(parser: argparse.ArgumentParser) -> None:
    _add_job(parser)
    _add_writing(parser, required=True)


def _add_writing(parser: argparse.ArgumentParser, *, required: bool) -> None:
    add = parser.add_argument
    add("--source", help="keep only this source")
    add("--out", metavar="DIR", required=required, help="directory for the files; made if it is not there")
    add("--overwrite", action="store_true", help="replace files of the same names in it")


def _add_token(parser: argparse.ArgumentParser) -> None:
    actions = ("login", "refresh", "logout")
    parser.add_argument("action", metavar="ACTION", nargs="?", choices=actions, help=", ".join(actions))
    add = parser.add_argument
    add("--store", choices=("keyring", "home", "cwd"), help="where to keep it: ~/.oda-token is home, ./.oda-token cwd")
    add("--force", action="store_true", help="refresh: accept a token with a shorter life or fewer roles")


_DESCRIPTION = """\
Images, spectra and light curves of high-energy instruments, computed by MMODA (University of Geneva).

Tables go to standard output, everything else to standard error."""

_EPILOG = """\
'mmoda COMMAND --help' shows options and examples of a command.

Exit status: 0 all is well; 1 failed; 2 wrong arguments; 130 interrupted: the analysis goes on, and so can you.
A job that was submitted is not lost: 'mmoda jobs' lists it, 'mmoda wait JOB' and 'mmoda result JOB' go on with it.
Settings are read from astropy's file astroquery_mmoda.cfg, a token from ODA_TOKEN, ./.oda-token, ~/.oda-token or the
keyring of your system. Most instruments need none."""

_COMMANDS: dict[str, tuple[str, str, str, Any]] = {
    "instruments": (
        "list the instruments that are open to you, and their products",
        "",
        """\
  mmoda instruments --format json""",
        _add_nothing,
    ),
    "parameters": (
        "list the parameters of an instrument",
        "Those with an option of their own are RA, DEC, T1, T2, E1_keV, E2_keV, radius and time_bin; the others are "
        "given to a query by --set.",
        """\
  mmoda parameters isgri isgri_lc
  mmoda parameters spi_acs --format ecsv""",
        _add_parameters,
    ),
    "windows": (
        "list science windows (pointings) of INTEGRAL",
        "With a position, --radius is needed: the largest distance of the pointing axis from it. Without one it is the "
        "whole sky, without --time the whole mission. The table, as ECSV in a file, is what 'query --scw-list' takes.",
        """\
  mmoda windows "Ser X-1" --radius 4deg --time 2005-03-01 2005-04-01
  mmoda windows --position 275.09 -7.19 --radius 10deg --time 58193.455 58195.5
  mmoda windows "Ser X-1" --radius 4deg --time 2005-03-15 2005-03-17 --format ecsv > windows.ecsv""",
        _add_position,
    ),
    "query": (
        "compute an image, source catalogue, spectra, light curves, or another product, and write files",
        "Waits until the analysis is over, writes its products and pictures of them (the latter if matplotlib is "
        "there), and prints the list of the files. Sums of several jobs (--windows-per-job) are written as FITS and "
        "ECSV; the same command again goes on where it was interrupted.",
        """\
  mmoda query image isgri "MAXI J1820+070" --time 58193 58195 --radius 8deg --energy 30keV 80keV --out image
  mmoda query lightcurve spi_acs --time 2017-03-06T13:26:48 2017-03-06T13:27:48 --time-bin 0.5s --out burst
  mmoda query catalog isgri "Ser X-1" --radius 8deg --time 53444 53446 --set max_pointings=10 --out sources
  mmoda query image isgri --position 83.6 -22.0 --radius 8deg --time 58193 58195 --set osa_version=OSA11.2 --submit
  mmoda query product hess Crab --product Spectrum_public_dl3 --out hess
  mmoda query spectrum isgri "Ser X-1" --scw-list windows.ecsv --windows-per-job max --catalog sources/catalog.ecsv \\
    --out spectra
  mmoda query --code snippet.py --out snippet""",
        _add_query,
    ),
    "jobs": (
        "list the jobs that were submitted on this machine, and, with a token, all that the service has of you",
        "",
        """\
  mmoda jobs
  mmoda jobs --format json""",
        _add_nothing,
    ),
    "wait": (
        "wait for a job, and print its status",
        "After an interrupt it goes on, from any terminal.",
        """\
  mmoda wait 3a5f12c09d1b77e4
  mmoda wait 3a5f --timeout 3600""",
        _add_job,
    ),
    "result": (
        "wait for a job, and write its files",
        "",
        """\
  mmoda result 3a5f12c09d1b77e4 --out again""",
        _add_result,
    ),
    "token": (
        "show what your token says; log in, refresh it, log out",
        "'login' asks for a token, or reads it from standard input, lets the service check it and keeps it in the "
        "keyring of your system, or where --store says. 'refresh' asks the service for one with a longer life. "
        "'logout' removes the one in the keyring; files stay. The token itself is never shown.",
        """\
  mmoda token
  mmoda token login --store home < token.txt
  mmoda token logout""",
        _add_token,
    ),
    "diagnose": (
        "print what a report of a fault should contain: versions, server, token, journal, settings",
        "There is no token in it, and no name or address of you.",
        """\
  mmoda diagnose""",
        _add_nothing,
    ),
}
