// Package sidecar builds everything that runs, starts it, and stops it in order. The
// interfaces that proxy, dialogs, policy and admin declare for each other are joined
// here and nowhere else.
package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"rewatch/cmd/rewatch/admin"
	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/dialogs"
	"rewatch/dialogs/audit"
	"rewatch/dialogs/fallback"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/recovery/queue"
	"rewatch/dialogs/redelivery"
	"rewatch/dialogs/redelivery/takeover"
	"rewatch/dialogs/store"
	"rewatch/policy/alarm"
	"rewatch/proxy"
	"rewatch/proxy/capture"
	"rewatch/proxy/hep"
	"rewatch/proxy/metrics"
	"rewatch/proxy/observe"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/uac"
)

// process is everything that runs, in the order in which it is started.
type process struct {
	cfg      config.Config
	log      zerolog.Logger
	alarms   *alarm.Manager
	audit    *audit.Log
	faults   *routingFaults
	resolver *resolve.Resolver
	table    *monitor.Table
	monitor  *monitor.Monitor
	engine   *recovery.Engine
	postman  *redelivery.Postman // nil: nothing is kept
	takeover *takeover.Takeover  // nil: no other replica
	client   *uac.Client
	template string // the source of its template
	// registers keeps third-party REGISTERs while the server is down; nil without
	// REWATCH_REGISTER_FALLBACK.
	registers *fallback.Queue
	proxy     *proxy.Server
	namers    *observe.Namers
	admin     *admin.Admin
	mirror    *hep.Sender       // nil without a collector
	recorder  *capture.Recorder // nil: no messages are kept
	memory    memory
	keeper    *store.Keeper // nil if nothing outlives the process
	settling  *time.Timer
	watching  sync.WaitGroup // for what ends with the life of run
	draining  atomic.Bool
	dryRun    *dialogs.DryRun
	// forgotten counts, for all packages, what small tables had no room for.
	forgotten *prometheus.CounterVec
	registry  *prometheus.Registry // what /metrics shows
	// certificates are the certificates that this process shows to others.
	certificates certificates
}

// Run builds everything, runs it until ctx ends, and stops it in order. It reads its files again when
// again says so. It logs to out. What can fail at a start, such as opening a port, is done before the
// first message is taken.
func Run(ctx context.Context, cfg config.Config, again Reload, out io.Writer) error {
	p := &process{cfg: cfg, template: cfg.UAC.MessageTemplate, log: newLogger(cfg.Process, out), dryRun: dialogs.NewDryRun(cfg.Policy.DryRun)}
	limit := p.limitMemory()
	var err error
	if p.memory, err = openMemory(cfg); err != nil {
		return err
	}
	if err = p.build(ctx); err == nil {
		err = p.run(ctx, again, limit)
	}
	return errors.Join(err, p.memory.close())
}

func newLogger(cfg config.ProcessConfig, out io.Writer) zerolog.Logger {
	shown := cfg.Pseudonyms().Writer(out)
	if cfg.LogFormat == config.LogConsole {
		shown = zerolog.ConsoleWriter{Out: shown, TimeFormat: time.StampMilli, NoColor: !cli.Colourful(out, false)}
	}
	// Every part has a copy of the logger, so its level cannot be changed while it runs. The
	// global level can.
	zerolog.SetGlobalLevel(cfg.LogLevel)
	return zerolog.New(shown).With().Timestamp().Logger()
}

// build makes the parts and joins them. The interfaces that they declare for each
// other meet here and nowhere else.
func (p *process) build(ctx context.Context) error {
	reg := prometheus.NewRegistry()
	p.registry = reg
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	dropped := metrics.NewDropped(reg)
	var err error
	if p.audit, err = audit.Open(p.cfg.Process.Audit, p.log); err != nil {
		return fmt.Errorf("REWATCH_AUDIT: %w", err)
	}
	p.alarms = alarm.New(alarm.Config{
		Sinks: p.sinks(), Registerer: reg, Dropped: dropped.WithLabelValues("alarm-queue"), Log: p.log,
		Memory: p.alarmMemory(), Shown: p.shownAlarm,
	})
	p.forgotten = metrics.NewForgotten(reg)
	p.certificates = certificates{chains: chains(p.cfg.TLS.Cert, p.cfg.Admin), alarms: p.alarms}
	reg.MustRegister(p.certificates)
	p.namers = observe.NewNamers(namings[p.cfg.Dialogs.IdentityFrom], p.believed)
	p.namers.Learnt = p.neighbourAsserts
	p.faults = newRoutingFaults(p.alarms, p.forgotten.WithLabelValues("routing-fault"))
	p.resolver = resolve.New(resolve.Config{Evicted: p.forgotten.WithLabelValues("dns").Inc})
	sender := &sender{side: p}
	p.client = uac.New(p.uacConfig(sender))
	actor, err := p.actor()
	if err != nil {
		return err
	}
	p.postman = p.newPostman(reg)
	p.recorder = p.cfg.HEP.Recorder()
	table := monitor.NewTable(p.monitorConfig(), reg)
	p.table = table
	p.engine = recovery.New(p.engineConfig(), p.memory.directory(table), actor, p.alarms, p.memory.store, p.log, reg)
	p.keepRegisters(reg)
	p.monitor = monitor.New(table, p.engine, p.log, reg)
	p.modeMetrics(reg)
	p.keepMemory(table, reg)
	if p.cfg.Admin.Listen != "" {
		p.admin = admin.New(p.cfg.Admin, backend{p}, reg, p.log)
		if err := p.protectAdmin(); err != nil {
			return err
		}
		if err := p.admin.Listen(ctx); err != nil {
			return err
		}
	}
	p.mirror = p.cfg.HEP.Sender(dropped, p.log)
	listeners, err := openListeners(ctx, p.cfg, p.log)
	if err != nil {
		return errors.Join(err, p.closeAdmin())
	}
	p.proxy, err = proxy.New(p.proxyConfig(listeners, reg, dropped))
	return err
}

func (p *process) closeAdmin() error {
	if p.admin == nil {
		return nil
	}
	return p.admin.Close()
}

func buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rewatch_build_info", Help: "Always 1; the label is the version.",
		ConstLabels: prometheus.Labels{"version": cli.ShortVersion()},
	}, func() float64 { return 1 })
}

// apart is how long replicas remember that a user has registered anew while they cannot hear of each
// other.
const apart = time.Hour

func (p *process) serverChanged(up bool, detail string) {
	object := p.cfg.Proxy.Server.Raw
	if up {
		if p.registers != nil {
			p.registers.Wake()
		}
		p.alarms.Clear(alarm.ServerDown, object, time.Now())
		return
	}
	p.alarms.Raise(alarm.Alarm{Name: alarm.ServerDown, Object: object, Text: "The presence server cannot be reached: " + detail})
}

// run starts the parts, waits for the end, and stops them in the reverse order:
// readiness falls, neighbours notice, open NOTIFYs end, our own requests end, and
// only then do the sockets close.
func (p *process) run(ctx context.Context, again Reload, limit int64) error {
	slog.SetDefault(slog.New(zerolog.NewSlogHandler(p.log.With().Str("from", "sipgo").Logger())))
	life := context.WithoutCancel(ctx)
	p.alarms.Start(life)
	if err := p.recall(life); err != nil {
		return fmt.Errorf("REWATCH_STATE: %w", err)
	}
	p.tellLostState(ctx)
	defer p.watching.Wait()
	watch, end := context.WithCancel(ctx)
	defer end()
	p.watching.Go(func() { p.certificates.watch(watch) })
	p.shareMemory(watch, limit)
	p.watching.Go(func() { p.reloads(watch, again) })
	p.monitor.Start(life)
	if p.mirror != nil {
		p.mirror.Start(life)
	}
	p.proxy.Start()
	if p.postman != nil {
		delivering, stop := context.WithCancel(life)
		defer stop()
		p.watching.Go(func() { p.postman.Run(delivering) })
	}
	if p.takeover != nil {
		p.watching.Go(func() { p.takeover.Run(watch) })
	}
	if p.registers != nil {
		p.registers.Start(life)
	}
	served := make(chan error, 1)
	if p.admin != nil {
		go func() { served <- p.admin.Serve() }()
	}
	p.announce()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	p.stop(life)
	return err
}

func (p *process) announce() {
	e := p.log.Info().Str("version", cli.ShortVersion()).Str("server", p.cfg.Proxy.Server.Raw).Strs("core", raws(p.cfg.Proxy.Core)).
		Str("advertise", p.cfg.Proxy.Advertise.String())
	if p.admin != nil {
		e = e.Stringer("admin", p.admin.Addr())
	}
	e.Msg("rewatch runs")
}

func (p *process) stop(ctx context.Context) {
	p.draining.Store(true)
	p.log.Info().Stringer("at_most", p.cfg.Process.Drain).Msg("draining")
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Process.Drain)
	defer cancel()
	queue.Sleep(ctx, min(time.Second, p.cfg.Process.Drain/4)) // neighbours see /readyz fall
	if p.postman != nil {
		if left := p.postman.Last(ctx); left > 0 {
			p.log.Warn().Int("notifies", left).Msg("stopping with NOTIFYs that could not be delivered: they have failed")
		}
	}
	if left := p.proxy.Drain(ctx); left > 0 {
		p.log.Warn().Int("transactions", left).Msg("stopping before all transactions have ended")
	}
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	errs := errors.Join(p.engine.Shutdown(last), p.monitor.Shutdown(last))
	if p.registers != nil {
		errs = errors.Join(errs, p.registers.Shutdown(last))
	}
	p.proxy.Shutdown()
	if p.mirror != nil {
		errs = errors.Join(errs, p.mirror.Shutdown(last))
	}
	errs = errors.Join(errs, p.resolver.Shutdown(last), p.alarms.Shutdown(last))
	if p.keeper != nil { // it notes who was told of which alarm
		p.settling.Stop()
		errs = errors.Join(errs, p.keeper.Shutdown(last))
	}
	p.faults.stop()
	if p.admin != nil {
		errs = errors.Join(errs, p.admin.Shutdown(last))
	}
	if errs != nil {
		p.log.Warn().Err(errs).Msg("not everything stopped in time")
	}
	p.log.Info().Msg("stopped")
}

// closeAll closes sockets when a later one could not be opened.
func closeAll(ls []socket.Listener) {
	for _, l := range ls {
		if l.Packet != nil {
			_ = l.Packet.Close()
		}
		if l.Stream != nil {
			_ = l.Stream.Close()
		}
	}
}
