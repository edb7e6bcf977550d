package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// front is what a running array and a running map have in common: a name, an export, a control socket, and an end.
type front struct {
	claim   *Claim
	exports *exports
	control *http.Server
	asked   net.Listener // of the control socket
	log     *slog.Logger
	started time.Time
	undo    []func() // of a start that fails, the last first

	stopping sync.Once
	done     chan struct{}
	result   error // of the stop; written before done is closed
}

// opening is what a front is opened with.
type opening struct {
	folder    Folder
	name      string
	export    string
	tls       TLS
	addresses []Address
	listeners []net.Listener // to serve at too, opened by who started this process
	single    net.Conn       // the only client; nil = any
	logFile   bool
}

func newFront(log *slog.Logger) front {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return front{log: log, started: time.Now(), done: make(chan struct{})}
}

// open claims the name and binds every address. After an error, as after one of whatever follows, giveUp is to be called.
func (f *front) open(o opening) (err error) {
	if f.claim, err = o.folder.Claim(o.name); err != nil {
		return err
	}
	f.undo = append(f.undo, f.claim.Release)
	if o.logFile {
		w, err := f.claim.Log()
		if err != nil {
			return err
		}
		f.undo = append(f.undo, func() { w.Close() })
		f.log = slog.New(slog.NewTextHandler(w, nil))
	}
	if f.exports, err = newExports(o.export, f.log, o.tls); err != nil {
		return err
	}
	f.undo = append(f.undo, f.exports.close)
	f.exports.single = o.single
	for _, l := range o.listeners {
		if err := f.exports.take(l); err != nil {
			return err
		}
	}
	for _, a := range o.addresses {
		if err := f.exports.bind(a); err != nil {
			return err
		}
	}
	if f.asked, err = listenUnix(o.folder.file(o.name, "sock")); err != nil {
		return err
	}
	if u, ok := f.asked.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it is closed after the name was given back, when the file may be another process's; the Claim removes it
	}
	f.undo = append(f.undo, func() { f.asked.Close() })
	return nil
}

// giveUp takes back what a start that failed has done.
func (f *front) giveUp() {
	for i := len(f.undo) - 1; i >= 0; i-- {
		f.undo[i]()
	}
}

func (f *front) serveControl(h http.Handler) {
	f.control = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(f.log.Handler(), slog.LevelWarn)}
	go f.control.Serve(f.asked)
}

// leaveTime is how long a client that has just gone may take to be noticed: who disconnects and then stops the array must not be
// told that it is in use.
const leaveTime = time.Second

// leaving is how many clients are connected and stay so.
func (f *front) leaving() (n int) {
	for end := time.Now().Add(leaveTime); ; time.Sleep(10 * time.Millisecond) {
		if n = f.exports.clients(); n == 0 || time.Now().After(end) {
			return n
		}
	}
}

func countClients(n int) string {
	if n == 1 {
		return "1 client is"
	}
	return fmt.Sprintf("%d clients are", n)
}

// end has shut close what is served, once, and gives the name back. With clients connected it is refused with ErrBusy unless forced.
func (f *front) end(force bool, shut func() error) error {
	if !force {
		if n := f.leaving(); n > 0 {
			return fmt.Errorf("%w: %s connected; disconnect, or stop with --force", ErrBusy, countClients(n))
		}
	}
	f.stopping.Do(func() {
		f.result = shut()
		f.claim.Release()
		close(f.done)
	})
	<-f.done
	return f.result
}

// await returns when it has stopped: asked to on the control socket, or by stop because ctx ended.
func (f *front) await(ctx context.Context, stop func(force bool) error) error {
	select {
	case <-ctx.Done():
		_ = stop(true) // it is the result
	case <-f.done:
	}
	// The answer to who asked for the stop is still on its way.
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if f.control.Shutdown(last) != nil {
		f.control.Close()
	}
	return f.result
}
