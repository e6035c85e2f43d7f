# A gRPC server with one method of each kind, on messages of plain bytes: no generated code.
import sys
import time
from concurrent import futures

import grpc


def unary(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-server", "python"),))
    context.set_trailing_metadata((("x-greeting", sent.get("x-greeting", "none")),))
    return b"re:" + request


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100% “sure”")


def slow(request, context):
    # The deadline has to arrive here, or this would take too long.
    left = context.time_remaining()
    if left is None or left > 10:
        context.abort(grpc.StatusCode.INTERNAL, f"no deadline arrived: {left}")
    while context.is_active():
        time.sleep(0.01)
    return b""


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def client_stream(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def both(requests, context):
    for request in requests:
        yield b"re:" + request


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "Server": grpc.unary_stream_rpc_method_handler(server_stream),
    "Client": grpc.stream_unary_rpc_method_handler(client_stream),
    "Both": grpc.stream_stream_rpc_method_handler(both),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", METHODS),))
if server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}") == 0:
    sys.exit("the port is taken")
server.start()
server.wait_for_termination()
