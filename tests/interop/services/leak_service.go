// SPDX-License-Identifier: Apache-2.0
//
// The leaking service in Go: net/http, and a goroutine that leaks when it is told to: one LeakedChunk
// after the other into a global slice, or pages beside the heap (kind=native). See README.md.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const chunkBytes = 65536

// LeakedChunk is what leaks.
type LeakedChunk struct {
	Number int64
	Data   [chunkBytes]byte
}

var (
	chunks  []*LeakedChunk
	pages   [][]byte // beside the heap
	count   int64
	stopped atomic.Bool
	done    chan struct{}
)

// CLOCK_MONOTONIC in nanoseconds, which the package time keeps to itself.
func monotonic() int64 {
	var now syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// What a C library would leak: the collector neither sees it nor is paced by it.
func leakPages() {
	page, err := syscall.Mmap(-1, 0, chunkBytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		panic(err)
	}
	for i := range page {
		page[i] = byte(count | 1)
	}
	pages = append(pages, page)
	count++
}

func leakOne() {
	chunk := &LeakedChunk{Number: count}
	for i := range chunk.Data {
		chunk.Data[i] = byte(count | 1)
	}
	chunks = append(chunks, chunk)
	count++
	fmt.Println("leaked", count, "at", monotonic())
}

func run(rate int, leak func()) {
	// A pause per chunk, not a schedule: what stood still does not hurry afterwards.
	pause := time.Duration(float64(chunkBytes) / float64(rate) * 1e3)
	for !stopped.Load() {
		time.Sleep(pause)
		leak()
	}
	close(done)
}

func main() {
	http.HandleFunc("/triggerMemoryLeak", func(w http.ResponseWriter, r *http.Request) {
		rate, err := strconv.Atoi(r.URL.Query().Get("rate"))
		if err != nil {
			rate = 50
		}
		stopped.Store(false)
		done = make(chan struct{})
		leak := leakOne
		if r.URL.Query().Get("kind") == "native" {
			leak = leakPages
		}
		go run(rate, leak)
		fmt.Fprintln(w, "leaking")
	})
	http.HandleFunc("/stop", func(w http.ResponseWriter, r *http.Request) {
		stopped.Store(true)
		<-done
		if r.URL.Query().Get("free") == "1" {
			for _, page := range pages {
				_ = syscall.Munmap(page)
			}
			chunks, pages, count = nil, nil, 0
		}
		fmt.Fprintln(w, "stopped")
	})
	http.HandleFunc("/count", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, count) })
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		fmt.Fprintln(w, "ok")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening on", listener.Addr())
	panic(http.Serve(listener, nil))
}
