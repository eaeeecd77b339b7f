#!/usr/bin/python3
"""An HTTP/1.1 server that misbehaves as its paths say.

    serve.py [--backlog N] [--serial] [--every SECONDS] [--tls PEM] [--only-v6] HOST:PORT | [IPV6]:PORT | /PATH

    /wait/S     answers after S seconds            /status/N   answers with that status
    /drop       closes without an answer           /reset      resets the connection without an answer
    /head       closes inside the response header  /header/N   a response header of N bytes
    /nul        a NUL byte in a header name        /gibberish  a broken status line
    /eat/MB     takes memory and keeps it          /exit       the process ends with status 70
    anything else: 200

--serial serves one connection after another; --every is the time that each request costs.
"""
import argparse
import os
import socket
import socketserver
import ssl
import struct
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("address")
parser.add_argument("--backlog", type=int, default=128)
parser.add_argument("--serial", action="store_true")
parser.add_argument("--every", type=float, default=0)
parser.add_argument("--tls")
parser.add_argument("--only-v6", action="store_true")
options = parser.parse_args()
kept = []


class Handler(socketserver.StreamRequestHandler):
    def setup(self):
        if options.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.tls)
            self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self):
        while True:
            request = self.rfile.readline(65537).decode("latin-1").split()
            if len(request) < 2:
                return
            length, keep = 0, request[-1] == "HTTP/1.1"
            while (line := self.rfile.readline(65537).strip().lower()):
                name, _, value = line.partition(b":")
                if name == b"content-length":
                    length = int(value)
                elif name == b"connection" and b"close" in value:
                    keep = False
            self.rfile.read(length)
            time.sleep(options.every)
            if not self.answer(request[1].split("?")[0].strip("/").split("/")) or not keep:
                return

    def answer(self, path):
        """False when the connection must end with this answer."""
        what, number = path[0], path[1] if len(path) > 1 else "1"
        if what == "wait":
            time.sleep(float(number))
        elif what == "drop":
            return False
        elif what == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif what == "exit":
            print("fatal: the ledger is inconsistent, giving up", file=sys.stderr, flush=True)
            os._exit(70)
        elif what == "eat":
            kept.append(bytearray(b"\1" * (int(number) << 20)))
        raw = {
            "head": b"HTTP/1.1 200 OK\r\nContent-Ty",
            "gibberish": b"HTTTP/1.1 okay then\r\n\r\n",
            "nul": b"HTTP/1.1 200 OK\r\nX-Tr\0ce: 1\r\nContent-Length: 3\r\n\r\nok\n",
        }
        if what in raw:
            self.wfile.write(raw[what])
            return False
        status = number if what == "status" else "200"
        extra = f"X-Profile: {'p' * int(number)}\r\n" if what == "header" else ""
        self.wfile.write(f"HTTP/1.1 {status} Said\r\n{extra}Content-Length: 3\r\n\r\nok\n".encode())
        return True


class Quiet:
    """What both kinds of server have in common: a short list of settings, and no noise about hung-up clients."""

    request_queue_size = options.backlog
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(options.only_v6))
        super().server_bind()

    def handle_error(self, request, client_address):
        pass


unix = options.address.startswith("/")
host, _, port = options.address.rpartition(":")
base = socketserver.UnixStreamServer if unix else socketserver.TCPServer
mixins = (Quiet,) if options.serial else (Quiet, socketserver.ThreadingMixIn)
family = socket.AF_UNIX if unix else socket.AF_INET6 if host.startswith("[") else socket.AF_INET
server = type("Server", (*mixins, base), {"address_family": family})
server(options.address if unix else (host.strip("[]"), int(port)), Handler).serve_forever()
