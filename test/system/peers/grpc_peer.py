"""The service of test/interop/grpc-peer.ts and the cases of grpc-cases.ts for gRPC's Python, which is gRPC's C core.

grpc_peer.py serve          prints the port that it listens on, and serves until it is ended
grpc_peer.py call PORT      runs every case and prints one line of JSON for each: {"case": ..., "error": null or text}
"""

import hashlib
import json
import os
import sys
import threading
import time
import traceback
import uuid
from concurrent import futures

import grpc

SERVICE = "heddle.interop.Peer"
LIMITS = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]
DEADLINE_S = 20


class Peer(grpc.GenericRpcHandler):
    def __init__(self):
        self.lock = threading.Lock()
        self.begun = {}
        self.cancelled = {}

    def service(self, details):
        handlers = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Emit": grpc.unary_stream_rpc_method_handler(self.emit),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.stream_stream_rpc_method_handler(self.hang),
            "Seen": grpc.unary_unary_rpc_method_handler(self.seen),
        }
        service, _, method = details.method[1:].partition("/")
        return handlers.get(method) if service == SERVICE else None

    def count(self, counts, key):
        with self.lock:
            counts[key] = counts.get(key, 0) + 1

    def echo(self, request, context):
        came = context.invocation_metadata()
        context.send_initial_metadata([(k, v) for k, v in came if k == "x-echo-initial"])
        context.set_trailing_metadata([(k, v) for k, v in came if k == "x-echo-trailing-bin"])
        return request

    def sum(self, requests, context):
        digest = hashlib.sha256()
        messages = length = 0
        for message in requests:
            messages += 1
            length += len(message)
            digest.update(message)
        return json.dumps({"messages": messages, "bytes": length, "sha256": digest.hexdigest()}).encode()

    def emit(self, request, context):
        for size in json.loads(request):
            yield b"e" * size

    def chat(self, requests, context):
        yield from requests

    def fail(self, request, context):
        wanted = json.loads(request)
        code = next(code for code in grpc.StatusCode if code.value[0] == wanted["code"])
        context.abort(code, wanted["message"])

    def hang(self, requests, context):
        metadata = dict(context.invocation_metadata())
        key = metadata["x-id"]
        ended = threading.Event()
        context.add_callback(ended.set)
        self.count(self.begun, key)
        if metadata.get("x-first") == "1":
            yield b"first"
        ended.wait(DEADLINE_S)
        self.count(self.cancelled, key)

    def seen(self, request, context):
        key = request.decode()
        with self.lock:
            return json.dumps({"begun": self.begun.get(key, 0), "cancelled": self.cancelled.get(key, 0)}).encode()


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(64), handlers=[Peer()], options=LIMITS)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


class Caller:
    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=LIMITS)

    def path(self, name):
        return f"/{SERVICE}/{name}"

    def unary(self, name, message, metadata=(), timeout=DEADLINE_S, path=None):
        return self.channel.unary_unary(path or self.path(name)).with_call(
            message, timeout=timeout, metadata=metadata
        )

    def chat(self, requests, name="Chat", metadata=()):
        return self.channel.stream_stream(self.path(name))(requests, timeout=DEADLINE_S, metadata=metadata)

    def seen(self, key):
        return json.loads(self.unary("Seen", key.encode())[0])

    def until_seen(self, key, what, condition):
        deadline = time.monotonic() + 10
        while not condition(self.seen(key)):
            assert time.monotonic() < deadline, f"waited 10 s for: {what}"
            time.sleep(0.02)

    def rejected(self, name, message, **options):
        try:
            self.unary(name, message, **options)
        except grpc.RpcError as error:
            return error
        raise AssertionError("the call succeeded")

    def fail(self, code, message):
        return self.rejected("Fail", json.dumps({"code": code.value[0], "message": message}).encode())


def empty_message(peer):
    assert peer.unary("Echo", b"")[0] == b""


def large_messages(peer):
    for size in (65_535, 1_000_003, 4 << 20):
        sent = os.urandom(size)
        assert peer.unary("Echo", sent)[0] == sent, f"{size} bytes come back as they were"


def client_streaming(peer):
    messages = [os.urandom(size) for size in (27_182, 8, 1828, 45_904, 0, 300_000)]
    sent = b"".join(messages)
    got = json.loads(peer.channel.stream_unary(peer.path("Sum"))(iter(messages), timeout=DEADLINE_S))
    assert got == {"messages": 6, "bytes": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}


def server_streaming(peer):
    sizes = [31_415, 9, 2653, 58_979, 0, 300_000]
    got = peer.channel.unary_stream(peer.path("Emit"))(json.dumps(sizes).encode(), timeout=DEADLINE_S)
    assert [len(message) for message in got] == sizes


class Requests:
    """What a bidirectional call sends, message by message."""

    def __init__(self):
        self.waiting = []
        self.changed = threading.Condition()

    def send(self, message):
        with self.changed:
            self.waiting.append(message)
            self.changed.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.changed:
            while not self.waiting:
                self.changed.wait()
            message = self.waiting.pop(0)
        if message is None:
            raise StopIteration
        return message


def ping_pong(peer):
    requests = Requests()
    call = peer.chat(requests)
    for size in (27_182, 0, 8, 1828, 45_904):
        sent = os.urandom(size)
        requests.send(sent)
        assert next(call) == sent
    requests.send(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def bidirectional_without_waiting(peer):
    sent = [os.urandom(i * 20) for i in range(200)]
    assert list(peer.chat(iter(sent))) == sent


def empty_stream(peer):
    call = peer.chat(iter([]))
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def cancelled_after_begin(peer):
    key = str(uuid.uuid4())
    requests = Requests()
    requests.send(b"x")
    call = peer.chat(requests, "Hang", [("x-id", key)])
    peer.until_seen(key, "the call has begun", lambda seen: seen["begun"] == 1)
    call.cancel()
    requests.send(None)
    assert call.code() is grpc.StatusCode.CANCELLED
    peer.until_seen(key, "the server sees that it is cancelled", lambda seen: seen["cancelled"] == 1)


def cancelled_after_first_response(peer):
    key = str(uuid.uuid4())
    requests = Requests()
    requests.send(b"x")
    call = peer.chat(requests, "Hang", [("x-id", key), ("x-first", "1")])
    assert next(call) == b"first"
    call.cancel()
    requests.send(None)
    assert call.code() is grpc.StatusCode.CANCELLED
    peer.until_seen(key, "the server sees that it is cancelled", lambda seen: seen["cancelled"] == 1)


def deadline_on_sleeping_server(peer):
    key = str(uuid.uuid4())
    error = peer.rejected("Hang", b"x", metadata=[("x-id", key)], timeout=0.3)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    peer.until_seen(key, "what has begun is cancelled", lambda seen: seen["begun"] == seen["cancelled"])


def status_code_and_message(peer):
    code = grpc.StatusCode
    for wanted in (code.UNKNOWN, code.NOT_FOUND, code.ABORTED, code.UNAVAILABLE, code.UNAUTHENTICATED):
        error = peer.fail(wanted, "test status message")
        assert (error.code(), error.details()) == (wanted, "test status message")


def special_status_message(peer):
    message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608, 100% and %41\t\n"
    error = peer.fail(grpc.StatusCode.INVALID_ARGUMENT, message)
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def custom_metadata(peer):
    values = [os.urandom(1), os.urandom(60), b"\xab\xab\xab"]
    sent = [("x-echo-initial", "a value, of text")] + [("x-echo-trailing-bin", value) for value in values]
    _, call = peer.unary("Echo", b"m", metadata=sent)
    assert [v for k, v in call.initial_metadata() if k == "x-echo-initial"] == ["a value, of text"]
    assert [v for k, v in call.trailing_metadata() if k == "x-echo-trailing-bin"] == values


def unimplemented(peer):
    for path in (peer.path("Nothing"), "/heddle.interop.Nobody/Echo"):
        assert peer.rejected("", b"", path=path).code() is grpc.StatusCode.UNIMPLEMENTED


def many_calls(peer):
    echo = peer.channel.unary_unary(peer.path("Echo"))

    def call(i):
        sent = f"call {i}".encode()
        assert echo(sent, timeout=DEADLINE_S) == sent

    with futures.ThreadPoolExecutor(50) as pool:
        list(pool.map(call, range(1000)))


CASES = {
    "an empty message": empty_message,
    "large messages": large_messages,
    "client streaming": client_streaming,
    "server streaming": server_streaming,
    "ping-pong": ping_pong,
    "bidirectional streaming, without waiting": bidirectional_without_waiting,
    "an empty stream": empty_stream,
    "cancelled after it began": cancelled_after_begin,
    "cancelled after the first response": cancelled_after_first_response,
    "a deadline on a server that sleeps": deadline_on_sleeping_server,
    "status code and message": status_code_and_message,
    "a status message of whitespace, percent signs and Unicode": special_status_message,
    "custom metadata, initial and trailing, text and bytes": custom_metadata,
    "a method and a service that are not there": unimplemented,
    "1,000 calls, 50 at once": many_calls,
}


def call(port):
    peer = Caller(port)
    for name, case in CASES.items():
        error = None
        try:
            case(peer)
        except Exception:
            error = traceback.format_exc()
        print(json.dumps({"case": name, "error": error}), flush=True)
    peer.channel.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        call(int(sys.argv[2]))
