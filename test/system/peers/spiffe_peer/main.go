// A client of the SPIFFE Workload API by go-spiffe: prints the identities that it gets, one a line, until it has had so many.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

type printer struct {
	wanted int
	done   chan struct{}
}

func (p *printer) OnX509ContextUpdate(c *workloadapi.X509Context) {
	svid := c.DefaultSVID()
	bundle, ok := c.Bundles.Get(svid.ID.TrustDomain())
	authorities := 0
	if ok {
		authorities = len(bundle.X509Authorities())
	}
	fmt.Printf("%s %d %d\n", svid.ID, len(svid.Certificates), authorities)
	p.wanted--
	if p.wanted == 0 {
		close(p.done)
	}
}

func (p *printer) OnX509ContextWatchError(err error) {
	fmt.Fprintln(os.Stderr, err)
}

func main() {
	wanted, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	p := &printer{wanted: wanted, done: make(chan struct{})}
	go func() {
		if err := workloadapi.WatchX509Context(ctx, p, workloadapi.WithAddr(os.Args[1])); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	select {
	case <-p.done:
	case <-ctx.Done():
		os.Exit(2)
	}
}
