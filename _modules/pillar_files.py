"""
Pillar files as they are written: the line in which something stands, and what YAML does not read as it was meant.

.. versionadded:: 0.1.0

A file with Jinja in it is not plain YAML, and one in Latin-1 is no text to Salt: of such ones nothing is said::

    salt-call --local -m . pillar_files.oddities pillar/openstack.sls

Nothing here judges what a pillar means; that is for the areas' modules.
"""

import onepass_lib

onepass_lib.look(__file__)

from onepass_lib.core import pillar_file


def __virtual__():
    return "pillar_files"


def located(faults, files):
    """
    Faults with the place in which their path stands in a file, if it stands in exactly one of them.

    faults
        List of mappings with ``path``.
    files
        Paths of pillar files.

    Returns:
        The faults, with ``place`` (``/srv/pillar/openstack.sls:14``) where it is known. A path that stands nowhere,
        such as that of a missing key, is placed at the innermost part of it that does.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_files.located '[{path: "openstack:cloud"}]' '[pillar/openstack.sls]'

    .. versionadded:: 0.1.0
    """
    return pillar_file.located(faults, files)


def unreadable(path):
    """
    Where and why YAML cannot read a file; ``None`` when it can, and for one with Jinja in it.

    path
        Path of a pillar file.

    Returns:
        ``place`` (``/srv/pillar/openstack.sls:14:3``, line and column) and ``reason``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_files.unreadable pillar/openstack.sls

    .. versionadded:: 0.1.0
    """
    return pillar_file.unreadable(path)


def unread(files):
    """
    Each of these files that YAML cannot read, as a line with its place and the reason.

    files
        Paths of pillar files.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_files.unread '[pillar/openstack.sls]'

    .. versionadded:: 0.1.0
    """
    return pillar_file.unread(files)


def reason(err):
    """
    What YAML did not understand, in words.

    err
        What PyYAML raised.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . sys.doc pillar_files.reason

    .. versionadded:: 0.1.0
    """
    return pillar_file.reason(err)


def oddities(path):
    """
    What YAML, or Salt, reads otherwise than it is written: ``012`` and ``12:30`` as numbers, a key given twice.

    path
        Path of a pillar file.

    Returns:
        List of mappings: ``path``, ``fault``, ``remedy`` and ``place``.

    Raises ``OSError`` when there is no such file.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_files.oddities pillar/openstack.sls

    .. versionadded:: 0.1.0
    """
    return pillar_file.oddities(path)


def below(roots):
    """
    All pillar files below some folders. Folders that are links, or hidden as ``.git`` is, are passed over.

    roots
        List of folders.

    Raises ``CommandExecutionError`` for a folder with more in it than a site's pillar, such as ``/``.

    CLI Example:

    .. code-block:: bash

        salt-call --local -m . pillar_files.below '[pillar]'

    .. versionadded:: 0.1.0
    """
    return pillar_file.below(roots)
