"""The winner as a drawing: nested boxes, read from left to right and line by line."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archsmith.report.svg import drawing, element, text_width
from archsmith.report.text import TIMES, amount, clean, shorten

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Block", "block_from_json", "block_from_source", "block_of", "diagram"]

_MOST_BLOCKS = 400
_DEEPEST = 12
_FONT, _SMALL, _PAD, _GAP, _LEAF = 12.5, 11.0, 9.0, 16.0, 42.0


@dataclass(frozen=True)
class Block:
    """A box of the drawing: what it is, how many parameters are in it (None: not known), and the boxes inside."""

    name: str
    params: int | None = None
    children: tuple[Block, ...] = ()
    times: int = 1

    def to_json(self) -> list[Any]:
        """Return ``[name, params, children]``."""
        return [self.name, self.params, [child.to_json() for child in self.children]]


def block_of(module: nn.Module) -> Block:
    """Return the tree of a network: class names with their sizes, parameters, and children in order."""
    children = tuple(block_of(child) for child in module.children())
    return Block(_module_name(module), sum(p.numel() for p in module.parameters()), children)


def block_from_json(data: Any, depth: int = 0) -> Block | None:
    """Return the tree that ``to_json`` wrote; None for anything else."""
    if not isinstance(data, list | tuple) or not data or depth > 60:
        return None
    params = data[1] if len(data) > 1 and isinstance(data[1], int) else None
    rest = data[2] if len(data) > 2 and isinstance(data[2], list | tuple) else ()
    children = tuple(b for item in rest if (b := block_from_json(item, depth + 1)) is not None)
    return Block(clean(data[0], 200), params, children)


def block_from_source(source: str) -> Block | None:
    """Return the tree of calls in the ``build`` function of a printed network, by reading it, never by running it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "build":
            names = {
                target.id: node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            returns = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
            return _call_block(returns[-1], names, 0) if returns else None
    return None


def diagram(root: Block, width: float) -> str:
    """Return the drawing of a network, ``width`` pixels wide and as high as it needs."""
    shown = _merged(root, [_MOST_BLOCKS], 0)
    placed = _place(shown, width - 2)
    parts: list[str] = []
    _draw(placed, 1.0, 1.0, 0, parts)
    about = f"The network as nested blocks: {shown.name} with {len(shown.children)} parts"
    return drawing(width, placed.height + 2, "".join(parts), about, "diagram")


@dataclass(frozen=True)
class _Placed:
    """A box with its size, and its children with their places inside it."""

    block: Block
    width: float
    height: float
    inside: tuple[tuple[float, float, _Placed], ...] = field(default=())


def _merged(block: Block, left: list[int], depth: int) -> Block:
    """Join equal neighbours into one box with a count, and stop where the drawing would no longer be readable."""
    runs: list[Block] = []
    for child in block.children:
        same = runs and (runs[-1].name, runs[-1].params, runs[-1].children) == (
            child.name,
            child.params,
            child.children,
        )
        if same:
            runs[-1] = replace(runs[-1], times=runs[-1].times + 1)
        else:
            runs.append(child)
    if depth >= _DEEPEST or len(runs) > left[0]:
        return replace(block, children=())
    left[0] -= len(runs)
    return replace(block, children=tuple(_merged(child, left, depth + 1) for child in runs))


def _place(block: Block, limit: float) -> _Placed:
    """Lay children out in lines no wider than ``limit``, each line as high as its highest box."""
    title, note = _title(block), _note(block)
    least = max(text_width(title, _FONT), text_width(note, _SMALL)) + 2 * _PAD + 2
    if not block.children:
        return _Placed(block, min(least, limit), _LEAF if note else _LEAF - 13)
    head = text_width(title, _FONT) + (text_width(note, _SMALL) + 14 if note else 0) + 2 * _PAD
    boxes = [_place(child, limit - 2 * _PAD) for child in block.children]
    lines: list[list[_Placed]] = [[]]
    across = 0.0
    for box in boxes:
        broad = bool(box.inside) and box.height > 2.4 * _LEAF
        if lines[-1] and (across + box.width > limit - 2 * _PAD or broad):
            lines.append([])
            across = 0.0
        lines[-1].append(box)
        across += limit if broad else box.width + _GAP
    inside, y, widest = [], 28.0, min(head, limit - 2 * _PAD)
    for line in lines:
        x, high = _PAD, max(box.height for box in line)
        for box in line:
            inside.append((x, y + (high - box.height) / 2, box))
            x += box.width + _GAP
        widest = max(widest, x - _GAP - _PAD)
        y += high + _PAD
    return _Placed(block, widest + 2 * _PAD, y, tuple(inside))


def _draw(placed: _Placed, x: float, y: float, depth: int, parts: list[str]) -> None:
    block, title, note = placed.block, _title(placed.block), _note(placed.block)
    about = f"{block.name}{f' {TIMES} {block.times}' if block.times > 1 else ''}: {note or 'no parameters'}"
    kind = "box leaf" if not placed.inside else f"box nest{depth % 2}"
    parts.append(element("rect", title=about, class_=kind, x=x, y=y, width=placed.width, height=placed.height, rx=6))
    parts.append(element("text", _fit(title, placed.width - 2 * _PAD), class_="box-name", x=x + _PAD, y=y + 18))
    if note and not placed.inside:
        parts.append(element("text", note, class_="box-note", x=x + _PAD, y=y + 33))
    elif note and text_width(title + note, _FONT) + 30 < placed.width:
        parts.append(element("text", note, class_="box-note end", x=x + placed.width - _PAD, y=y + 18))
    for i, (dx, dy, child) in enumerate(placed.inside):
        following = placed.inside[i + 1][0] if i + 1 < len(placed.inside) else 0.0
        if following > dx:
            start, middle = x + dx + child.width + 4, y + dy + child.height / 2
            parts.append(
                element("path", class_="flow", d=f"M{start:.1f} {middle:.1f}h{_GAP - 8:.1f}m-3.5 -3l3.5 3l-3.5 3")
            )
        _draw(child, x + dx, y + dy, depth + 1, parts)


def _fit(text: str, room: float) -> str:
    """Cut a text to the room there is."""
    kept = text
    while len(kept) > 3 and text_width(kept, _FONT) > room + 1:
        kept = kept[:-2].rstrip() + "\u2026"
    return kept


def _title(block: Block) -> str:
    return shorten(block.name, 48) + (f" {TIMES} {block.times}" if block.times > 1 else "")


def _note(block: Block) -> str:
    """The parameters; of several equal boxes, those of one."""
    if not block.params:
        return ""
    return f"{amount(block.params)}{' each' if block.times > 1 else ''}"


def _module_name(module: nn.Module) -> str:
    """A class name and the sizes that matter, by the attributes that torch's own layers have."""
    name = type(module).__name__
    for start, end in (("in_channels", "out_channels"), ("in_features", "out_features")):
        if isinstance(getattr(module, start, None), int) and isinstance(getattr(module, end, None), int):
            name += f" {getattr(module, start)}→{getattr(module, end)}"
    kernel, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    if isinstance(kernel, int | tuple):
        name += " " + TIMES.join(str(k) for k in (kernel if isinstance(kernel, tuple) else (kernel, kernel)))
    first = stride[0] if isinstance(stride, tuple) and stride else stride
    if isinstance(first, int) and first > 1:
        name += f" stride {first}"
    groups = getattr(module, "groups", 1)
    if isinstance(groups, int) and groups > 1:
        name += " depthwise" if groups == getattr(module, "in_channels", None) else f" groups {groups}"
    features, chance = getattr(module, "num_features", None), getattr(module, "p", None)
    if isinstance(features, int):
        name += f" {features}"
    if isinstance(chance, float):
        name += f" {chance:g}"
    return name


def _call_block(node: ast.expr, names: Mapping[str, ast.expr], depth: int) -> Block | None:
    if isinstance(node, ast.Name) and node.id in names and depth < 40:
        return _call_block(names[node.id], {k: v for k, v in names.items() if k != node.id}, depth + 1)
    if not isinstance(node, ast.Call) or depth >= 40:
        return None
    name = ast.unparse(node.func).rsplit(".", 1)[-1]
    arguments: Sequence[tuple[str, ast.expr]] = [("", a) for a in node.args] + [
        (k.arg or "", k.value) for k in node.keywords
    ]
    children: list[Block] = []
    plain: list[str] = []
    for key, value in arguments:
        value = value.value if isinstance(value, ast.Starred) else value
        if isinstance(value, ast.Name) and isinstance(names.get(value.id), ast.List | ast.Tuple):
            value = names[value.id]
        items = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        found = [b for item in items if (b := _call_block(item, names, depth + 1)) is not None]
        children += found
        if not found and not isinstance(value, ast.Lambda):
            plain.append((f"{key}=" if key else "") + ast.unparse(value))
    return Block(shorten(f"{name} {', '.join(plain)}".strip(), 60), None, tuple(children))
