"""Shapes are checked in tests: every annotated function gets and returns tensors as its annotations say.

jaxtyping's own import hook wraps constructors too, whose arguments Keras reads by their names. So modules are
instrumented here, right after they are executed: only functions of tensors, and only their tensors. That arguments of
other types are refused is what other tests are about.
"""

import contextlib
import inspect
import sys
from importlib.machinery import PathFinder, SourceFileLoader
from typing import Annotated, Any, get_args, get_type_hints

from beartype import beartype
from beartype.vale import Is
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped

ROOMS = ("moments_dnns.layers.", "moments_dnns.simulation.blocks", "moments_dnns.simulation.network")


class Loader(SourceFileLoader):
    """Executes a module and lets its functions of tensors check them."""

    def exec_module(self, module):
        super().exec_module(module)
        classes = [each for each in vars(module).values() if inspect.isclass(each)]
        for holder in (module, *(each for each in classes if each.__module__ == module.__name__)):
            for name, function in list(vars(holder).items()):
                setting = staticmethod if isinstance(function, staticmethod) else lambda wrapped: wrapped
                function = inspect.unwrap(function.__func__) if isinstance(function, staticmethod) else function
                if inspect.isfunction(function) and function.__module__ == module.__name__ and is_annotated(function):
                    setattr(holder, name, setting(jaxtyped(function, typechecker=checked)))


class Finder:
    """Finds the modules whose shapes are checked."""

    def find_spec(self, name, path, target=None):
        spec = PathFinder.find_spec(name, path, target) if name.startswith(ROOMS) else None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def check_shapes():
    """Check shapes in the modules of `ROOMS` that are imported from now on."""
    sys.meta_path.insert(0, Finder())


def is_annotated(function):
    """Tell whether tensors or states are among the arguments or results of a function."""
    return any(checkable(hint) is not Any for hint in get_type_hints(function, include_extras=True).values())


def checked(function):
    """Return a function that checks its tensors and states."""
    function.__annotations__ = {name: checkable(hint) for name, hint in function.__annotations__.items()}
    return beartype(function)


def checkable(hint):
    """Return the hint that beartype is given: tensors as they are, states by their fields, Any for all else."""
    state = sys.modules["moments_dnns.layers.state"].State
    if hint is state:
        # A loaded model hands over plain tuples and lists.
        return Annotated[object, Is[is_state]]
    if hint == list[state]:
        # Of a list, beartype looks at one item.
        return Annotated[object, Is[lambda states: all(map(is_state, states))]]
    parts = (hint, *get_args(hint))
    return hint if any(inspect.isclass(part) and issubclass(part, AbstractArray) for part in parts) else Any


def is_state(value):
    """Tell whether a value has the shapes that the fields of a `State` are annotated with."""
    with contextlib.suppress(TypeCheckError):
        fields_of_state()(*value)
        return True
    return False


def fields_of_state():
    """Return a function of the fields of a `State` that checks them as they are annotated."""

    def fields(signal, noise, log_signal, log_noise):
        pass

    state = sys.modules["moments_dnns.layers.state"].State
    fields.__annotations__ = get_type_hints(state, include_extras=True)
    return jaxtyped(fields, typechecker=beartype)
