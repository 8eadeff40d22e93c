"""Runs one command and prints its figures as JSON.

    measure.py LOG SECONDS [--memory] -- COMMAND...

seconds: from the command's start to its end; user, system: processor seconds of it and of all
processes that it and they waited for; max_rss: bytes, of the largest process; with --memory also
pss: the largest sum over all its processes of the memory that is theirs, which is looked at all the
time and disturbs the times. What the command prints goes to LOG. It is ended after SECONDS.

A program of its own because a process's largest memory begins with that of the one that made it:
this one is small. It ends what the command leaves behind, and the command where it is ended itself.
"""

import os
import signal
import sys
import time


def main(log, longest, *rest):
    memory = rest[0] == "--memory"
    command = rest[rest.index("--") + 1:]
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGALRM, interrupted)
    signal.alarm(int(longest))
    begun = time.monotonic()
    global child
    child = os.fork()
    if child == 0:
        start(command, output)
    pss = most_memory(child) if memory else None
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - begun
    signal.alarm(0)
    end_all()
    figures = [f'"code": {os.waitstatus_to_exitcode(status)}', f'"seconds": {seconds:.6f}',
               f'"user": {usage.ru_utime:.6f}', f'"system": {usage.ru_stime:.6f}', f'"max_rss": {usage.ru_maxrss * 1024}']
    figures += [] if pss is None else [f'"pss": {pss}']
    print("{" + ", ".join(figures) + "}")


def start(command, output):
    """In the child: becomes the command."""
    try:
        os.setsid()
        for fault in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(fault, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(127)


child = None


def end_all():
    if child:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass


def interrupted(number, _frame):
    end_all()
    os._exit(128 + number)


def most_memory(pid):
    """Looks at a process and its descendants until it ends."""
    most = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        most = max(most, sum(map(pss_of, descendants(pid))))
        time.sleep(0.005)
    return most


def descendants(pid):
    pids, found = [str(pid)], []
    while pids:
        pid = pids.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    pids += children.read().split()
        except OSError:
            pass
    return found


def pss_of(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next((int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:")), 0)
    except OSError:
        return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
