"""A walk of eight rows in lockstep over packed nodes (`tree_packed.py`), each row's place a pointer in a register.

A visit is nine instructions, three of which load: the link, from which come the slot and how far it is to the children,
the row's value, and the threshold it is compared with. Written as positions in an array, LLVM keeps the array's address
in memory and loads it again for each row and level, where fifteen registers have eight positions to keep.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir

from inferir.kernels.jit._simd import instruction
from inferir.kernels.jit._tiles import loop, opaque

__all__ = ["LANES", "walk_together"]

#: Rows that walk in lockstep.
LANES = 8

#: Levels until it is asked whether all are in a leaf for the first time, and between that and the next time.
_UNASKED_LEVELS, _LEVELS = 4, 2

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _walk_together(
    b: Any, address: Any, node: Any, shift: Any, values: Any, begin: Any, positions: Any, at: Any
) -> None:
    one = address(2, begin)
    number = one.type
    nbytes = {"float": 8, "double": 16}[str(number.pointee)]
    words, bytes_ = _I32.as_pointer(), _I8.as_pointer()
    slots = b.sub(b.shl(ir.Constant(_I32, 1), shift), ir.Constant(_I32, 1))
    nodes = b.bitcast(address(0, ir.Constant(_I64, 0)), bytes_)

    def link(place: Any) -> Any:
        return b.load(b.bitcast(b.gep(place, [ir.Constant(_I64, nbytes // 2)]), words), align=4)

    def behind(lane: int, place: Any) -> Any:
        word = link(place)
        slot = b.add(b.zext(b.and_(word, slots), _I64), ir.Constant(_I64, lane))
        is_right = b.fcmp_ordered(">", b.load(b.gep(one, [slot])), b.load(b.bitcast(place, number), align=4))
        steps = b.add(b.zext(b.lshr(word, shift), _I64), b.zext(is_right, _I64))
        return opaque(b, b.gep(place, [b.mul(steps, ir.Constant(_I64, nbytes))]))

    def walk(places: list[Any], levels: int) -> list[Any]:
        for _ in range(levels):
            places = [behind(lane, place) for lane, place in enumerate(places)]
        return places

    starts = [b.load(address(4, b.add(at, ir.Constant(_I64, lane)))) for lane in range(LANES)]
    places = [b.gep(nodes, [b.mul(b.zext(start, _I64), ir.Constant(_I64, nbytes))]) for start in starts]
    turns = ir.Constant(_I64, _UNASKED_LEVELS // _LEVELS)
    _, places = loop(b, ir.Constant(_I64, 0), turns, 1, lambda _, here: walk(here, _LEVELS), places)
    head, inside, after = (b.append_basic_block(name) for name in ("arrived", "walk", "leaves"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    carried = [b.phi(bytes_) for _ in places]
    links = link(carried[0])
    for place in carried[1:]:
        links = b.or_(links, link(place))
    b.cbranch(b.icmp_unsigned("==", links, ir.Constant(_I32, 0)), after, inside)
    b.position_at_end(inside)
    later = walk(list(carried), _LEVELS)
    for phi, first, last in zip(carried, places, later, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, b.block)
    b.branch(head)
    b.position_at_end(after)
    for lane, place in enumerate(carried):
        steps = b.udiv(b.sub(b.ptrtoint(place, _I64), b.ptrtoint(nodes, _I64)), ir.Constant(_I64, nbytes))
        b.store(b.trunc(steps, _I32), address(4, b.add(at, ir.Constant(_I64, lane))))


@instruction(lambda *_: numba.void, _walk_together)
def walk_together(node, shift, values, begin, positions, at):
    """Eight rows walk on from the nodes positions[at], ..., each to its leaf, which takes their place.

    Row i goes to the right where values[begin + 8 * slot + i] is above the threshold.
    """
    words = values.itemsize // 4
    slots = (1 << int(shift)) - 1
    for lane in range(LANES):
        position = int(positions[int(at) + lane])
        while link := int(node[2 * words * position + words]):
            threshold = node[2 * words * position : 2 * words * position + words].view(values.dtype)[0]
            is_right = values[int(begin) + (link & slots) + lane] > threshold
            position += (link >> int(shift)) + int(is_right)
        positions[int(at) + lane] = position
