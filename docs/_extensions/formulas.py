"""Formulas of docstrings, which are written to be read in a terminal, as LaTeX."""

from __future__ import annotations

import re

GREEK = {"beta", "chi", "delta", "epsilon", "gamma", "mu", "nu", "omega", "phi", "pi", "tau", "Gamma"}
FUNCTIONS = {"arccos", "cos", "exp", "ln", "sin"}
OPERATORS = {
    "E": r"\mathbb{E}",
    "Tr": r"\mathrm{Tr}",
    "mean": r"\mathrm{mean}",
    "relu": r"\mathrm{relu}",
    "sum": r"\sum",
}
SYMBOLS = {
    "->": r"\to ",
    "**": "^",
    "*": r"\ast ",
    "@": r"\,",
    "||": r"\|",
    ".T": r"^\top ",
    "{": "{",
    "}": "}",
    "#": r"\#",
}

TOKEN = re.compile(
    r"""(?P<word>[^\W\d]\w*) | (?P<number>\d+(?:\.\d+)?(?:_\w+)?) | (?P<symbol>->|\*\*|\|\||\.T|\S) | (?P<space>\s+)""",
    re.VERBOSE,
)


def latex(formula: str) -> str:
    r"""Return a formula as LaTeX.

    Example:

    >>> print(latex("z = (y - m) / sqrt(v + epsilon)"))
    z = (y - m) / \sqrt{v + \epsilon}
    """
    tokens = [_token(match) for match in TOKEN.finditer(formula)]
    text = re.sub(r"\\ \s*\^", "^", _braced("".join(tokens)))
    return re.sub(r"^(\\ |\s)+|(\\ |\s)+$", "", text)


def _token(match: re.Match[str]) -> str:
    text, kind = match[0], match.lastgroup
    if kind == "word":
        return _word(text)
    if kind == "number":
        return _indexed(*text.split("_", 1)) if "_" in text else text
    return SYMBOLS.get(text, text) if kind == "symbol" else " "


def _word(word: str) -> str:
    base, _, index = word.partition("_")
    if base in GREEK or len(base) == 1 or _differential(base):
        return _indexed(_letter(base), index) if index else _letter(base)
    if word in FUNCTIONS:
        return rf"\{word} "
    if word == "sqrt":
        return r"\sqrt"
    if word in OPERATORS:
        return OPERATORS[word] + r"\,"
    if re.fullmatch(r"[a-z]\d", word):
        return f"{word[0]}_{word[1]}"
    # A name of the code, or a word between symbols.
    return r"\ \mathrm{" + word.replace("_", r"\_") + r"}\ "


def _differential(word: str) -> bool:
    return re.fullmatch(r"d[a-z]\d?|Kd", word) is not None


def _letter(word: str) -> str:
    if word in GREEK:
        return rf"\{word} "
    if word in OPERATORS:
        return OPERATORS[word] + r"\,"
    if word == "Kd":
        return r"K^\mathrm{d}"
    if len(word) > 1:
        return r"\mathrm{d}" + (f"{word[1]}_{word[2]}" if word[2:] else word[1])
    return word


def _indexed(base: str, index: str) -> str:
    return f"{base}_" + (f"{{{index}}}" if len(index) < 3 else rf"{{\mathrm{{{index}}}}}") if index else base + "_"


def _braced(text: str) -> str:
    """Put what is under a root, or in an exponent within parentheses, into braces."""
    while found := re.search(r"(\\sqrt|\^)\(", text):
        start, depth = found.end(), 1
        end = start
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        text = text[: found.end(1)] + "{" + text[start : end - 1] + "}" + text[end:]
    return re.sub(r"\^\s*([^\W_]+)", r"^{\1}", text)
