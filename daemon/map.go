package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"graid/block"
	"graid/block/file"
	"graid/multipath"
	"graid/sched"
)

// MapConfig is what multipath map to run. Folder, Name and Paths are needed.
type MapConfig struct {
	Folder    Folder
	Name      string
	Paths     []MapPath
	Mode      file.Mode // of paths that are files or block devices
	Options   multipath.Options
	Addresses []Address // none = the folder's socket of this name
	Export    string    // "" = Name
	Log       *slog.Logger
	LogFile   bool
	Command   []string // for State: how to have it run again
}

// Map is what a running map says about itself: the MAP of the command line's JSON. Keys are never renamed or dropped.
type Map struct {
	multipath.Status
	Exports []Export   `json:"exports"`
	Started *time.Time `json:"started"`
	PID     int        `json:"pid"`
}

// MapProcess is a running map. It ends by Stop, or when the context given to Wait does.
type MapProcess struct {
	cfg     MapConfig
	claim   *Claim
	dev     *multipath.Device
	exports *exports
	control *http.Server
	log     *slog.Logger
	started time.Time

	stopping sync.Once
	done     chan struct{}
	result   error // of the stop; written before done is closed
}

// StartMap claims the name, opens the paths and serves the map. After an error nothing is left behind.
func StartMap(ctx context.Context, cfg MapConfig) (*MapProcess, error) {
	if cfg.Export == "" {
		cfg.Export = cfg.Name
	}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []Address{{"unix", cfg.Folder.Socket(cfg.Name)}}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &MapProcess{cfg: cfg, log: cfg.Log, started: time.Now(), done: make(chan struct{})}
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *MapProcess) start(ctx context.Context) (err error) {
	var undo []func()
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			undo[i]()
		}
	}()
	if p.claim, err = p.cfg.Folder.Claim(p.cfg.Name); err != nil {
		return err
	}
	undo = append(undo, p.claim.Release)
	if p.cfg.LogFile {
		f, err := p.claim.Log()
		if err != nil {
			return err
		}
		undo = append(undo, func() { f.Close() })
		p.log = slog.New(slog.NewTextHandler(f, nil))
	}
	if p.exports, err = newExports(p.cfg.Export, p.log, TLS{}); err != nil {
		return err
	}
	undo = append(undo, p.exports.close)
	for _, a := range p.cfg.Addresses {
		if err := p.exports.bind(a); err != nil {
			return err
		}
	}
	control, err := listenUnix(p.cfg.Folder.file(p.cfg.Name, "sock"))
	if err != nil {
		return err
	}
	if u, ok := control.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the Claim removes it
	}
	undo = append(undo, func() { control.Close() })

	o := p.cfg.Options
	o.OnEvent = p.event
	o.Seed = uint64(p.started.UnixNano())
	var paths []multipath.Path
	for _, w := range p.cfg.Paths {
		paths = append(paths, w.path(o, p.cfg.Mode))
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 8)) // paths block
	if p.dev, err = multipath.New(ctx, p.cfg.Name, paths, o, sched.Real); err != nil {
		return err
	}
	undo = append(undo, func() { p.dev.Close() })
	p.gather(ctx)
	if err := p.claim.publish(p.state()); err != nil {
		return fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	p.exports.serve(p.dev, func() { p.Stop(true) })
	p.control = &http.Server{Handler: p.routes(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn)}
	go p.control.Serve(control)
	return nil
}

// gatherTime is how long a map waits for paths beyond the first, so that who made it is told how it is.
const gatherTime = 5 * time.Second

// gather waits until every path has arrived, or has failed to, for a while.
func (p *MapProcess) gather(ctx context.Context) {
	for end := time.Now().Add(gatherTime); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		underWay := false
		for _, g := range p.dev.Status().Groups {
			for _, x := range g.Paths {
				switch x.State {
				case multipath.StateNew.String(), multipath.StateConnecting.String(), multipath.StateVerifying.String():
					underWay = true
				}
			}
		}
		if !underWay {
			return
		}
	}
}

func (p *MapProcess) event(e multipath.Event) {
	level := slog.LevelInfo
	switch e.To {
	case multipath.StateFailed.String(), multipath.StateHoldDown.String(), multipath.StateSuspect.String(), multipath.StateMarginal.String():
		level = slog.LevelWarn
	case multipath.StateRefused.String():
		level = slog.LevelError
	}
	args := []any{"map", p.cfg.Name}
	for _, kv := range [][2]string{{"path", e.Path}, {"from", e.From}, {"to", e.To}, {"reason", e.Reason}} {
		if kv[1] != "" {
			args = append(args, kv[0], kv[1])
		}
	}
	p.log.Log(context.Background(), level, e.Kind, args...)
}

// Map is what the map says about itself now.
func (p *MapProcess) Map() Map {
	started := p.started.UTC()
	return Map{Status: p.dev.Status(), Exports: p.exports.describe(!p.dev.Info().Writable), Started: &started, PID: os.Getpid()}
}

func (p *MapProcess) state() State {
	m := p.Map()
	s := State{Name: p.cfg.Name, PID: m.PID, Control: p.cfg.Folder.file(p.cfg.Name, "sock"), Command: p.cfg.Command, Started: p.started}
	for _, w := range p.cfg.Paths {
		s.Members = append(s.Members, w.Word)
	}
	for _, e := range m.Exports {
		s.URIs = append(s.URIs, e.URI)
	}
	return s
}

// path finds the path that the user means: by what it was called when it was given, or by a last part that only one has.
func (p *MapProcess) path(asked string) (string, error) {
	var all, same []string
	for _, g := range p.dev.Status().Groups {
		for _, x := range g.Paths {
			if x.Name == asked {
				return asked, nil
			}
			all = append(all, x.Name)
			if sameNode(x.Name, asked) || filepath.Base(x.Name) == asked || strings.HasSuffix(x.Name, asked) && asked != "" {
				same = append(same, x.Name)
			}
		}
	}
	switch len(same) {
	case 1:
		return same[0], nil
	case 0:
		return "", fmt.Errorf("%s: not a path of %s; its paths are %s", asked, p.cfg.Name, strings.Join(all, ", "))
	}
	return "", fmt.Errorf("%s: could be any of %s: write the whole path", asked, strings.Join(same, ", "))
}

// Stop lets no further client in, flushes and gives the name back. With clients connected it is refused with ErrBusy unless forced. With force it
// does not flush through paths that are not there.
func (p *MapProcess) Stop(force bool) error {
	if !force {
		for end := time.Now().Add(leaveTime); p.exports.clients() > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				return fmt.Errorf("%w: %s connected; disconnect, or stop with --force", ErrBusy, countClients(p.exports.clients()))
			}
		}
	}
	p.stopping.Do(func() {
		p.log.Info("stopping", "map", p.cfg.Name)
		if force {
			p.dev.FailQueued()
		}
		p.exports.close()
		var flushed error
		if !force || p.dev.Status().State != "failed" {
			flushed = block.Sync(context.Background(), p.dev)
		}
		p.result = errors.Join(flushed, p.dev.Close())
		p.claim.Release()
		close(p.done)
	})
	<-p.done
	return p.result
}

// Wait returns when the map has stopped: asked to on the control socket, or because ctx ended.
func (p *MapProcess) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		p.Stop(true)
	case <-p.done:
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if p.control.Shutdown(last) != nil {
		p.control.Close()
	}
	return p.result
}
