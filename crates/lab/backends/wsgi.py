"""A WSGI application for gunicorn and uWSGI that misbehaves as its paths say.

    /wait/S    answers after S seconds     /segfault   the worker dies of a real one
    /exit      the worker exits            /eat/MB     the worker takes memory and keeps it
    /header/N  a header of N bytes         /misnamed   a header with a space in its name
    /status/N  answers with that status    /burn/S     needs S seconds of CPU
    /hangup    gunicorn: the connection is closed without an answer
    anything else: 200
"""
import ctypes
import os
import socket
import sys
import time

kept = []


def application(environ, start_response):
    what, _, number = environ.get("PATH_INFO", "").strip("/").partition("/")
    status, headers = "200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")]
    if what == "wait":
        time.sleep(float(number))
    elif what == "burn":
        end = time.thread_time() + float(number)
        while time.thread_time() < end:
            pass
    elif what == "segfault":
        ctypes.string_at(8)
    elif what == "exit":
        print("fatal: cannot go on without the price list", file=sys.stderr, flush=True)
        os._exit(3)
    elif what == "eat":
        kept.append(bytearray(b"\1" * (int(number) << 20)))
    elif what == "header":
        headers.append(("X-Permissions", "p" * int(number)))
    elif what == "misnamed":
        headers.append(("X UV Index", "3"))
    elif what == "hangup":
        environ["gunicorn.socket"].shutdown(socket.SHUT_RDWR)
    elif what == "status":
        status = number + " Said"
    start_response(status, headers)
    return [b"ok\n"]
