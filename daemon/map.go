package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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
	front
	cfg MapConfig
	dev *multipath.Device
}

// StartMap claims the name, opens the paths and serves the map. After an error nothing is left behind.
func StartMap(ctx context.Context, cfg MapConfig) (*MapProcess, error) {
	if cfg.Export == "" {
		cfg.Export = cfg.Name
	}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []Address{{"unix", cfg.Folder.Socket(cfg.Name)}}
	}
	p := &MapProcess{front: newFront(cfg.Log), cfg: cfg}
	if err := p.start(ctx); err != nil {
		p.giveUp()
		return nil, err
	}
	return p, nil
}

func (p *MapProcess) start(ctx context.Context) (err error) {
	if err := p.open(opening{
		folder: p.cfg.Folder, name: p.cfg.Name, export: p.cfg.Export, addresses: p.cfg.Addresses, logFile: p.cfg.LogFile,
	}); err != nil {
		return err
	}
	o := p.cfg.Options
	o.OnEvent = p.event
	o.Seed = uint64(p.started.UnixNano())
	var paths []multipath.Path
	for _, w := range p.cfg.Paths {
		paths = append(paths, w.path(o, p.cfg.Mode))
	}
	widen() // paths block
	if p.dev, err = multipath.New(ctx, p.cfg.Name, paths, o, sched.Real); err != nil {
		return err
	}
	p.undo = append(p.undo, func() { p.dev.Close() })
	p.gather(ctx)
	if err := p.claim.publish(p.state()); err != nil {
		return fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	p.exports.serve(p.dev, func() { p.Stop(true) })
	p.serveControl(p.routes())
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
	return theOne(asked, "path", p.cfg.Name, all, same)
}

// Stop lets no further client in, flushes and gives the name back. With clients connected it is refused with ErrBusy unless forced. With force it
// does not flush through paths that are not there.
func (p *MapProcess) Stop(force bool) error {
	return p.end(force, func() error {
		p.log.Info("stopping", "map", p.cfg.Name)
		if force {
			p.dev.FailQueued()
		}
		p.exports.close()
		var flushed error
		if !force || p.dev.Status().State != "failed" {
			flushed = block.Sync(context.Background(), p.dev)
		}
		return errors.Join(flushed, p.dev.Close())
	})
}

// Wait returns when the map has stopped: asked to on the control socket, or because ctx ended.
func (p *MapProcess) Wait(ctx context.Context) error { return p.await(ctx, p.Stop) }
