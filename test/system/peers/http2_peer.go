// Go's own HTTP/2, as client and as server, without TLS.
//
//	go run http2_peer.go serve       prints the port that it listens on, and serves until it is ended
//	go run http2_peer.go call PORT   runs every case and prints one line of JSON for each: {"case": ..., "error": null or text}
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if os.Args[1] == "serve" {
		serve()
	} else {
		call(os.Args[2])
	}
}

func serve() {
	var hanging atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "x-sum")
		w.WriteHeader(200)
		w.(http.Flusher).Flush() // before the body comes
		buffer := make([]byte, 32*1024)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(buffer[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("x-sum", strings.TrimSpace("of "+r.Trailer.Get("x-sum"))) // no blank at the end (RFC 9113 section 8.2.1)
	})
	mux.HandleFunc("/length/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[len("/length/"):])
		w.Header().Set("Content-Length", strconv.Itoa(n))
		if r.Method != "HEAD" {
			w.Write(bytes.Repeat([]byte("x"), n))
		}
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		w.WriteHeader(200)
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(413) })
	mux.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) {
		hanging.Add(1)
		defer hanging.Add(-1)
		<-r.Context().Done()
	})
	mux.HandleFunc("/hanging", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, hanging.Load()) })
	mux.HandleFunc("/protocol", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.Host) })

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, Protocols: protocols()}
	panic(server.Serve(listener))
}

func protocols() *http.Protocols {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	return &only
}

type peer struct {
	client *http.Client
	base   string
}

func (p peer) get(path string) (string, error) {
	response, err := p.client.Get(p.base + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

var cases = []struct {
	name string
	run  func(p peer) error
}{
	{"HTTP/2 and the authority", func(p peer) error {
		got, err := p.get("/protocol")
		want := "HTTP/2.0 " + p.base[len("http://"):]
		return same(got, want, err)
	}},
	{"answers of every size, and HEAD", func(p peer) error {
		for _, size := range []int{0, 1, 16384, 65535, 1000000, 9000000} {
			got, err := p.get(fmt.Sprint("/length/", size))
			if err := same(len(got), size, err); err != nil {
				return err
			}
			response, err := p.client.Head(fmt.Sprint(p.base, "/length/", size))
			if err != nil {
				return err
			}
			response.Body.Close()
			if err := same(int(response.ContentLength), size, nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a large body echoed while it is sent, with trailers both ways", func(p peer) error {
		sent := make([]byte, 8<<20)
		rand.Read(sent)
		request, _ := http.NewRequest("POST", p.base+"/echo", io.NopCloser(bytes.NewReader(sent)))
		request.Trailer = http.Header{"X-Sum": {"the client"}}
		response, err := p.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		got, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, sent) {
			return fmt.Errorf("the body has changed: %d bytes", len(got))
		}
		return same(response.Trailer.Get("x-sum"), "of the client", nil)
	}},
	{"both directions in turn", func(p peer) error {
		reader, writer := io.Pipe()
		request, _ := http.NewRequest("POST", p.base+"/echo", reader)
		response, err := p.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		buffer := make([]byte, 16)
		for i := 0; i < 50; i++ {
			sent := fmt.Sprintf("message %d", i)
			io.WriteString(writer, sent)
			n, err := io.ReadFull(response.Body, buffer[:len(sent)])
			if err := same(string(buffer[:n]), sent, err); err != nil {
				return err
			}
		}
		writer.Close()
		rest, err := io.ReadAll(response.Body)
		return same(len(rest), 0, err)
	}},
	{"an answer before the body has been sent", func(p peer) error {
		reader, writer := io.Pipe()
		defer writer.Close()
		response, err := p.client.Post(p.base+"/early", "text/plain", reader)
		if err != nil {
			return err
		}
		response.Body.Close()
		return same(response.StatusCode, 413, nil)
	}},
	{"300 exchanges at once", func(p peer) error {
		var wait sync.WaitGroup
		errors := make(chan error, 300)
		for i := range 300 {
			wait.Add(1)
			go func() {
				defer wait.Done()
				got, err := p.get(fmt.Sprint("/length/", i*100))
				errors <- same(len(got), i*100, err)
			}()
		}
		wait.Wait()
		for range 300 {
			if err := <-errors; err != nil {
				return err
			}
		}
		return nil
	}},
	{"a request that is cancelled is gone at the server", func(p peer) error {
		context, cancel := context.WithCancel(context.Background())
		request, _ := http.NewRequestWithContext(context, "GET", p.base+"/hang", nil)
		ended := make(chan error)
		go func() {
			_, err := p.client.Do(request)
			ended <- err
		}()
		if err := p.untilHanging("1"); err != nil {
			return err
		}
		cancel()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "canceled") {
			return fmt.Errorf("it ended with %v", err)
		}
		return p.untilHanging("0")
	}},
}

func (p peer) untilHanging(want string) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		got, err := p.get("/hanging")
		if err != nil {
			return err
		}
		if got == want {
			return nil
		}
	}
	return fmt.Errorf("waited 10 s for %s hanging requests", want)
}

func same[T comparable](got, want T, err error) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %v, not %v", got, want)
	}
	return nil
}

func call(port string) {
	transport := &http.Transport{Protocols: protocols()}
	p := peer{&http.Client{Transport: transport, Timeout: 30 * time.Second}, "http://127.0.0.1:" + port}
	for _, each := range cases {
		result := map[string]any{"case": each.name, "error": nil}
		if err := each.run(p); err != nil {
			result["error"] = err.Error()
		}
		line, _ := json.Marshal(result)
		fmt.Println(string(line))
	}
}
