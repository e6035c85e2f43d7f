# A gRPC client that calls every method of the server beside this file and checks what comes back.
# Its arguments: the address, and if it is TLS the file of the authority.
import sys
import threading

import grpc

LIMIT = 15
channel = (
    grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(open(sys.argv[2], "rb").read()))
    if len(sys.argv) > 2
    else grpc.insecure_channel(sys.argv[1])
)


def same(found, expected):
    if found != expected:
        sys.exit(f"{found!r}, not {expected!r}")


def fails(call, code, details=None):
    try:
        call()
    except grpc.RpcError as error:
        same(error.code(), code)
        if details is not None:
            same(error.details(), details)
    else:
        sys.exit(f"it is no {code}")


unary = channel.unary_unary("/test.Echo/Unary")
answer, call = unary.with_call(b"hello", timeout=LIMIT, metadata=(("x-greeting", "moin"),))
same(answer, b"re:hello")
same(dict(call.initial_metadata()).get("x-server"), "python")
same(dict(call.trailing_metadata()).get("x-greeting"), "moin")
large = bytes(range(256)) * 12_000
same(unary(large, timeout=LIMIT), b"re:" + large)
same(unary(b"", timeout=LIMIT), b"re:")

several = [unary.future(b"%d" % number, timeout=LIMIT) for number in range(200)]
same([one.result() for one in several], [b"re:%d" % number for number in range(200)])

fails(
    lambda: channel.unary_unary("/test.Echo/Fail")(b"", timeout=LIMIT),
    grpc.StatusCode.FAILED_PRECONDITION,
    "not today: 100% “sure”",
)
fails(
    lambda: channel.unary_unary("/test.Echo/Slow")(b"", timeout=0.5),
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
fails(
    lambda: channel.unary_unary("/test.Echo/Missing")(b"", timeout=LIMIT),
    grpc.StatusCode.UNIMPLEMENTED,
)

numbers = channel.unary_stream("/test.Echo/Server")(b"500", timeout=LIMIT)
same(list(numbers), [b"%d" % number for number in range(500)])
count = channel.stream_unary("/test.Echo/Client")(iter([b"a" * 1000] * 500), timeout=LIMIT)
same(count, b"500000")

# Each message waits for the answer to the one before: nothing on the way may hold one back.
heard = threading.Semaphore(1)


def said():
    for number in range(20):
        heard.acquire()
        yield b"%d" % number


for number, answer in enumerate(channel.stream_stream("/test.Echo/Both")(said(), timeout=LIMIT)):
    same(answer, b"re:%d" % number)
    heard.release()
same(number, 19)

# A call that is given up does not disturb the next.
watch = channel.stream_stream("/test.Echo/Both")(iter([b"once"]), timeout=LIMIT)
same(next(watch), b"re:once")
watch.cancel()
same(unary(b"again", timeout=LIMIT), b"re:again")
print("all calls are well")
