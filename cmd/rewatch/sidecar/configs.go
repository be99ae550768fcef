package sidecar

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rewatch/cmd/rewatch/budget"
	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/limits"
	"rewatch/dialogs"
	"rewatch/dialogs/monitor"
	"rewatch/dialogs/recovery"
	"rewatch/dialogs/recovery/hook"
	"rewatch/policy/alarm"
	"rewatch/proxy"
	"rewatch/proxy/own"
	"rewatch/proxy/resolve"
	"rewatch/proxy/socket"
	"rewatch/proxy/uac"
	"rewatch/proxy/wire"
)

func (p *process) sinks() []alarm.Sink {
	cfg := p.cfg
	return slices.Concat(
		alarm.NewWebhooks(cfg.Alarm.Webhook, nil),
		alarm.NewAlertmanagers(cfg.Alarm.Alertmanager, nil),
		cfg.SNMP.Sinks(time.Now()),
	)
}

func (p *process) uacConfig(s uac.Sender) uac.Config {
	c := p.cfg.UAC
	cfg := uac.Config{
		Sender: s, Identity: c.Identity.Raw, Core: raws(p.cfg.Proxy.Core), Server: p.cfg.Proxy.Server.Raw,
		User: c.AuthUser, Password: c.AuthPassword.Reveal(), MessageType: c.MessageType,
		Version: cli.ShortVersion(), Log: p.log,
	}
	cfg.MessageTemplate = c.Template()
	cfg.Headers = c.OwnHeaders()
	return cfg
}

// shownAlarm is an alarm as it is sent, with pseudonyms in place of users if they are on.
func (p *process) shownAlarm(a alarm.Alarm) alarm.Alarm {
	names := p.cfg.Process.Pseudonyms()
	a.Object, a.Text = names.In(a.Object), names.In(a.Text)
	return a
}

// actor makes the Actor that carries out decisions: by SIP, but sign-outs by REWATCH_DEREGISTER_HOOK if it
// is set.
func (p *process) actor() (dialogs.Actor, error) {
	c := p.cfg.UAC
	if c.Hook == "" {
		return p.client, nil
	}
	a, err := hook.New(hook.Config{Request: c.Hook, Body: c.HookBody, Token: c.HookToken.Reveal()}, p.client)
	if err != nil {
		return nil, fmt.Errorf("REWATCH_DEREGISTER_HOOK: %w", err)
	}
	return a, nil
}

func (p *process) engineConfig() recovery.Config {
	c := p.cfg
	rules := c.Policy.Rules()
	if c.State.Shared() {
		rules.Apart = apart
	}
	return recovery.Config{
		Rules:  rules,
		Signal: c.Dialogs.Signal, Agents: c.Dialogs.SignalAgents,
		MessageRate: c.UAC.MessageRate, DeregisterRate: c.UAC.DeregisterRate,
		Domains: c.UAC.Domains, DeregisterAll: c.UAC.Deregister == config.DeregisterAll,
		ByHook: c.UAC.Hook != "", HookTakesAll: c.UAC.Hook != "" && !hook.Names(c.UAC.Hook, c.UAC.HookBody),
		DryRun: p.dryRun, MaxUsers: c.Dialogs.MaxSubscriptions, MaxBytes: budget.Recoveries(c),
		DeregisterCap: c.UAC.DeregisterCap, Hold: p.holdConfig(), Forgotten: p.forgotten,
		Audit: p.audit, NeverSignOut: c.Policy.NeverSignOut.Match,
	}
}

func (p *process) monitorConfig() monitor.Config {
	c := p.cfg
	cfg := monitor.Config{
		Content: wire.Content,
		Events:  c.Dialogs.Events, FailureRFC: c.Dialogs.Failure == config.FailureRFC, Answer: c.Dialogs.Answer,
		SignalNotify: c.Dialogs.Notifies(), MaxSubscriptions: c.Dialogs.MaxSubscriptions, MaxPerWatcher: c.Dialogs.MaxPerWatcher,
		NotifyTimeout: c.Proxy.NotifyTimeout, DryRun: p.dryRun, MaxExpires: int(c.Dialogs.MaxExpires),
		Recover:      c.Dialogs.Recovers(),
		RoutingFault: p.faults.saw, Forgotten: p.forgotten,
	}
	if p.postman != nil { // an interface that holds a nil pointer is not nil
		cfg.Post = p.postman
		cfg.Overdue = func(transaction uint64) { p.proxy.Overdue(transaction) }
	}
	p.takeover = p.newTakeover(&cfg)
	return cfg
}

func (p *process) proxyConfig(ls []socket.Listener, reg prometheus.Registerer, dropped *prometheus.CounterVec) proxy.Config {
	c := p.cfg.Proxy
	cfg := proxy.Config{
		Listeners: ls, Server: c.Server.Raw, Core: raws(c.Core), Trusted: c.Trusted,
		Reach: reachOf(c.Reach, ls), HostNamed: p.hostNamed,
		Namers:     p.namers,
		MaxExpires: int(p.cfg.Dialogs.MaxExpires), DryRun: p.dryRun, NotifyTimeout: c.NotifyTimeout, MaxTransactions: c.MaxTransactions,
		MaxStreams: limits.Connections(c.MaxConnections, p.log), MaxPerPeer: c.MaxPerPeer, SingleDatagrams: !c.UDPGSO,
		Poller:    limits.OneMoreProcessor(),
		Retry:     p.cfg.Dialogs.Answer != monitor.AnswerPassthrough,
		KeepHeads: p.cfg.Dialogs.Notifies(), Monitor: p.monitor, Resolver: p.resolver,
		Own: own.Config{
			Branch: uac.BranchPrefix, Identity: p.cfg.UAC.Identity.Raw,
			Response: p.client.Receive, Returned: p.returned, Unreachable: p.client.Unreachable, Interrupted: p.client.Interrupted,
		},
		Probe: p.probe, ServerChanged: p.serverChanged, ClientTLS: clientTLS(p.cfg.TLS, p.log),
		Log: p.log, Reg: reg, Dropped: dropped, Forgotten: p.forgotten,
	}
	if p.postman != nil {
		cfg.Delivered = p.postman.Outcome
	}
	cfg.Tap = p.tap()
	if p.registers != nil {
		cfg.Registers = p.registers
	}
	return cfg
}

// returned says whether a MESSAGE from the core is one of our own, and raises the
// alarm if it is.
func (p *process) returned(tag, branch []byte, neighbour netip.AddrPort) bool {
	user, ours := p.client.Returned(tag, branch)
	if ours && user != "" {
		p.faults.cameBack(neighbour, user)
	}
	return ours
}

// probe asks the presence server by one way whether it is there.
func (p *process) probe(ctx context.Context, way resolve.Hop) error {
	return p.client.Probe(ctx, uac.Hop{Side: dialogs.Server, Hop: way}, p.cfg.Proxy.Server.Raw).Err
}

func raws(uris []config.URI) []string {
	list := make([]string, 0, len(uris))
	for _, u := range uris {
		list = append(list, u.Raw)
	}
	return list
}
