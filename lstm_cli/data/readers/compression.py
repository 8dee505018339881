"""Compressed streams: read in blocks, so that memory stays bounded however much comes out."""

from __future__ import annotations

import io
import sys
import zlib
from typing import Any, BinaryIO

from lstm_cli.data.readers.content import Compression, compression_of
from lstm_cli.data.readers.decode import peek, peekable
from lstm_cli.data.readers.row import Found
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.optional import missing_package

BLOCK = 1 << 16
# Enough for `xz -9`; a damaged file can ask for gigabytes.
_MAX_XZ_MEMORY = 256 << 20


def unpack(stream: BinaryIO, name: str, found: Found) -> tuple[BinaryIO, bytes]:
    """Return a stream without its compression, if it has one, and its first bytes.

    Args:
        stream: Bytes that were not read yet.
        name: The name of the stream, for errors.
        found: Gets the compression.

    Raises:
        LstmError: It is compressed twice or damaged, or a package is not installed.
    """
    stream = peekable(stream)
    head = peek(stream)
    compression = compression_of(head)
    if compression is None:
        return stream, head
    found.compression = compression
    stream = decompress(stream, compression, name)
    head = peek(stream)
    if compression_of(head) is not None:
        raise LstmError(
            f"{name} is compressed twice: there is {compression_of(head)} in {compression}.",
            "Decompress it once.",
            ExitCode.USAGE,
        )
    return stream, head


def decompress(stream: BinaryIO, compression: Compression, name: str) -> BinaryIO:
    """Return the decompressed bytes of a stream.

    Args:
        stream: Compressed bytes, in one or several parts that follow each other.
        compression: How they are compressed.
        name: The name of the stream, for errors.

    Raises:
        LstmError: The package that is needed is not installed. Reading raises one if the bytes are
            damaged or end too early.
    """
    return io.BufferedReader(_DecompressedBytes(stream, compression, name), BLOCK)


class _DecompressedBytes(io.RawIOBase):
    """Decompresses what it is asked for, and little more."""

    def __init__(self, stream: BinaryIO, compression: Compression, name: str) -> None:
        self._stream = stream
        self._compression = compression
        self._name = name
        self._decompressor = _decompressor(compression)
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, at least in part; return 0 at the end."""
        try:
            content = self._read(len(buffer))
        except _errors() as error:
            raise LstmError(
                f"{self._name} is damaged: {self._compression} cannot read it ({error}).",
                "Copy or download the file again.",
            ) from error
        buffer[: len(content)] = content
        return len(content)

    def _read(self, size: int) -> bytes:
        while True:
            if self._decompressor.eof:
                self._pending = self._decompressor.unused_data or self._stream.read(BLOCK)
                # Zeros may fill the end of a file.
                self._pending = self._pending.lstrip(b"\0")
                if not self._pending:
                    return b""
                self._decompressor = _decompressor(self._compression)
            elif not self._pending and self._decompressor.needs_input:
                self._pending = self._stream.read(BLOCK)
                if not self._pending:
                    raise EOFError("it ends too early")
            pending, self._pending = self._pending, b""
            content: bytes = self._decompressor.decompress(pending, size)
            if content:
                return content


class _Gzip:
    """A gzip member, with the interface of the other decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, content: bytes, size: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + content, size)


def _decompressor(compression: Compression) -> Any:
    """Return an object that decompresses one member of a stream.

    Raises:
        LstmError: A package is missing.
    """
    if compression == "gzip":
        return _Gzip()
    if compression == "bzip2":
        import bz2

        return bz2.BZ2Decompressor()
    if compression == "xz":
        import lzma

        return lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)
    return load_zstd().ZstdDecompressor()


def load_zstd() -> Any:
    """Return the module of zstd: in the standard library since Python 3.14.

    Raises:
        LstmError: It is not installed.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd as module
        else:
            from backports import zstd as module
    except ImportError as error:
        raise missing_package("backports.zstd", "Reading zstd") from error
    return module


def _errors() -> tuple[type[BaseException], ...]:
    """Return what decompressors raise for damaged bytes; only modules in use are asked."""
    errors: list[type[BaseException]] = [EOFError, OSError, ValueError, zlib.error]
    for module in ("lzma", "backports.zstd", "compression.zstd"):
        if module in sys.modules:
            name = "LZMAError" if module == "lzma" else "ZstdError"
            errors.append(getattr(sys.modules[module], name))
    return tuple(errors)
