"""The faces of the rooms: whatever a public function takes or returns can be imported too."""

import importlib
import inspect
import typing

import attrs
import pytest

import moments_dnns

ROOMS = ("analysis", "theory", "plots")
FACES = ("", "layers", "simulation", *ROOMS)
MODULES = ("data", "moments")  # public as they are


def face(name):
    return importlib.import_module(f"moments_dnns.{name}".rstrip("."))


PUBLIC = {id(getattr(face(name), shown)) for name in FACES for shown in face(name).__all__} | {
    id(value) for name in MODULES for value in vars(face(name)).values() if isinstance(value, type)
}
CALLABLES = {
    f"{name}.{shown}".lstrip("."): value
    for name in ("", *ROOMS)
    for shown in face(name).__all__
    if callable(value := getattr(face(name), shown)) and value.__module__.split(".")[1] in ROOMS
}


def classes_of(annotation):
    """Yield the classes of this library that an annotation is made of."""
    if isinstance(annotation, type) and annotation.__module__.startswith("moments_dnns"):
        yield annotation
    for part in typing.get_args(annotation):
        yield from classes_of(part)


def annotations(value):
    """Yield the types of what a function takes and returns, or of what a class is made of and gives."""
    if not inspect.isclass(value):
        yield from typing.get_type_hints(value).values()
        return
    hints = typing.get_type_hints(value)
    fields = {field.name for field in attrs.fields(value)} if attrs.has(value) else set(getattr(value, "_fields", ()))
    yield from (hints[name] for name in fields)
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
            yield from typing.get_type_hints(function).values()


def test_there_is_something_public():
    assert {"diagnose", "plot_vanilla", "theory.predict", "analysis.compare", "plots.plot_figure"} <= set(CALLABLES)
    assert id(moments_dnns.Moments) in PUBLIC
    needed = {kind for each in annotations(CALLABLES["analysis.Exponents"]) for kind in classes_of(each)}
    assert needed == {moments_dnns.analysis.Estimate}


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_no_public_name_needs_one_that_is_not(name):
    needed = {kind for annotation in annotations(CALLABLES[name]) for kind in classes_of(annotation)}
    assert not [kind for kind in needed if id(kind) not in PUBLIC]
