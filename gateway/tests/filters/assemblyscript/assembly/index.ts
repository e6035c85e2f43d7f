// The filter that every SDK family has, on the AssemblyScript SDK; ../../README.md says what it does.

export * from "@solo-io/proxy-runtime/proxy";
import {
  Context, FilterDataStatusValues, FilterHeadersStatusValues, GrpcStatusValues,
  HeaderPair, Headers, RootContext, WasmResultValues, continue_request, registerRootContext,
  send_local_response, stream_context,
} from "@solo-io/proxy-runtime";
import {
  BufferTypeValues, get_buffer_bytes, set_tick_period_milliseconds,
} from "@solo-io/proxy-runtime/runtime";

// The SDK has no function to change a body.
@external("env", "proxy_set_buffer_bytes")
declare function proxy_set_buffer_bytes(buffer: u32, start: u32, length: u32, bytes: usize, size: usize): u32;

const TICK_MILLISECONDS: u32 = 50;
const CALL_MILLISECONDS: u32 = 5000;
const WHOLE: u32 = 0xffffffff;

class Root extends RootContext {
  greeting: string = "";
  ticks: u32 = 0;

  // The SDK's own gives the size where the host wants an address, and reads nothing, on any host.
  onConfigure(size: u32): bool {
    this.greeting = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, size));
    set_tick_period_milliseconds(TICK_MILLISECONDS);
    return true;
  }

  onTick(): void {
    this.ticks++;
  }

  createContext(id: u32): Context {
    return new Stream(id, this);
  }
}

class Stream extends Context {
  path: string = "";
  is_text: bool = false;

  constructor(id: u32, root: Root) {
    super(id, root);
  }

  onRequestHeaders(_count: u32, _end: bool): FilterHeadersStatusValues {
    const request = stream_context.headers.request;
    this.path = request.get(":path");
    request.add("x-greeting", changetype<Root>(this.root_context).greeting);
    if (this.path == "/forbidden") {
      const headers: Headers = [pair("x-denied", "yes")];
      answer(403, "forbidden\n", headers);
      return FilterHeadersStatusValues.StopIteration;
    }
    if (this.path == "/ticks") {
      const ticking = changetype<Root>(this.root_context).ticks > 0;
      answer(ticking ? 200 : 503, ticking ? "ticking\n" : "not yet\n", []);
      return FilterHeadersStatusValues.StopIteration;
    }
    if (this.path == "/upper") {
      request.remove("content-length");
    }
    if (this.path == "/authorized") {
      return this.ask(request.get("authorization"));
    }
    return FilterHeadersStatusValues.Continue;
  }

  ask(authorization: string): FilterHeadersStatusValues {
    const headers: Headers = [
      pair(":method", "GET"), pair(":path", "/check"), pair(":authority", "auth"),
      pair("authorization", authorization),
    ];
    const asked = this.root_context.httpCall(
      "auth", headers, new ArrayBuffer(0), [], CALL_MILLISECONDS, this,
      (origin: Context, count: u32, _size: usize, _trailers: u32): void => {
        const allowed = count > 0 && call_header(":status") == "200";
        if (!allowed) {
          answer(401, "unauthorized\n", []);
          return;
        }
        const user = call_header("x-user");
        stream_context.headers.request.add("x-user", user);
        continue_request();
      },
    );
    if (asked != WasmResultValues.Ok) {
      answer(500, "cannot ask\n", []);
    }
    return FilterHeadersStatusValues.StopIteration;
  }

  onRequestBody(size: usize, end: bool): FilterDataStatusValues {
    if (this.path != "/upper") {
      return FilterDataStatusValues.Continue;
    }
    if (!end) {
      return FilterDataStatusValues.StopIterationAndBuffer;
    }
    const body = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, size as u32));
    set_body(BufferTypeValues.HttpRequestBody, 0, WHOLE, body.toUpperCase());
    return FilterDataStatusValues.Continue;
  }

  onResponseHeaders(_count: u32, _end: bool): FilterHeadersStatusValues {
    const response = stream_context.headers.response;
    response.add("x-family", "assemblyscript");
    response.remove("x-powered-by");
    this.is_text = response.get("content-type").startsWith("text/") && this.path == "/text";
    if (this.is_text) {
      response.remove("content-length");
    }
    return FilterHeadersStatusValues.Continue;
  }

  onResponseBody(size: usize, end: bool): FilterDataStatusValues {
    if (end && this.is_text) {
      // Behind all that is there.
      set_body(BufferTypeValues.HttpResponseBody, WHOLE, 0, "!");
    }
    return FilterDataStatusValues.Continue;
  }
}

function pair(name: string, value: string): HeaderPair {
  return new HeaderPair(String.UTF8.encode(name), String.UTF8.encode(value));
}

function answer(status: u32, body: string, headers: Headers): void {
  send_local_response(status, "family", String.UTF8.encode(body), headers, GrpcStatusValues.Ok);
}

function call_header(name: string): string {
  return stream_context.headers.http_callback.get(name);
}

function set_body(buffer: BufferTypeValues, start: u32, length: u32, text: string): void {
  const bytes = String.UTF8.encode(text);
  proxy_set_buffer_bytes(buffer, start, length, changetype<usize>(bytes), bytes.byteLength);
}

registerRootContext((id: u32): RootContext => new Root(id), "");
