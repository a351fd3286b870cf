"""
nftables by its own library, ``libnftables.so.1``, in this process: what ``nft`` does, without a program of its own.

.. versionadded:: 0.1.0

``nft`` writes a listing in pieces of a few bytes, each a system call: a thousand elements take it four times as long.
The package of ``nft`` brings the library::

    salt-call --local -m . onepass_nft.tables
"""

import contextlib
import ctypes
import functools
import re
import socket

from salt.exceptions import CommandExecutionError

LIBRARY = "libnftables.so.1"
NETLINK_NETFILTER = 12
STATELESS, NUMERIC_PRIORITY = 1 << 2, 1 << 8  # NFT_CTX_OUTPUT_..., libnftables.h


def __virtual__():
    return "onepass_nft"


def run(commands, stateful=False):
    """
    Execute nft's commands, those that change something in one transaction, and answer what they list.

    commands
        A text as in a file for ``nft -f``.
    stateful
        List counters as well. Default ``False``.

    Raises ``CommandExecutionError`` with what nft said, and when its library is not there.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc onepass_nft.run

    .. versionadded:: 0.1.0
    """
    __salt__["onepass_host.internal"]()
    library = _library()
    with _context(library) as context:
        library.nft_ctx_output_set_flags(context, NUMERIC_PRIORITY | (0 if stateful else STATELESS))
        failed = library.nft_run_cmd_from_buffer(context, commands.encode())
        said = library.nft_ctx_get_error_buffer(context).decode(errors="replace").strip()
        listed = library.nft_ctx_get_output_buffer(context).decode(errors="replace")
    if failed:
        raise CommandExecutionError(f"nft: {said}")
    return listed


def tables():
    """
    The tables that there are, as nft names them: ``ip filter``. Asked for their chains: for a mere list of tables nft
    fetches all that is in them.

    Raises ``CommandExecutionError`` when nft's library is not there.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . onepass_nft.tables

    .. versionadded:: 0.1.0
    """
    return re.findall(r"^table (\S+ \S+) \{$", run("list chains"), re.MULTILINE)


@functools.cache
def _library():
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as err:
        raise CommandExecutionError(f"{err}; install nftables") from None
    _refuse_without_kernel()
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.restype, library.nft_ctx_new.argtypes = pointer, [ctypes.c_uint32]
    library.nft_ctx_output_set_flags.argtypes = [pointer, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [pointer, text]
    for name in ("free", "buffer_output", "buffer_error", "get_output_buffer", "get_error_buffer"):
        getattr(library, f"nft_ctx_{name}").argtypes = [pointer]
    library.nft_ctx_get_output_buffer.restype = library.nft_ctx_get_error_buffer.restype = text
    return library


def _refuse_without_kernel():
    """The library would end this process."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()
    except OSError as err:
        raise CommandExecutionError(f"The kernel has no netfilter that nft could speak to: {err.strerror}") from None


@contextlib.contextmanager
def _context(library):
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        yield context
    finally:
        library.nft_ctx_free(context)
