"""
Lives in a network namespace and does there what it is told, one JSON object a line on stdin, one answer a line on stdout.

listen:  {"id", "listen": name, "host", "port", "transparent", "from_client"}  a TCP server that tells each connection, in one line, what it
         sees of it: its own name, the peer, its own address and the original destination (SO_ORIGINAL_DST). With "from_client" it is a
         proxy instead: it dials the address that it was reached at from the client's own address, marked 1337, and hands the answer on.
answer:  {"id", "answer": name, "host", "port"}                                 the same for UDP
connect: {"id", "connect": [host, port], "source": [host, port], "timeout"}    dials, and answers with the line that comes
ask:     {"id", "ask": [host, port], "source": [host, port], "timeout"}        the same by UDP
"""
import json
import socket
import struct
import sys
import threading

SO_ORIGINAL_DST = 80  # linux/netfilter_ipv4.h; in ip6_tables.h IP6T_SO_ORIGINAL_DST has the same number
SO_MARK = 36
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
lock = threading.Lock()


def say(message):
    with lock:
        print(json.dumps(message), flush=True)


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def make(host, kind, transparent=False):
    s = socket.socket(family_of(host), kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if transparent:
        if s.family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    return s


def original(s):
    try:
        if s.family == socket.AF_INET:
            port, packed = struct.unpack_from("!2xH4s", s.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16))
        else:
            port, packed = struct.unpack_from("!2xH4x16s", s.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28))
        return [socket.inet_ntop(s.family, packed), port]
    except OSError:
        return None


def read_line(s):
    data = b""
    while not data.endswith(b"\n"):
        more = s.recv(4096)
        if not more:
            break
        data += more
    return json.loads(data)


def serve(s, name, from_client):
    while True:
        connection, peer = s.accept()
        with connection:
            try:
                answer = {
                    "at": name,
                    "peer": list(peer[:2]),
                    "local": list(connection.getsockname()[:2]),
                    "original": original(connection),
                }
                if from_client:
                    with make(peer[0], socket.SOCK_STREAM, transparent=True) as up:
                        up.settimeout(3)
                        up.setsockopt(socket.SOL_SOCKET, SO_MARK, 1337)
                        up.bind((peer[0], 0))
                        up.connect(connection.getsockname()[:2])
                        answer = {"by": name, **read_line(up)}
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError as error:
                try:
                    connection.sendall(json.dumps({"at": name, "error": str(error)}).encode() + b"\n")
                except OSError:
                    pass


def answer_datagrams(s, name):
    while True:
        _, peer = s.recvfrom(4096)
        s.sendto(json.dumps({"at": name, "peer": list(peer[:2])}).encode(), peer)


def reach(message):
    datagram = "ask" in message
    host, port = message["ask"] if datagram else message["connect"]
    try:
        with make(host, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as s:
            s.settimeout(message.get("timeout", 3))
            if "source" in message:
                s.bind(tuple(message["source"]))
            if datagram:
                s.sendto(b"?", (host, port))
                answer = json.loads(s.recv(4096))
            else:
                s.connect((host, port))
                answer = read_line(s)
            say({"id": message["id"], "answer": answer})
    except (OSError, ValueError) as error:
        say({"id": message["id"], "answer": {"error": type(error).__name__ + ": " + str(error)}})


for line in sys.stdin:
    message = json.loads(line)
    if "listen" in message:
        server = make(message["host"], socket.SOCK_STREAM, message.get("transparent", False))
        server.bind((message["host"], message["port"]))
        server.listen(64)
        threading.Thread(target=serve, args=(server, message["listen"], message.get("from_client", False)), daemon=True).start()
        say({"id": message["id"], "answer": {}})
    elif "answer" in message:
        server = make(message["host"], socket.SOCK_DGRAM)
        server.bind((message["host"], message["port"]))
        threading.Thread(target=answer_datagrams, args=(server, message["answer"]), daemon=True).start()
        say({"id": message["id"], "answer": {}})
    else:
        threading.Thread(target=reach, args=(message,), daemon=True).start()
