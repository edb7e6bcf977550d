// Command memserve serves a memory device over NBD, for measuring the server without an array below it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"graid/block"
	"graid/block/mem"
	"graid/nbd"
)

func main() {
	path := flag.String("unix", "", "socket to listen on")
	at := flag.String("tcp", "", "address to listen on as well")
	size := flag.Int64("size", 1<<30, "size of the device, bytes")
	unit := flag.Int64("block", 512, "block size of the device, bytes")
	flag.Parse()
	if err := serve(*path, *at, *size, *unit); err != nil {
		fmt.Fprintln(os.Stderr, "memserve:", err)
		os.Exit(1)
	}
}

func serve(path, at string, size, unit int64) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	dev := mem.New(size, mem.Options{Block: unit})
	s := &nbd.Server{
		List: func() []nbd.Export { return []nbd.Export{{Name: "mem", Description: "memory", Dev: block.Device(dev)}} },
		Log:  slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	defer context.AfterFunc(ctx, func() { s.Shutdown(context.Background()) })()
	if at != "" {
		more, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		go func() {
			if err := s.Serve(more); err != nil {
				fmt.Fprintln(os.Stderr, "memserve:", err)
			}
		}()
	}
	return s.Serve(l)
}
