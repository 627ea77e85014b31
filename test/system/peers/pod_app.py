"""
What stands in a pod of captured-mesh.test.ts, by its arguments, until it is ended. On every address of both families:

http:PORT:NAME     answers requests with a line of JSON: its name, who calls by the sidecar's word (x-forwarded-client-cert), the peer
http:PORT:NAME@IP  the same on that address alone
tls:PORT:NAME:PEM  the same over TLS, with the certificate and the key in PEM; and which server name was asked for
udp:PORT:NAME      answers each datagram with its name and the peer's address
banner:PORT:NAME   speaks first: "220 NAME", and then echoes lines
dns:PORT:FILE      answers A and AAAA as the JSON object in FILE says (name: address), else NXDOMAIN
"""
import json
import socket
import ssl
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def handler(name):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = json.dumps({
                "name": name,
                "client": self.headers.get("x-forwarded-client-cert"),
                "peer": self.client_address[0],
                "sni": getattr(self.connection, "asked_for", None),
            }).encode() + b"\n"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


class Server4(Server):
    address_family = socket.AF_INET


def http(port, rest):
    name, _, host = rest.partition("@")
    (Server if ":" in (host or "::") else Server4)((host or "::", port), handler(name)).serve_forever()


def tls(port, rest):
    name, pem = rest.split(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.sni_callback = lambda connection, asked, _: setattr(connection, "asked_for", asked)
    server = Server(("::", port), handler(name))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def udp(port, name):
    s = both(port, socket.SOCK_DGRAM)
    while True:
        _, peer = s.recvfrom(4096)
        s.sendto(f"{name} {peer[0]}".encode(), peer)


def both(port, kind):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    return s


def greet(connection, name):
    try:
        with connection:
            connection.sendall(f"220 {name}\n".encode())
            while data := connection.recv(4096):
                connection.sendall(data)
    except ConnectionError:
        pass # the client has gone


def banner(port, name):
    s = both(port, socket.SOCK_STREAM)
    s.listen(64)
    while True:
        connection, _ = s.accept()
        threading.Thread(target=greet, args=(connection, name), daemon=True).start()


def dns(port, file):
    s = both(port, socket.SOCK_DGRAM)
    with open(file) as f:
        table = json.load(f)
    while True:
        query, peer = s.recvfrom(4096)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        kind, = struct.unpack_from("!H", query, at + 1)
        address = table.get(".".join(labels).lower())
        family = socket.AF_INET6 if address and ":" in address else socket.AF_INET
        found = address is not None and kind == (28 if family == socket.AF_INET6 else 1)
        head = struct.pack("!HHHHHH", struct.unpack_from("!H", query)[0], 0x8180 | (0 if address else 3), 1, found, 0, 0)
        data = b""
        if found:
            packed = socket.inet_pton(family, address)
            data = struct.pack("!HHHIH", 0xC00C, kind, 1, 5, len(packed)) + packed
        s.sendto(head + question + data, peer)


for argument in sys.argv[1:]:
    kind, port, rest = argument.split(":", 2)
    port = int(port)
    target = {"http": http, "tls": tls, "udp": udp, "banner": banner, "dns": dns}[kind]
    threading.Thread(target=target, args=(port, rest)).start()
