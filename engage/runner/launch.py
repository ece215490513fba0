"""Becomes another program that cannot outlive the process that started it.

Called as `python -I -S launch.py PARENT SIGNAL IDENTITY NICE -- program …`; needs nothing but the
standard library, so that it starts in a few milliseconds and works from any folder.

IDENTITY is how a program that refuses to run as root is run by root: `same` (as we are),
`namespace` (a user namespace where root is an ordinary number: files keep their owner and no
folder's mode is an obstacle) or `account` (the account `nobody`, which keeps one right of root's:
to pass folders that only root may enter).
"""

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAPABILITY_VERSION_3 = 1, 0x20080522


def main(arguments: list[str]) -> None:
    parent, signal, identity, nice = arguments[:4]
    program = arguments[5:]
    if int(nice):
        os.nice(int(nice))
    if identity == "namespace":
        enter_namespace()
    elif identity == "account":
        become_nobody()
    if sys.platform == "linux":
        # After the change of identity: that clears the signal.
        call("prctl", PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    if os.getppid() != int(parent):
        raise SystemExit("launch: the parent is gone")
    if identity == "account" and not os.access(program[0], os.X_OK):
        # PostgreSQL asks this way for its own file, and the right to pass folders does not count.
        raise SystemExit(f"launch: nobody may not enter the folders above {program[0]}")
    os.execvp(program[0], program)  # noqa: S606


def enter_namespace() -> None:
    user, group, ordinary = os.geteuid(), os.getegid(), find_ordinary_id()
    call("unshare", CLONE_NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{ordinary} {user} 1")
    write("/proc/self/gid_map", f"{ordinary} {group} 1")


def find_ordinary_id() -> int:
    """Who we are inside: an account that is not root and has a name, which initdb asks for."""
    import pwd

    ids = {account.pw_uid for account in pwd.getpwall()} - {0}
    unmapped = 65534  # what files of strangers show as
    return min(ids - {unmapped} or ids or {unmapped})


def become_nobody() -> None:
    import pwd

    account = pwd.getpwnam("nobody")
    call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    right = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)(right, right, right, 0, 0, 0))
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        problem = ctypes.get_errno()
        raise SystemExit(f"launch: {name}: {os.strerror(problem)}")


def write(path: str, content: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(content)
    except OSError as exc:
        raise SystemExit(f"launch: {path}: {exc.strerror}") from exc


if __name__ == "__main__":
    main(sys.argv[1:])
