"""Reasons why a file cannot be used: the codes of the failures table, and the exception that carries one."""

from __future__ import annotations

EMPTY = "empty"
NOT_AN_IMAGE = "not_an_image"
TRUNCATED = "truncated"
TOO_LARGE = "too_large"
ANIMATED = "animated"
UNSUPPORTED = "unsupported"
DECODER_ERROR = "decoder_error"
DECODER_CRASHED = "decoder_crashed"
TOO_SLOW = "too_slow"
MISSING = "missing"
NET_UNDEFINED = "net_undefined"

#: Every code with what it means, for reports.
MEANINGS = {
    EMPTY: "zero bytes",
    NOT_AN_IMAGE: "the first bytes are those of no picture format",
    TRUNCATED: "the file ends before the picture does",
    TOO_LARGE: "more pixels, or more memory to decode, than allowed",
    ANIMATED: "an animation or a document of several pages, not one picture",
    UNSUPPORTED: "a picture format, or a variant of one, that is not read here",
    DECODER_ERROR: "the decoder refused the data: corrupt",
    DECODER_CRASHED: "the decoder died on this file, in a process of its own",
    TOO_SLOW: "the decoder did not finish in time",
    MISSING: "no file is there, or it may not be read",
    NET_UNDEFINED: "a net answered NaN: it overflows on this picture",
}


class DecodeFailure(Exception):
    """One file could not be decoded: `reason` is one of the codes above, `detail` says what was found.

    Not an InputError: it becomes a row of the failures table and the run goes on. `detail` never quotes file content.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(reason, detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
