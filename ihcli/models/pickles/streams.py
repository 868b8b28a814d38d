"""The bytes of a pickle or joblib file in memory, decompressed within a bound."""

import bz2
import io
import lzma
import zlib
from pathlib import Path
from typing import Any

from ihcli.errors import ModelError
from ihcli.models.mistaken import Mistaken, mistaken_file
from ihcli.models.sniffing import compression, is_pickle, refused
from ihcli.models.steps import imports, python_line, quoted
from ihcli.wording import MODELS_IN_WORDS, printable

MAX_DECOMPRESSED_BYTES = 2 << 30
# Weights hardly compress; what expands more than this beyond a size that hurts nobody was made to.
_MOST_EXPANSION, _HARMLESS_BYTES = 20, 64 << 20
_CHUNK_BYTES = 1 << 20
_LZMA_MEMORY_BYTES = 256 << 20
_ZIP = b"PK\x03\x04"
_OPENED_BY = {"gzip": "gzip", "bz2": "bz2", "lzma": "lzma", "xz": "lzma"}
"""Modules of Python that open what is compressed so."""


class NoPickleError(ModelError):
    """Compressed data of another kind, which nobody's trust makes a pickle of."""


def read_stream(path: Path) -> io.BytesIO:
    """Return the file's pickle stream, decompressed where joblib compressed it (zlib, gzip, bz2, lzma, xz).

    Raises ModelError where the compressed stream is damaged, exceeds `MAX_DECOMPRESSED_BYTES` or holds no pickle.
    """
    content = path.read_bytes()
    kind = compression(content[:8])
    if kind is None:
        return io.BytesIO(content)
    try:
        content = _decompress(content, kind, path)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        raise ModelError(
            f"{path}: the {kind} compressed stream breaks off or is damaged. Try saving or copying it again."
        ) from None
    if not is_pickle(content[:4096], content[-1:]):
        mistaken = mistaken_file(path, content[:4096], len(content))
        if mistaken is not None:
            raise NoPickleError(*refused(path, mistaken._replace(what=f"{mistaken.what}, {kind} compressed")).args)
        if content.startswith(_ZIP) and kind in _OPENED_BY:
            archive = Mistaken(f"a zip archive, as torch saves models, {kind} compressed", _unpacking(path, kind))
            raise NoPickleError(*refused(path, archive).args)
        raise NoPickleError(f"{path}: {kind} compressed data that holds no pickle. Expected {MODELS_IN_WORDS}.")
    return io.BytesIO(content)


def _unpacking(path: Path, kind: str) -> str:
    """Return what writes a file without its compression, beside where it is run."""
    module = _OPENED_BY[kind]
    opened = f"{module}.open({quoted(path)})"
    line = python_line(imports(module, "shutil"), f'shutil.copyfileobj({opened}, open({quoted(path.stem)}, "wb"))')
    return f"{line}, and {printable(path.stem)} as MODEL"


def _decompress(content: bytes, kind: str, path: Path) -> bytes:
    """Return the decompressed bytes; a small file may ask for terabytes, so the output is taken in chunks."""
    decompressor, most = _decompressor(kind), _most_bytes(len(content))
    pieces, size, pending = [], 0, content
    while not decompressor.eof:
        piece = decompressor.decompress(pending, _CHUNK_BYTES)
        # zlib hands back the input it did not get to; bz2 and lzma keep it to themselves.
        pending = getattr(decompressor, "unconsumed_tail", b"")
        if not piece and not pending and not decompressor.eof:
            raise EOFError
        size += len(piece)
        if size > most:
            raise ModelError(
                f"{path}: decompresses to more than {most} bytes from {len(content)}. "
                "Try saving it without compression if that is its true size."
            )
        pieces.append(piece)
    return b"".join(pieces)


def _most_bytes(compressed_bytes: int) -> int:
    return min(MAX_DECOMPRESSED_BYTES, max(_HARMLESS_BYTES, _MOST_EXPANSION * compressed_bytes))


def _decompressor(kind: str) -> Any:
    if kind == "bz2":
        return bz2.BZ2Decompressor()
    if kind in ("lzma", "xz"):
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)
    # 47 lets zlib find out from the header whether it reads zlib or gzip.
    return zlib.decompressobj(wbits=47)


class TruncatedError(Exception):
    """The stream ends before its objects do."""


class Reader:
    """The bytes of a stream; a short read is an error, and a length beyond the end allocates nothing."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def read(self, count: int) -> bytes:
        """Return so many bytes; raises TruncatedError where there are fewer."""
        content = self._stream.read(count)
        if len(content) != count:
            raise TruncatedError
        return content

    def readline(self) -> bytes:
        """Return what is left of a line."""
        return self._stream.readline()

    def remaining(self) -> int:
        """Return how many bytes are left."""
        return self._stream.getbuffer().nbytes - self._stream.tell()
