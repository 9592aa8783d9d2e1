"""A decoder: what turns a network's outputs into boxes or points in pixels of its input, and the parameters it reads.

Each is one file of `decoders/`, a pure function of NumPy arrays, and registers itself there: a spec names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from landmark_ops.detectors.decoders.domains import Domain
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Points, Size
from landmark_ops.errors import InputError
from landmark_ops.registry import Registry

Result = TypeVar("Result")
Decode = Callable[[Outputs, Size, Parameters], Result]


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Common to every kind of decoder.

    parameters: by key, which values it takes; `points` states how many points a net gives, and is compared with what
    comes out of it. outputs: the published names of the outputs it reads, in its order, where these are uniform.
    """

    name: str
    parameters: Mapping[str, Domain]
    outputs: tuple[str, ...] = ()

    def check_parameters(self, parameters: Mapping[str, object], *, any_size: bool) -> None:
        """InputError naming the first parameter that is unknown, missing, out of range or without effect.

        A misspelt key would otherwise leave the default in place, unnoticed. any_size: whether the net takes inputs of
        any size; `max_side` applies only to those.
        """
        known = self.parameters
        for key, value in parameters.items():
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(known)}"
                raise InputError(f"parameters.{key} is nothing that decoder {self.name} reads: {hint}")
            if value not in known[key]:
                raise InputError(f"parameters.{key} is {str(value)[:60]}: decoder {self.name} needs {known[key].valid}")
            if key == "max_side" and not any_size:
                raise InputError(
                    "parameters.max_side changes nothing where input.width and height are fixed: leave it out"
                )
        missing = [key for key, domain in known.items() if domain.required and key not in parameters]
        if missing:
            raise InputError(f"parameters.{missing[0]} is missing: decoder {self.name} needs {known[missing[0]].what}")

    def check_order(self, outputs: Sequence[str]) -> None:
        """InputError where outputs bear the decoder's own names in another order: shapes may not show that mistake."""
        if sorted(outputs) == sorted(self.outputs) and tuple(outputs) != self.outputs:
            told, wanted = ", ".join(outputs), ", ".join(self.outputs)
            raise InputError(f"outputs are {told}: decoder {self.name} takes them as {wanted}")


@dataclass(frozen=True, kw_only=True)
class Finder(Decoder):
    """On whole images: says where the subjects are."""

    decode: Decode[list[Found]]


@dataclass(frozen=True, kw_only=True)
class Refiner(Decoder):
    """On crops around what a finder found: is it a subject, and where exactly? One box per crop, none left out."""

    decode: Decode[Found]


@dataclass(frozen=True, kw_only=True)
class Locator(Decoder):
    """On crops: says where the subject's points are."""

    decode: Decode[Points]


DECODERS: Registry[Decoder] = Registry("decoder", "landmark_ops.detectors.decoders")


def known_decoder(name: str) -> Decoder:
    """The decoder of this name. InputError listing all for an unknown one."""
    if name not in DECODERS:
        raise InputError(f"decoder {name!r} is unknown: valid: {', '.join(DECODERS.names)}")
    return DECODERS[name]


def finder(name: str, model: str) -> Decode[list[Found]]:
    """The decoding function of a model that finds; InputError where `name` is none of them."""
    return _told(_of_kind(Finder, name, model, "finds nothing in whole images").decode, model)


def refiner(name: str, model: str) -> Decode[Found]:
    """The decoding function of a model that refines what was found; InputError where `name` is none of them."""
    return _told(_of_kind(Refiner, name, model, "refines no boxes in crops").decode, model)


def locator(name: str, model: str) -> Decode[Points]:
    """The decoding function of a model that locates points in crops; InputError where `name` is none of them."""
    return _told(_of_kind(Locator, name, model, "locates no points in crops").decode, model)


Kind = TypeVar("Kind", Finder, Refiner, Locator)


def _of_kind(kind: type[Kind], name: str, model: str, lacks: str) -> Kind:
    valid = {decoder.name: decoder for decoder in DECODERS if isinstance(decoder, kind)}
    if name not in valid:
        raise InputError(f"model {model}: decoder {name!r} {lacks}; valid: {', '.join(valid)}")
    return valid[name]


def _told(decode: Decode[Result], model: str) -> Decode[Result]:
    """The decoding function, whose messages name the model."""

    def named(outputs: Outputs, size: Size, parameters: Parameters) -> Result:
        try:
            return decode(outputs, size, parameters)
        except InputError as error:
            raise InputError(f"model {model}: {error}") from error

    return named
