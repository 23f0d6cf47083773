# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
An interpreter of pickle opcodes (protocols 0 to 5) that builds plain data and never imports, calls or runs anything.

A name in the stream becomes a `Global`, something made by calling it an `Instance`: both are inert records of what the
stream said. Only names from the caller's table are taken. Names are matched as exact pairs, as both numpy and astropy
contain functions that evaluate text or open files.
"""

from __future__ import annotations

import codecs
import re
import struct
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..config import conf
from ..errors import DecodingError

__all__ = ["Global", "Instance", "interpret"]

# longer byte strings are handed out as views of the payload instead of copies
_VIEW_SIZE = 1024
# longer texts must be bytes in disguise (protocols 0 to 2), else one wide character would take four times their size
_LONG_TEXT = 1_000_000
_INTEGER_BYTES = 32
_NUMBERS = {width: struct.Struct(code) for width, code in ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"))}


class Global(NamedTuple):
    """A name: nothing is looked up."""

    module: str
    name: str


@dataclass(slots=True, eq=False, repr=False)
class Instance:
    """What the stream wants to be made by ``maker(*args)``, and the state that it wants to be set."""

    maker: Global
    args: tuple[Any, ...]
    state: Any = None


def interpret(
    payload: bytes | bytearray,
    names: Collection[tuple[str, str]] = (),
    dictionaries: Collection[tuple[str, str]] = (),
) -> Any:
    """
    Read a pickle without trusting it.

    Parameters
    ----------
    payload : bytes or bytearray
        The whole pickle; it must not change while views of it are in use.
    names : collection of (module, name)
        The names that may occur.
    dictionaries : collection of (module, name)
        Those of them that stand for an empty dictionary, to be filled, instead of a record.

    Returns
    -------
    object
        None, bool, int, float, str, bytes, list, tuple, dict, set, `Global` or `Instance`; long byte strings come as
        views of ``payload``.
    """
    return _Machine(payload, names, dictionaries).run(conf.max_pickle_opcodes)


class _Machine:
    """The stack, the marks in it (as stacks put aside) and the memo of one run."""

    __slots__ = ("dictionaries", "marked", "max_nesting", "memo", "names", "payload", "position", "stack", "view")

    def __init__(
        self,
        payload: bytes | bytearray,
        names: Collection[tuple[str, str]],
        dictionaries: Collection[tuple[str, str]],
    ) -> None:
        self.payload = payload
        self.view = memoryview(payload)
        self.names = names
        self.dictionaries = dictionaries
        self.max_nesting = conf.max_nesting  # looking it up takes longer than most instructions
        self.position = 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, budget: int) -> Any:
        """
        Go through the stream, with ``budget`` for what its steps cost.

        The commonest instructions, three quarters of most pickles, are carried out here as long as nothing is wrong
        with them: calling a handler for each would take longer than all the rest.
        """
        payload, memo, stack, steps = self.payload, self.memo, self.stack, _STEPS
        position, last = 0, len(payload) - 1
        while position < last and budget > 0:
            opcode = payload[position]
            position += 1
            if opcode == _MEMOIZE and stack:
                budget -= 2
                memo[len(memo)] = stack[-1]
            elif opcode == _RECALL and payload[position] in memo:
                self.position = position
                if type(memo[payload[position]]) is Global and self.push_array():
                    budget -= _ARRAY_COST
                    position = self.position
                    continue
                budget -= 1
                stack.append(memo[payload[position]])
                position += 1
            elif opcode == _SMALL_NUMBER:
                budget -= 1
                stack.append(payload[position])
                position += 1
            elif opcode in _CONSTANTS:
                budget -= 1
                stack.append(_CONSTANTS[opcode])
            elif opcode == _TUPLE_OF_ONE and stack:
                budget -= 1
                stack[-1] = (stack[-1],)
            else:
                handler, cost = steps[opcode]
                budget -= cost
                self.position = position
                handler(self)
                stack, position = self.stack, self.position
        if budget <= 0:
            raise DecodingError("pickle with more instructions than conf.max_pickle_opcodes allows")
        if position != last or payload[last] != _STOP:
            raise DecodingError("pickle cut short")
        self.position = position + 1
        return self.result()

    def result(self) -> Any:
        if self.marked or len(self.stack) != 1 or self.position != len(self.payload):
            raise DecodingError("pickle with parts left over at its end")
        return self.stack[0]

    # reading

    def skip(self, count: int) -> int:
        """Move over ``count`` bytes, which must be there, and say where they begin."""
        start = self.position
        if count > len(self.payload) - start:
            raise DecodingError(f"pickle cut short: {count} bytes announced, {len(self.payload) - start} left")
        self.position = start + count
        return start

    def take(self, count: int) -> bytes:
        start = self.skip(count)
        return self.view[start : start + count].tobytes()

    def byte(self) -> int:
        position = self.position
        if position >= len(self.payload):
            raise DecodingError("pickle cut short")
        self.position = position + 1
        return self.payload[position]

    def number(self, width: int) -> int:
        start = self.skip(width)
        return int(_NUMBERS[width].unpack_from(self.payload, start)[0])

    def block(self, width: int) -> bytes | memoryview:
        """Bytes preceded by their length, which is written in ``width`` bytes."""
        start = self.skip(self.number(width))
        part = self.view[start : self.position]
        return part if len(part) >= _VIEW_SIZE else part.tobytes()

    def line(self) -> bytes:
        end = self.payload.find(b"\n", self.position)
        if end < 0:
            raise DecodingError("pickle cut short in a line")
        line = self.view[self.position : end].tobytes()
        self.position = end + 1
        return line

    # the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise DecodingError("pickle takes from an empty stack")
        return self.stack.pop()

    def mark(self) -> None:
        if len(self.marked) >= self.max_nesting:
            raise DecodingError("pickle nested deeper than conf.max_nesting allows")
        self.marked.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        if not self.marked:
            raise DecodingError("pickle without the mark it refers to")
        items, self.stack = self.stack, self.marked.pop()
        return items

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise DecodingError(f"pickle fills something that is no {kind.__name__}")
        return self.stack[-1]

    # the memo

    def remember(self, key: int) -> None:
        if not self.stack:
            raise DecodingError("pickle remembers from an empty stack")
        self.memo[key] = self.stack[-1]

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise DecodingError("pickle recalls what it never remembered")
        self.stack.append(self.memo[key])

    # names and what is made by them

    def push_name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise DecodingError("pickle with a name that is no text")
        if (module, name) not in _PLAIN_MAKERS and (module, name) not in self.names:
            raise DecodingError(f"pickle refers to {module}.{name}, which is not allowed in products")
        self.push(Global(module, name))

    def push_array(self) -> bool:
        """
        Do in one step what the instructions from here to the end of an array do, if they are as numpy writes them.

        Variable-length columns have an array in each row; going through their instructions one by one takes most of
        the time of reading such a column. The memo and the records become what they would become otherwise.
        """
        found, memo = _ARRAY.match(self.payload, self.position), self.memo
        if found is None or len(self.marked) >= self.max_nesting:
            return False
        name_at, kind_at, code_at, short, long, dtype_at, few, many = found.groups()
        keys = name_at[0], kind_at[0], code_at[0], dtype_at[0]
        start = found.end()
        end = start + (few[0] if few else int.from_bytes(many, "little"))
        if not memo.keys() >= set(keys) or self.view[end : end + 4] != _ARRAY_END:
            return False
        name, kind, code, dtype = (memo[key] for key in keys)
        if name in _PLAIN_MAKERS or name in self.dictionaries:
            return False
        raw = self.view[start:end] if end - start >= _VIEW_SIZE else self.view[start:end].tobytes()
        shape, args = (short[0] if short else int.from_bytes(long, "little"),), (kind, (0,), code)
        instance = Instance(name, args, (1, shape, dtype, False, raw))
        memo.update(enumerate((args[1], args, instance, shape, raw, instance.state), len(memo)))
        self.stack.append(instance)
        self.position = end + 4
        return True

    def make(self, maker: Any, args: Any) -> None:
        if type(maker) is not Global or type(args) is not tuple:
            raise DecodingError("pickle calls something that is no name")
        plain = _dictionary if maker in self.dictionaries else _PLAIN_MAKERS.get(maker)
        self.push(plain(args) if plain else Instance(maker, args))


# recall name, class and code; (0,); call; then the state (1, (length,), dtype, False, bytes) and build: protocol 4
_ARRAY = re.compile(
    rb"(.)h(.)K\x00\x85\x94h(.)\x87\x94R\x94\(K\x01(?:K(.)|M(..))\x85\x94h(.)\x89(?:C(.)|B(....))", re.DOTALL
)
_ARRAY_END = b"\x94t\x94b"
_ARRAY_COST = 34

# bytes, in the guise that protocols 0 to 2 and Python 2 give them


def _encoded(args: tuple[Any, ...]) -> bytes:
    if len(args) != 2 or type(args[0]) is not str or args[1] != "latin1":
        raise DecodingError("pickle encodes text otherwise than as latin1")
    return args[0].encode("latin-1")


def _byte_string(args: tuple[Any, ...]) -> bytes | memoryview:
    if not args:
        return b""
    if len(args) == 1 and isinstance(args[0], (bytes, memoryview)):
        return args[0]
    if len(args) == 2:
        return _encoded(args if args[1] == "latin1" else (args[0], "latin1" if args[1] == "latin-1" else None))
    raise DecodingError("pickle makes bytes of something else")


def _dictionary(args: tuple[Any, ...]) -> dict[Any, Any]:
    if args:
        raise DecodingError("pickle makes a dictionary of something else")
    return {}


_PLAIN_MAKERS: dict[tuple[str, str], Callable[[tuple[Any, ...]], Any]] = {
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _byte_string,
    ("builtins", "bytes"): _byte_string,
    ("__builtin__", "bytearray"): _byte_string,
    ("builtins", "bytearray"): _byte_string,
}

# numbers and texts


def _integer(line: bytes) -> int:
    if not re.fullmatch(rb"[-+]?[0-9]{1,80}", line):
        raise DecodingError("pickle with an unreadable number")
    return int(line)


def _push_int_line(m: _Machine) -> None:
    line = m.line()
    m.push(line == b"01" if line in (b"00", b"01") else _integer(line))


def _push_long(m: _Machine, width: int) -> None:
    count = m.number(width)
    if count > _INTEGER_BYTES:
        raise DecodingError(f"pickle with an integer of {count} bytes")
    m.push(int.from_bytes(m.take(count), "little", signed=True))


def _decoded(raw: bytes | memoryview) -> str:
    if len(raw) > _LONG_TEXT and re.search(rb"[\xc4-\xff]", raw):
        raise DecodingError(f"pickle with a text of {len(raw)} bytes")
    return str(raw, "utf-8", "surrogatepass")


def _decoded_line(line: bytes) -> str:
    if len(line) > _LONG_TEXT and re.search(rb"\\[uU]0*[1-9a-fA-F]0*[0-9a-fA-F]{2}", line):
        raise DecodingError(f"pickle with a text of {len(line)} bytes")
    return str(line, "raw-unicode-escape")


def _push_string_line(m: _Machine) -> None:
    """The `repr` of a byte string, as Python 2 wrote it."""
    line = m.line().strip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise DecodingError("pickle with an unreadable byte string")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of an unknown escape
        try:
            m.push(codecs.escape_decode(line[1:-1])[0])
        except (ValueError, DeprecationWarning, SyntaxWarning) as error:
            raise DecodingError("pickle with an unreadable byte string") from error


# containers


def _key(value: Any) -> Any:
    # Texts hash differently in each process and small numbers can't be made to collide; others, tuples above all,
    # could be chosen so that building the dictionary takes hours or overflows the C stack.
    if value is None or type(value) in (str, bytes, bool) or (type(value) is int and -(2**31) <= value < 2**31):
        return value
    raise DecodingError(f"pickle with a {type(value).__name__} as key")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise DecodingError("pickle with a key that has no value")
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _append(m: _Machine) -> None:
    item = m.pop()
    m.top(list).append(item)


def _append_many(m: _Machine) -> None:
    items = m.pop_mark()
    m.top(list).extend(items)


def _set_item(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.top(dict)[_key(key)] = value


def _set_items(m: _Machine) -> None:
    items = m.pop_mark()
    m.top(dict).update(_pairs(items))


def _add_items(m: _Machine) -> None:
    items = m.pop_mark()
    m.top(set).update(_key(item) for item in items)


def _push_tuple(m: _Machine, count: int) -> None:
    if len(m.stack) < count:
        raise DecodingError("pickle takes from an empty stack")
    items = tuple(m.stack[-count:])
    del m.stack[-count:]
    m.stack.append(items)


def _pop(m: _Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


def _duplicate(m: _Machine) -> None:
    item = m.pop()
    m.stack += [item, item]


def _pop_to_mark(m: _Machine) -> None:
    m.pop_mark()


# names and instances


def _push_global_line(m: _Machine) -> None:
    module, name = m.line().decode("ascii"), m.line().decode("ascii")
    m.push_name(module, name)


def _push_global(m: _Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push_name(module, name)


def _reduce(m: _Machine) -> None:
    args, maker = m.pop(), m.pop()
    m.make(maker, args)


def _make_new(m: _Machine) -> None:
    keywords, args, maker = m.pop(), m.pop(), m.pop()
    if keywords != {}:
        raise DecodingError("pickle makes something with named arguments")
    m.make(maker, args)


def _make_inst(m: _Machine) -> None:
    _push_global_line(m)
    maker = m.pop()
    m.make(maker, tuple(m.pop_mark()))


def _make_obj(m: _Machine) -> None:
    items = m.pop_mark()
    m.make(items[0] if items else None, tuple(items[1:]))


def _build(m: _Machine) -> None:
    state, instance = m.pop(), m.top(Instance)
    if instance.state is not None:
        raise DecodingError("pickle sets a state twice")
    instance.state = state


# the stream itself


def _proto(m: _Machine) -> None:
    protocol = m.number(1)
    if protocol > 5:
        raise DecodingError(f"pickle of protocol {protocol}; 0 to 5 are known")


def _frame(m: _Machine) -> None:
    size = m.number(8)
    if size > len(m.payload) - m.position:
        raise DecodingError(f"pickle cut short: frame of {size} bytes, {len(m.payload) - m.position} left")


def _left_over(m: _Machine) -> None:
    raise DecodingError("pickle with parts left over at its end")


def _unknown(m: _Machine) -> None:
    raise DecodingError(f"pickle with instruction 0x{m.payload[m.position - 1]:02x}, which is not allowed in products")


_STOP = ord(".")
_RECALL = ord("h")
_SMALL_NUMBER = ord("K")
_MEMOIZE = 0x94
_TUPLE_OF_ONE = 0x85
_CONSTANTS = {ord("N"): None, 0x88: True, 0x89: False}

# What a step costs is about the memory it can take, in units of 60 bytes, so that the limit bounds that too.
_HANDLERS: dict[int, tuple[Callable[[_Machine], None], int]] = {
    ord("("): (_Machine.mark, 2),
    ord("0"): (_pop, 1),
    ord("1"): (_pop_to_mark, 1),
    ord("2"): (_duplicate, 1),
    ord("F"): (lambda m: m.push(float(m.line().decode("ascii"))), 1),
    ord("I"): (_push_int_line, 1),
    ord("J"): (lambda m: m.push(int.from_bytes(m.take(4), "little", signed=True)), 1),
    ord("K"): (lambda m: m.stack.append(m.byte()), 1),
    ord("L"): (lambda m: m.push(_integer(m.line().removesuffix(b"L"))), 2),
    ord("M"): (lambda m: m.push(m.number(2)), 1),
    ord("N"): (lambda m: m.stack.append(None), 1),
    ord("R"): (_reduce, 2),
    ord("S"): (_push_string_line, 1),
    ord("T"): (lambda m: m.push(m.block(4)), 1),
    ord("U"): (lambda m: m.push(m.block(1)), 1),
    ord("V"): (lambda m: m.push(_decoded_line(m.line())), 2),
    ord("X"): (lambda m: m.push(_decoded(m.block(4))), 2),
    ord("a"): (_append, 1),
    ord("b"): (_build, 1),
    ord("c"): (_push_global_line, 4),
    ord("d"): (lambda m: m.push(_pairs(m.pop_mark())), 4),
    ord("}"): (lambda m: m.push({}), 2),
    ord("e"): (_append_many, 1),
    ord("g"): (lambda m: m.recall(_integer(m.line())), 1),
    ord("h"): (lambda m: m.recall(m.byte()), 1),
    ord("i"): (_make_inst, 2),
    ord("j"): (lambda m: m.recall(m.number(4)), 1),
    ord("l"): (lambda m: m.push(m.pop_mark()), 2),
    ord("]"): (lambda m: m.push([]), 2),
    ord("o"): (_make_obj, 2),
    ord("p"): (lambda m: m.remember(_integer(m.line())), 2),
    ord("q"): (lambda m: m.remember(m.byte()), 2),
    ord("r"): (lambda m: m.remember(m.number(4)), 2),
    ord("s"): (_set_item, 3),
    ord("t"): (lambda m: m.push(tuple(m.pop_mark())), 1),
    ord(")"): (lambda m: m.push(()), 1),
    ord("u"): (_set_items, 1),
    ord("G"): (lambda m: m.push(struct.unpack(">d", m.take(8))[0]), 1),
    ord("B"): (lambda m: m.push(m.block(4)), 1),
    ord("C"): (lambda m: m.push(m.block(1)), 1),
    0x80: (_proto, 1),
    0x81: (_reduce, 2),
    0x85: (lambda m: _push_tuple(m, 1), 1),
    0x86: (lambda m: _push_tuple(m, 2), 1),
    0x87: (lambda m: _push_tuple(m, 3), 1),
    0x88: (lambda m: m.push(True), 1),
    0x89: (lambda m: m.push(False), 1),
    0x8A: (lambda m: _push_long(m, 1), 1),
    0x8B: (lambda m: _push_long(m, 4), 1),
    0x8C: (lambda m: m.stack.append(m.take(m.byte()).decode("utf-8", "surrogatepass")), 2),
    0x8D: (lambda m: m.push(_decoded(m.block(8))), 2),
    0x8E: (lambda m: m.push(m.block(8)), 1),
    0x8F: (lambda m: m.push(set()), 4),
    0x90: (_add_items, 2),
    0x91: (lambda m: m.push(frozenset(_key(item) for item in m.pop_mark())), 4),
    0x92: (_make_new, 2),
    0x93: (_push_global, 2),
    0x94: (lambda m: m.remember(len(m.memo)), 2),
    0x95: (_frame, 1),
    0x96: (lambda m: m.push(m.block(8)), 1),
}

_HANDLERS[_STOP] = (_left_over, 0)
_STEPS = tuple(_HANDLERS.get(opcode, (_unknown, 0)) for opcode in range(256))
