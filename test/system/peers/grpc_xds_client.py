"""A gRPC client of xds:///NAME (C core): each line of standard input is one call, answered by one line, as JSON.

The bootstrap comes by GRPC_XDS_BOOTSTRAP.
"""

import json
import sys

import grpc


def main() -> None:
    channel = grpc.insecure_channel(f"xds:///{sys.argv[1]}")
    who = channel.unary_unary("/heddle.test.Who/AmI", lambda message: message, lambda message: message)
    for _ in sys.stdin:
        try:
            answer = {"answer": who(b"", timeout=5, wait_for_ready=True).decode(), "error": None}
        except grpc.RpcError as error:
            answer = {"answer": None, "error": f"{error.code().name} {error.details()}"}
        print(json.dumps(answer), flush=True)


main()
