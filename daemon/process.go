package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"graid/block"
	"graid/block/fault"
	"graid/raid"
	"graid/raid/md"
)

// Config is what to run. Folder, Name and Members are needed; the rest works as it is.
type Config struct {
	Folder    Folder
	Name      string
	Members   []string
	Open      OpenOptions
	Run       bool           // start even if fewer members are here than were last time
	Force     bool           // accept stale members, and a dirty degraded parity array
	UUID      *md.UUID       // only this array
	Addresses []Address      // none, and no Listeners and no Conn = the folder's socket of this name
	Listeners []net.Listener // to serve at too, opened by who started this process
	Conn      net.Conn       // the only client; the array stops when it has gone
	TLS       TLS
	Export    string                                   // "" = Name
	Deadline  time.Duration                            // how long a member may take to read before the others answer; 0 = any time
	Inject    []fault.Rule                             // what is to go wrong with members from the beginning
	Log       *slog.Logger                             // events; nil = nowhere
	OnEvent   string                                   // absolute path of a program that is run for every event; "" = none
	Vet       func(context.Context, raid.Member) error // refuses a device that should not become a member; nil = none is refused
	Command   func(members []string) []string          // for State: how to have it run again with these members; nil = it does not say
	State     string                                   // folder for what outlives processes, such as where a check stopped; "" = nothing does
	LogFile   bool                                     // to NAME.log instead, as a background process does
}

// ErrBusy says that clients are connected.
var ErrBusy = errors.New("in use")

// Process is a running array. It ends by Stop, or when the context given to Wait does:
//
//	Start ──▶ serving ── Stop ──▶ stopping: no new clients, array closed, name given back ──▶ done
type Process struct {
	front
	cfg     Config
	array   *raid.Array
	faults  *faults
	ring    *ring
	monitor *monitor
	hook    *hook // nil = none
	scrubs  scrubs
	broken  atomic.Pointer[string] // why the array failed, once it has

	changing chan struct{} // holds one token: members change, or a scrub is asked for, one at a time
	changed  chan struct{} // something happened that State may have to tell
	working  chan struct{} // background work has begun
	checked  chan struct{} // a check has ended, somewhere

	placing sync.Mutex // guards the file that says where a check stopped

	mu          sync.Mutex         // guards what follows
	notices     []string           // about how members are opened
	least, most int64              // bytes per second of background work; 0 = the default
	remotes     map[string]*remote // members behind a network, by path
}

// Start claims the name, opens the members, assembles the array and serves it. Addresses are bound before a member is
// touched. After an error nothing is left behind.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if cfg.Export == "" {
		cfg.Export = cfg.Name
	}
	if len(cfg.Addresses) == 0 && len(cfg.Listeners) == 0 && cfg.Conn == nil {
		cfg.Addresses = []Address{{"unix", cfg.Folder.Socket(cfg.Name)}}
	}
	p := &Process{
		front: newFront(cfg.Log), cfg: cfg, faults: newFaults(), ring: newRing(),
		changing: make(chan struct{}, 1), changed: make(chan struct{}, 1), working: make(chan struct{}, 1), checked: make(chan struct{}, 1),
	}
	p.monitor = newMonitor(cfg.Name, func(e Event) {
		p.ring.add(e)
		p.hook.add(e)
	})
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Process) start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			p.giveUp()
		}
	}()
	if err := p.open(opening{
		folder: p.cfg.Folder, name: p.cfg.Name, export: p.cfg.Export, tls: p.cfg.TLS, addresses: p.cfg.Addresses,
		listeners: p.cfg.Listeners, single: p.cfg.Conn, logFile: p.cfg.LogFile,
	}); err != nil {
		return err
	}

	members, err := OpenMembers(p.cfg.Members, p.cfg.Open)
	if err != nil {
		return err
	}
	byRole, err := p.faults.wrap(members, p.cfg.Inject)
	if err != nil {
		CloseMembers(members)
		return err
	}
	for _, m := range members {
		p.meet(m.Path, m.Dev)
	}
	context.AfterFunc(ctx, p.faults.set.Release) // or what is stuck would keep it from ending
	wide(members)
	p.notice(notices(members))
	if p.cfg.OnEvent != "" {
		p.hook = newHook(p.cfg.OnEvent, func(text string) { p.notice([]string{text}) })
	}
	p.array, err = raid.Assemble(ctx, members, raid.Options{
		ReadOnly: p.cfg.Open.ReadOnly, Run: p.cfg.Run, Force: p.cfg.Force, UUID: p.cfg.UUID,
		ReadDeadline: p.cfg.Deadline, OnEvent: p.event,
	})
	if err != nil {
		p.hook.close()
		return err
	}
	p.monitor.meet(p.array.Status)
	p.undo = append(p.undo, p.hook.close, func() { p.faults.set.Release(); p.array.Close() })
	if err := p.faults.assembled(p.array.Status().Members, byRole); err != nil {
		return err
	}
	p.logFaults(p.faults.set.List())

	if err := p.claim.publish(p.state()); err != nil {
		return fmt.Errorf("runtime folder: %w", plainPath(err))
	}
	p.recallCheck()
	go p.keepState()
	go p.keepLooking()
	p.exports.serve(patient{p.array, p.faults}, func() { p.Stop(true) })
	p.serveControl(p.routes())
	return nil
}

// wide gives Go enough threads for members that block: with as many as there are cores, each waiting member would hold one up until the runtime
// notices. Measured on two cores with direct I/O on a disk, 4 KiB, as ratios to 2 threads in the same run: 8 read 1.6 (one member) and 2.1 (raid5)
// of what 2 did and wrote 3.0, at 0.8 to 0.9 of the CPU for each; 16, 32 and 64 threads were between 0.6 and 1.5 of 8 without a pattern.
func wide(members []raid.Member) {
	for _, m := range members {
		if !m.Dev.Info().Inline {
			widen()
			return
		}
	}
}

func widen() { runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 8)) }

// notice tells, now and in every status, what there is to say about how members were opened.
func (p *Process) notice(list []string) {
	for _, n := range list {
		p.log.Warn("notice", "array", p.cfg.Name, "detail", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notices = append(p.notices, list...)
}

// publish writes down what runs, for who finds this process dead.
func (p *Process) publish() {
	if err := p.claim.publish(p.state()); err != nil {
		p.log.Warn("runtime folder", "array", p.cfg.Name, "err", plainPath(err))
	}
}

// keepState publishes when a spare may have taken over.
func (p *Process) keepState() {
	for {
		select {
		case <-p.changed:
			p.publish()
		case <-p.checked:
			p.keepCheck(p.array.Status().CheckedTo)
		case <-p.done:
			return
		}
	}
}

// progressLook is how often it is looked how far background work is, for the events that say so.
const progressLook = 200 * time.Millisecond

// keepLooking tells how far background work is while there is some.
func (p *Process) keepLooking() {
	for {
		select {
		case <-p.working:
		case <-p.done:
			return
		}
		for kept, s := time.Now(), p.array.Status().Sync; p.monitor.look(time.Now(), s); s = p.array.Status().Sync {
			if s.Action == "check" && time.Since(kept) >= checkEvery {
				p.keepCheck(s.Done)
				kept = time.Now()
			}
			select {
			case <-time.After(progressLook):
			case <-p.done:
				return
			}
		}
	}
}

func (p *Process) event(e raid.Event) {
	p.monitor.take(e)
	p.scrubs.take(e)
	level := slog.LevelInfo
	switch e.Kind {
	case raid.EventFail, raid.EventDegraded, raid.EventUncorrectable, raid.EventSlow:
		level = slog.LevelWarn
	case raid.EventBroken:
		level = slog.LevelError
		p.broken.Store(&e.Detail)
	}
	if e.Kind == raid.EventFail || e.Kind == raid.EventRebuildStart {
		poke(p.changed)
	}
	if e.Kind == raid.EventRebuildStart {
		poke(p.working)
	}
	if e.Kind == raid.EventRebuildEnd && strings.HasPrefix(e.Detail, "check ") {
		poke(p.checked)
	}
	args := []any{"array", p.cfg.Name}
	if e.Member != "" {
		args = append(args, "member", e.Member)
	}
	if e.Detail != "" {
		args = append(args, "detail", e.Detail)
	}
	p.log.Log(context.Background(), level, e.Kind, args...)
}

// poke wakes who waits for c; somebody who is about to look anyway needs no more.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Array is what the array says about itself now.
func (p *Process) Array() Array {
	status := p.array.Status()
	a := describe(status)
	a.Name = p.cfg.Name
	a.PID = os.Getpid()
	p.mu.Lock()
	a.Findings = append(a.Findings, p.notices...)
	a.Sync.Least, a.Sync.Most = p.least, p.most
	p.mu.Unlock()
	if a.Sync.Least == 0 {
		a.Sync.Least = defaultLeast
	}
	if a.LastScrub = p.scrubs.now(); a.LastScrub != nil {
		a.LastScrub.fill(status)
	}
	p.faults.mark(&a)
	p.reach(&a)
	a.Started = when(p.started)
	a.over(p.cfg.Open.Overlay)
	if why := p.broken.Load(); why != nil {
		a.Findings = append(a.Findings, "failed: "+*why)
	}
	a.Exports = p.exports.describe(a.ReadOnly)
	o := p.array.Outlook()
	a.Sync.forecast(passes(a, o), o.Busy, o.Held)
	a.Health = judge(a, o)
	return a
}

// defaultLeast is what background work always gets unless Limit says otherwise, bytes per second.
const defaultLeast = 1 << 20

// Device is the array, for who serves or reads it in the same process.
func (p *Process) Device() block.Device { return p.array }

func (p *Process) state() State {
	a := p.Array()
	s := State{Name: a.Name, PID: a.PID, UUID: a.UUID, Control: p.cfg.Folder.file(a.Name, "sock"), Members: enrolled(a), Started: p.started}
	if p.cfg.Command != nil {
		s.Command = p.cfg.Command(s.Members)
	}
	for _, e := range a.Exports {
		s.URIs = append(s.URIs, e.URI)
	}
	return s
}

// Stop lets no further client in, flushes, marks the array clean and gives its name back. With clients connected it is
// refused with ErrBusy unless forced.
func (p *Process) Stop(force bool) error {
	return p.end(force, func() error {
		p.log.Info("stopping", "array", p.cfg.Name)
		p.faults.set.Release()
		p.exports.close()
		err := closing(p.array.Close())
		p.keepCheck(p.array.Status().CheckedTo)
		p.hook.close()
		return err
	})
}

// closing says what to do about an array that could not be closed as it should.
func closing(err error) error {
	if errors.Is(err, block.ErrNoSpace) {
		return fmt.Errorf("stopped, but it had failed, as the file system that its members lie on is full: free some space there and assemble it again; "+
			"writes that clients were not told are done may be lost (%w)", err)
	}
	return err
}

// Wait returns when the array has stopped: asked to on the control socket, or because ctx ended.
func (p *Process) Wait(ctx context.Context) error { return p.await(ctx, p.Stop) }
