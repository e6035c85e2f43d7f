// A filter on the standard Go compiler that links much of its library, as filters with JSON,
// regular expressions and templates do. What it costs to compile and to load is measured; it is
// never called but to start.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"unsafe"
)

var allocated = map[uint32][]byte{}

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) uint32 {
	memory := make([]byte, size)
	address := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	allocated[address] = memory
	return address
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(_ uint32, count uint32, _ uint32) uint32 {
	// Never so many: the linker does not know that.
	if count == 1<<31 {
		return uint32(len(everything(strings.Repeat("a", int(count)))))
	}
	return 0
}

// Everything that the linker is to keep.
func everything(text string) string {
	var out strings.Builder
	var value any
	_ = json.Unmarshal([]byte(text), &value)
	if pattern, err := regexp.Compile(text); err == nil {
		out.WriteString(pattern.ReplaceAllString(text, "$1"))
	}
	if page, err := template.New("").Parse(text); err == nil {
		_ = page.Execute(&out, value)
	}
	if number, fine := new(big.Int).SetString(text, 10); fine {
		out.WriteString(number.Exp(number, number, number).String())
	}
	if address, err := url.Parse(text); err == nil {
		out.WriteString(address.Query().Encode())
	}
	if reader, err := gzip.NewReader(bytes.NewReader([]byte(text))); err == nil {
		_, _ = io.Copy(&out, reader)
	}
	return out.String()
}
