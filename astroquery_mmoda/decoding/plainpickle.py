# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
An interpreter of pickles (protocols 2 to 5, from Python 3) that builds plain data and never imports or calls anything.

A name in the stream becomes a `Global`, something made by calling it an `Instance`: both are inert records of what the
stream said. Only names of `~astroquery_mmoda.decoding.picklenames` are taken, as exact pairs, since both numpy and
astropy contain functions that evaluate text or open files.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..config import conf
from ..errors import DecodingError
from .picklenames import EMPTY_BYTES, ENCODE, NAMES, RECONSTRUCT

# longer byte strings are views of the payload instead of copies
_VIEW_SIZE = 1024
# longer texts are bytes (protocol 2), which have no wide characters: these take four times the memory
_LONG_TEXT = 1000


class Global(NamedTuple):
    """A name: nothing is looked up."""

    module: str
    name: str


@dataclass(slots=True, eq=False, repr=False)
class Instance:
    """What the stream asks for as ``maker(*args)``, and the state to be set; nothing is called."""

    maker: Global
    args: tuple[Any, ...]
    state: Any = None


def interpret(payload: bytes | bytearray | memoryview) -> Any:
    """Read a pickle: None, numbers, texts, bytes (long ones are views), lists, dictionaries, `Global`, `Instance`."""
    if payload[:1] != b"\x80" or not 2 <= payload[1] <= 5:
        raise DecodingError("not a pickle of protocol 2 to 5 (0 and 1 are not read: the service does not send them)")
    return _Machine(payload).run()


class _Machine:
    """The stack, the stacks put aside by marks, and the memo."""

    __slots__ = ("budget", "marked", "max_nesting", "memo", "payload", "position", "stack")

    def __init__(self, payload: bytes | bytearray | memoryview) -> None:
        self.payload = memoryview(payload)
        self.position = 0
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.max_nesting = conf.max_nesting
        self.budget = conf.max_pickle_opcodes

    def run(self) -> Any:
        payload, steps = self.payload, _STEPS
        while (opcode := payload[self.position]) != _STOP:
            self.position += 1
            step, cost = steps[opcode]
            self.budget -= cost
            if self.budget < 0:
                raise DecodingError("pickle with more instructions than conf.max_pickle_opcodes allows")
            step(self)
        if self.marked or len(self.stack) != 1 or self.position != len(payload) - 1:
            raise DecodingError("pickle with parts left over at its end")
        return self.stack[0]

    # ---- reading

    def part(self, count: int) -> memoryview:
        start = self.position
        self.position = start + count
        if self.position > len(self.payload):
            raise DecodingError(f"pickle cut short: {count} bytes announced, {len(self.payload) - start} left")
        return self.payload[start : self.position]

    def byte(self) -> int:
        self.position += 1
        return self.payload[self.position - 1]

    def number(self, width: int) -> int:
        return int.from_bytes(self.part(width), "little")

    def block(self, count: int) -> bytes | memoryview:
        part = self.part(count)
        return part if count >= _VIEW_SIZE else bytes(part)

    def text(self, count: int) -> str:
        raw = self.part(count)
        if len(raw) > _LONG_TEXT and re.search(rb"[\xc4-\xff]", raw):
            raise DecodingError(f"pickle with a text of {len(raw)} bytes")
        return str(raw, "utf-8", "surrogatepass")

    def integer(self, count: int) -> int:
        return int.from_bytes(self.part(count), "little", signed=True)

    def line(self) -> str:
        end = bytes(self.payload[self.position : self.position + _VIEW_SIZE]).index(b"\n")
        line = str(self.part(end), "ascii")
        self.position += 1
        return line

    # ---- the stack

    def mark(self) -> None:
        if len(self.marked) >= self.max_nesting:
            raise DecodingError("pickle nested deeper than conf.max_nesting allows")
        self.marked.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def push_marked(self) -> None:
        items = tuple(self.pop_mark())
        self.stack.append(items)

    def set_items(self, items: list[Any]) -> None:
        # other keys could be chosen so that they collide, or so deep that to hash them overflows
        if type(self.stack[-1]) is not dict or not all(type(key) is str for key in items[::2]):
            raise DecodingError("pickle with other keys than texts")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    # ---- names and what is made by them

    def push_global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise DecodingError("pickle with a name that is not text")
        if (module, name) not in NAMES:
            raise DecodingError(f"pickle refers to {module}.{name}, which is not allowed in products")
        self.stack.append(Global(module, name))

    def recall(self) -> None:
        value = self.memo[self.byte()]
        if type(value) is not Global or value not in RECONSTRUCT or not self.push_array(value):
            self.stack.append(value)

    def push_array(self, maker: Global) -> bool:
        """Do in one step what the instructions to the end of an array do, if they are as numpy writes them."""
        # Variable-length columns have an array in each row; to follow their instructions takes most of the time.
        found = _ARRAY.match(self.payload, self.position)
        if not found:
            return False
        class_at, code_at, short, long, dtype_at, few, many = found.groups()
        start, count = found.end(), int.from_bytes(few or many, "little")
        if self.payload[start + count : start + count + len(_ARRAY_END)] != _ARRAY_END:
            return False
        self.position = start
        self.budget -= _ARRAY_COST
        shape, raw = (int.from_bytes(short or long, "little"),), self.block(count)
        args = (self.memo[class_at[0]], (0,), self.memo[code_at[0]])
        instance = Instance(maker, args, (1, shape, self.memo[dtype_at[0]], False, raw))
        self.memo.update(enumerate((args[1], args, instance, shape, raw, instance.state), len(self.memo)))
        self.stack.append(instance)
        self.position += len(_ARRAY_END)
        return True

    def make(self) -> None:
        args, maker = self.stack.pop(), self.stack.pop()
        if type(maker) is not Global or type(args) is not tuple:
            raise DecodingError("pickle calls something other than a name")
        if maker == ENCODE:  # protocol 2 has no bytes
            text, codec = args
            if type(text) is not str or codec != "latin1":
                raise DecodingError("pickle encodes text in another way than latin1")
            self.stack.append(text.encode("latin-1"))
        else:
            self.stack.append(b"" if maker == EMPTY_BYTES and not args else Instance(maker, args))

    def build(self) -> None:
        state, instance = self.stack.pop(), self.stack[-1]
        if type(instance) is not Instance or instance.state is not None:
            raise DecodingError("pickle sets a state twice, or of something other than an instance")
        instance.state = state


def _refuse(m: _Machine) -> None:
    opcode = m.payload[m.position - 1]
    if opcode in b"STU":
        raise DecodingError("pickle written by Python 2, which is not read: the service does not send any")
    raise DecodingError(f"pickle with instruction 0x{opcode:02x}, which is not allowed in products")


# recall class and code; (0,); call; then the state (1, (length,), dtype, False, bytes) and build: protocol 4
_ARRAY = re.compile(
    rb"h(.)K\x00\x85\x94h(.)\x87\x94R\x94\(K\x01(?:K(.)|M(..))\x85\x94h(.)\x89(?:C(.)|B(....))", re.DOTALL
)
_ARRAY_END = b"\x94t\x94b"
_ARRAY_COST = 34
_STOP = ord(".")

# what a step costs is about the memory it can take, in units of 60 bytes, so that the limit bounds that too
_HANDLERS: dict[int, tuple[Callable[[_Machine], Any], int]] = {
    ord("("): (_Machine.mark, 2),
    ord("J"): (lambda m: m.stack.append(m.integer(4)), 1),
    ord("K"): (lambda m: m.stack.append(m.byte()), 1),
    ord("M"): (lambda m: m.stack.append(m.number(2)), 1),
    ord("N"): (lambda m: m.stack.append(None), 1),
    ord("R"): (_Machine.make, 2),
    ord("X"): (lambda m: m.stack.append(m.text(m.number(4))), 2),
    ord("a"): (lambda m: m.stack[-2].append(m.stack.pop()), 1),
    ord("b"): (_Machine.build, 1),
    ord("c"): (lambda m: m.push_global(m.line(), m.line()), 4),
    ord("}"): (lambda m: m.stack.append({}), 2),
    ord("e"): (lambda m: m.stack[-1].extend(items) if (items := m.pop_mark()) else None, 1),
    ord("h"): (_Machine.recall, 1),
    ord("j"): (lambda m: m.stack.append(m.memo[m.number(4)]), 1),
    ord("]"): (lambda m: m.stack.append([]), 2),
    ord("q"): (lambda m: m.memo.__setitem__(m.byte(), m.stack[-1]), 2),
    ord("r"): (lambda m: m.memo.__setitem__(m.number(4), m.stack[-1]), 2),
    ord("s"): (lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]), 3),
    ord("t"): (_Machine.push_marked, 1),
    ord(")"): (lambda m: m.stack.append(()), 1),
    ord("u"): (lambda m: m.set_items(m.pop_mark()), 1),
    ord("G"): (lambda m: m.stack.append(struct.unpack(">d", m.part(8))[0]), 1),
    ord("B"): (lambda m: m.stack.append(m.block(m.number(4))), 1),
    ord("C"): (lambda m: m.stack.append(m.block(m.byte())), 1),
    0x80: (lambda m: m.part(1), 1),
    0x81: (_Machine.make, 2),
    0x85: (lambda m: m.stack.append((m.stack.pop(),)), 1),
    0x86: (lambda m: m.stack.append((m.stack.pop(-2), m.stack.pop())), 1),
    0x87: (lambda m: m.stack.append((m.stack.pop(-3), m.stack.pop(-2), m.stack.pop())), 1),
    0x88: (lambda m: m.stack.append(True), 1),
    0x89: (lambda m: m.stack.append(False), 1),
    0x8A: (lambda m: m.stack.append(m.integer(m.byte())), 1),
    0x8C: (lambda m: m.stack.append(m.text(m.byte())), 2),
    0x8E: (lambda m: m.stack.append(m.block(m.number(8))), 1),
    0x93: (lambda m: m.push_global(m.stack.pop(-2), m.stack.pop()), 2),
    0x94: (lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]), 2),
    0x95: (lambda m: m.part(8), 1),
    0x96: (lambda m: m.stack.append(m.block(m.number(8))), 1),
}
_STEPS = tuple(_HANDLERS.get(opcode, (_refuse, 0)) for opcode in range(256))
