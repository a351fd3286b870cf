"""Work that is really killed at a place of one's choice: before a change that it makes to files, or within a write."""

import os
import resource
import signal
import sys
import traceback
from functools import partial

# What Python tells of before it happens. Between two of them lie only the writes to a file that is open.
CHANGES = (
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate"),
    *("os.fork", "subprocess.Popen"),
)
SIZES = (0, 1, 16, 64, 300, 2000)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_before(number, work):
    """Whether work in a process of its own was killed before its so-manieth change; else it came to its end."""

    def arm():
        left = [number]

        def hook(event, arguments):
            if event in CHANGES or event == "open" and (arguments[2] or 0) & WRITES:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return _ended(arm, work) == signal.SIGKILL


def killed_writing(size, work):
    """Whether work in a process of its own was killed as a file of its own became larger than so many bytes."""

    def arm():
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return _ended(arm, work) == signal.SIGXFSZ


def everywhere(make, work, step=1):
    """What ``make`` answers, each time anew, on which work was killed: before each change, or every so-manieth, and
    within its writes."""
    number = 1
    while killed_before(number, partial(work, one := make())):
        yield one
        number += step
    assert number > 1, "it changes nothing"
    for size in SIZES:
        if killed_writing(size, partial(work, one := make())):
            yield one


def _ended(arm, work):
    """The signal by which it ended, 0 for none; an error of its own is one of the test."""
    child = os.fork()
    if not child:
        try:
            arm()
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or not os.WEXITSTATUS(status), "the work itself failed"
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
