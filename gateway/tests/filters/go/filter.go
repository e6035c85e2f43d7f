// The filter that every SDK family has, on the standard Go compiler without an SDK; ../README.md says
// what it does.
package main

import (
	"encoding/binary"
	"strings"
	"unsafe"
)

//go:wasmimport env proxy_set_tick_period_milliseconds
func setTickPeriod(period uint32) uint32

//go:wasmimport env proxy_set_effective_context
func setEffectiveContext(context uint32) uint32

//go:wasmimport env proxy_get_buffer_bytes
func getBuffer(buffer, start, size uint32, out *uint32, outSize *uint32) uint32

//go:wasmimport env proxy_set_buffer_bytes
func setBuffer(buffer, start, size uint32, bytes unsafe.Pointer, length uint32) uint32

//go:wasmimport env proxy_get_header_map_value
func getHeader(kind uint32, name unsafe.Pointer, size uint32, out *uint32, outSize *uint32) uint32

//go:wasmimport env proxy_add_header_map_value
func addHeader(kind uint32, name unsafe.Pointer, size uint32, value unsafe.Pointer, length uint32) uint32

//go:wasmimport env proxy_remove_header_map_value
func removeHeader(kind uint32, name unsafe.Pointer, size uint32) uint32

//go:wasmimport env proxy_continue_stream
func continueStream(stream uint32) uint32

//go:wasmimport env proxy_send_local_response
func sendLocalResponse(status uint32, details unsafe.Pointer, detailsSize uint32, body unsafe.Pointer,
	bodySize uint32, headers unsafe.Pointer, headersSize uint32, grpcStatus int32) uint32

//go:wasmimport env proxy_http_call
func httpCall(backend unsafe.Pointer, backendSize uint32, headers unsafe.Pointer, headersSize uint32,
	body unsafe.Pointer, bodySize uint32, trailers unsafe.Pointer, trailersSize uint32,
	timeout uint32, token *uint32) uint32

const (
	ok    = 0
	goOn  = 0
	pause = 1

	requestHeaders      = 0
	responseHeaders     = 2
	callResponseHeaders = 6

	requestBody         = 0
	responseBody        = 1
	pluginConfiguration = 7

	tickMilliseconds = 50
	callMilliseconds = 5000
	whole            = 0xffffffff
)

type stream struct {
	upper, text bool
}

var (
	greeting string
	ticks    int
	streams  = map[uint32]*stream{}
	calls    = map[uint32]uint32{}
	// What the host allocated is kept until it is read.
	allocated = map[uint32][]byte{}
)

func main() {}

func data(text []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text))
}

// taken copies what the host put into memory that it had allocated.
func taken(at, size uint32) []byte {
	memory := allocated[at]
	delete(allocated, at)
	return memory[:size]
}

func header(kind uint32, name string) (string, bool) {
	var at, size uint32
	p, n := data([]byte(name))
	if getHeader(kind, p, n, &at, &size) != ok {
		return "", false
	}
	return string(taken(at, size)), true
}

func add(kind uint32, name, value string) {
	p, n := data([]byte(name))
	v, l := data([]byte(value))
	addHeader(kind, p, n, v, l)
}

func remove(kind uint32, name string) {
	p, n := data([]byte(name))
	removeHeader(kind, p, n)
}

func pairs(texts ...string) []byte {
	wire := binary.LittleEndian.AppendUint32(nil, uint32(len(texts)/2))
	for _, text := range texts {
		wire = binary.LittleEndian.AppendUint32(wire, uint32(len(text)))
	}
	for _, text := range texts {
		wire = append(append(wire, text...), 0)
	}
	return wire
}

func answer(status uint32, body string, headers ...string) {
	d, dn := data([]byte("family"))
	b, bn := data([]byte(body))
	h, hn := data(pairs(headers...))
	sendLocalResponse(status, d, dn, b, bn, h, hn, -1)
}

func ask(context uint32) uint32 {
	authorization, _ := header(requestHeaders, "authorization")
	b, bn := data([]byte("auth"))
	h, hn := data(pairs(":method", "GET", ":path", "/check", ":authority", "auth",
		"authorization", authorization))
	var token uint32
	if httpCall(b, bn, h, hn, nil, 0, nil, 0, callMilliseconds, &token) != ok {
		answer(500, "cannot ask\n")
		return pause
	}
	calls[token] = context
	return pause
}

//go:wasmexport proxy_abi_version_0_2_0
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	memory := make([]byte, size)
	at := unsafe.Pointer(unsafe.SliceData(memory))
	allocated[uint32(uintptr(at))] = memory
	return at
}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, parent uint32) {
	if parent != 0 {
		streams[context] = &stream{}
	}
}

//go:wasmexport proxy_on_configure
func onConfigure(_, size uint32) uint32 {
	var at, length uint32
	if getBuffer(pluginConfiguration, 0, size, &at, &length) != ok {
		return 0
	}
	greeting = string(taken(at, length))
	if setTickPeriod(tickMilliseconds) != ok {
		return 0
	}
	return 1
}

//go:wasmexport proxy_on_tick
func onTick(uint32) { ticks++ }

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, _, _ uint32) uint32 {
	path, _ := header(requestHeaders, ":path")
	add(requestHeaders, "x-greeting", greeting)
	switch path {
	case "/forbidden":
		answer(403, "forbidden\n", "x-denied", "yes")
		return pause
	case "/ticks":
		if ticks > 0 {
			answer(200, "ticking\n")
		} else {
			answer(503, "not yet\n")
		}
		return pause
	case "/upper":
		streams[context].upper = true
		remove(requestHeaders, "content-length")
	case "/authorized":
		return ask(context)
	case "/text":
		streams[context].text = true
	}
	return goOn
}

//go:wasmexport proxy_on_http_call_response
func onHttpCallResponse(_, token, headers, _, _ uint32) {
	context, known := calls[token]
	delete(calls, token)
	if !known || setEffectiveContext(context) != ok {
		return
	}
	status, user := "", ""
	if headers > 0 {
		status, _ = header(callResponseHeaders, ":status")
		user, _ = header(callResponseHeaders, "x-user")
	}
	if status != "200" {
		answer(401, "unauthorized\n")
		return
	}
	add(requestHeaders, "x-user", user)
	continueStream(0)
}

//go:wasmexport proxy_on_request_body
func onRequestBody(context, size, end uint32) uint32 {
	if !streams[context].upper {
		return goOn
	}
	if end == 0 {
		return pause
	}
	var at, length uint32
	if getBuffer(requestBody, 0, size, &at, &length) == ok {
		b, n := data([]byte(strings.ToUpper(string(taken(at, length)))))
		setBuffer(requestBody, 0, whole, b, n)
	}
	return goOn
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, _, _ uint32) uint32 {
	add(responseHeaders, "x-family", "go")
	remove(responseHeaders, "x-powered-by")
	if streams[context].text {
		remove(responseHeaders, "content-length")
	}
	return goOn
}

//go:wasmexport proxy_on_response_body
func onResponseBody(context, _, end uint32) uint32 {
	if end != 0 && streams[context].text {
		// Behind all that is there.
		b, n := data([]byte("!"))
		setBuffer(responseBody, whole, 0, b, n)
	}
	return goOn
}

//go:wasmexport proxy_on_delete
func onDelete(context uint32) { delete(streams, context) }
