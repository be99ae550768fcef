// Package config reads the environment and checks it. The struct Config is the one
// place where a variable, its default and its meaning are written down; the table of
// "rewatch env" and of the README here are printed from it.
//
// Load reports all wrong variables at once, each with its value and with what is
// accepted. What a value names is looked up by package check, not here.
package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"rewatch/dialogs/agent"
	"rewatch/dialogs/aor"
	"rewatch/dialogs/monitor"
	"rewatch/policy"
)

// Config is all that an operator can choose, grouped by the package that it is for. The tags
// describe each variable: its name (env, without the prefix), its default (envDefault, or show
// where it depends on something else) and its meaning (doc). "rewatch env" and the table in the
// README are printed from them.
//
// Load returns a Config that is checked and complete: every value can be used as it is.
type Config struct {
	Proxy   ProxyConfig   `envPrefix:"REWATCH_" doc:"The SIP path"`
	TLS     TLSConfig     `envPrefix:"REWATCH_" doc:"TLS on the core side"`
	Dialogs DialogsConfig `envPrefix:"REWATCH_" doc:"Subscriptions and failures"`
	Policy  PolicyConfig  `envPrefix:"REWATCH_" doc:"The recovery"`
	UAC     UACConfig     `envPrefix:"REWATCH_" doc:"Requests of its own"`
	State   StateConfig   `envPrefix:"REWATCH_" doc:"Memory"`
	Alarm   AlarmConfig   `envPrefix:"REWATCH_" doc:"Alarms"`
	SNMP    SNMPConfig    `envPrefix:"REWATCH_" doc:"Alarms by SNMP"`
	Admin   AdminConfig   `envPrefix:"REWATCH_" doc:"Administration"`
	HEP     HEPConfig     `envPrefix:"REWATCH_" doc:"Mirror for Homer, and capture"`
	Process ProcessConfig `envPrefix:"REWATCH_" doc:"The process"`
	Pod     PodConfig     `doc:"The pod"`
}

// ProxyConfig configures package proxy.
type ProxyConfig struct {
	Server       URI        `env:"SERVER" show:"(required)" doc:"SIP URI of the presence server, such as 'sip:127.0.0.1:5070;transport=udp'"`
	Core         []URI      `env:"CORE" doc:"next hops into the core (SIP URIs, comma-separated), used when no Route says otherwise"`
	Listen       []Listener `env:"LISTEN" envDefault:"udp://:5060,tcp://:5060" doc:"listeners on the core side: 'udp://', 'tcp://' or 'tls://' with host:port; an empty host is every address"`
	ServerListen []Listener `env:"SERVER_LISTEN" envDefault:"udp://127.0.0.1:5062,tcp://127.0.0.1:5062" doc:"listeners on the side of the server: 'udp://' or 'tcp://'"`
	Advertise    HostPort   `env:"ADVERTISE" show:"POD_IP, else the listener's own address" doc:"host[:port] in Via and Record-Route on the core side; without a port each listener's own"`
	// Advertised: Advertise was given (or the pod's address is known), so it holds
	// for every listener of the core side.
	Advertised       bool           `env:"-"`
	Trusted          []netip.Prefix `env:"TRUSTED" envDefault:"127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7" doc:"CIDRs that may talk to the core side; others get 403"`
	Reach            []netip.Prefix `env:"REACH" show:"all but loopback, link-local and the host's own, unless the core-side listener is bound there" doc:"CIDRs that requests toward the core side may go to, beside '$REWATCH_CORE'"`
	NotifyTimeout    time.Duration  `env:"NOTIFY_TIMEOUT" envDefault:"28s" doc:"deadline of a NOTIFY, below the 32s after which a server gives up by itself (Timer F)"`
	RegisterFallback bool           `env:"REGISTER_FALLBACK" envDefault:"false" doc:"answer third-party REGISTERs with 200 while the server is down, and send them on when it is back, the newest of each user; where they are refused, an S-CSCF may sign out its users"`
	MaxTransactions  int            `env:"MAX_TRANSACTIONS" envDefault:"200000" doc:"open transactions at most"`
	MaxConnections   int            `env:"MAX_CONNECTIONS" envDefault:"10000" doc:"TCP and TLS connections accepted on each side at most"`
	MaxPerPeer       int            `env:"MAX_CONNECTIONS_PER_PEER" envDefault:"5000" doc:"TCP and TLS connections from one address at most"`
	UDPGSO           bool           `env:"UDP_GSO" envDefault:"true" doc:"hand datagrams to one address that wait together to the kernel in one piece (UDP_SEGMENT, Linux); 'false' for a network card that cannot do that"`
}

// TLSConfig names the files of the tls:// listeners. They are read again when
// they change.
type TLSConfig struct {
	Cert string `env:"TLS_CERT" doc:"file with the certificate chain (PEM); needed by a 'tls://' listener"`
	Key  string `env:"TLS_KEY" doc:"file with its private key (PEM)"`
	CA   string `env:"TLS_CA" doc:"file with CA certificates (PEM); makes client certificates required"`
	// Peers are the names that a client certificate must carry; nil: any.
	Peers []string `env:"TLS_PEERS" doc:"names that a client certificate must carry, comma-separated: a domain of its sip URIs, else a DNS name (RFC 5922); empty takes any that '$REWATCH_TLS_CA' has signed"`
}

// DialogsConfig configures package dialogs: what counts as a failure, and what the server is told.
type DialogsConfig struct {
	// Events holds the event packages that are recovered; nil means all.
	Events           []string       `env:"EVENTS" envDefault:"*" doc:"event packages that are recovered, comma-separated; '*' is all of them"`
	Failure          FailureMode    `env:"FAILURE" envDefault:"any" doc:"'any': whatever is not 2xx; 'rfc': leave out what RFC 5057 calls transaction-only"`
	Answer           monitor.Answer `env:"ANSWER" envDefault:"481" doc:"what the server gets on a failure: '481', 'passthrough' (the real response) or 'silent' (nothing; its own timer ends it)"`
	Signal           agent.Signal   `env:"SIGNAL" envDefault:"message" doc:"how the watcher is told: 'message', 'notify' (a terminating NOTIFY for RFC 6665 clients) or 'message,notify'"`
	SignalAgents     []agent.Rule   `env:"SIGNAL_AGENTS" doc:"how certain clients are told, by a pattern of their User-Agent: 'Linphone*=message, baresip*=notify'; first match, else REWATCH_SIGNAL"`
	Recover          aor.Patterns   `env:"RECOVER" envDefault:"*" doc:"watchers that are recovered: patterns of their addresses such as 'sip:*@ims.example', comma-separated; the NOTIFYs of others pass untouched"`
	RecoverShare     float64        `env:"RECOVER_SHARE" envDefault:"100" doc:"percentage of these watchers, for a careful start; chosen by a hash of the address, so that they stay the same"`
	IdentityFrom     IdentityFrom   `env:"IDENTITY_FROM" show:"'pai' once one was seen from that hop, else 'from'" doc:"what names the watcher of a SUBSCRIBE: 'pai' (P-Asserted-Identity; without one it is not recovered) or 'from', which a phone writes itself"`
	MaxPerWatcher    int            `env:"MAX_PER_WATCHER" envDefault:"200" doc:"subscriptions of one watcher that are tracked at most"`
	MaxExpires       Seconds        `env:"MAX_EXPIRES" envDefault:"0" doc:"longest subscription asked of the server, in seconds; '0' is off"`
	Redeliver        time.Duration  `env:"REDELIVER" envDefault:"0s" doc:"how long a NOTIFY that could not be delivered is kept and tried again before it has failed; '0s' is off"`
	MaxRedeliver     Bytes          `env:"MAX_REDELIVER" envDefault:"64MiB" doc:"memory for these NOTIFYs at most"`
	MaxSubscriptions int            `env:"MAX_SUBSCRIPTIONS" envDefault:"1000000" doc:"subscriptions known at most"`
}

// PolicyConfig configures package policy; Rules has the form that policy.Decide takes.
type PolicyConfig struct {
	Threshold          int                `env:"THRESHOLD" envDefault:"3" doc:"MESSAGEs per user before rewatch gives up"`
	Count              policy.CountMode   `env:"COUNT" envDefault:"registration" doc:"the count starts anew with each 'registration', or also after each proven 'recovery'"`
	OnThreshold        policy.OnThreshold `env:"ON_THRESHOLD" envDefault:"deregister" doc:"what giving up means: 'deregister', 'ban' or 'unsubscribe'"`
	Patience           policy.Patience    `env:"PATIENCE" envDefault:"refresh" doc:"'refresh': a client that has never subscribed again after a MESSAGE is given up only after its own refresh was due; 'none' does not wait for that"`
	StrikeTTL          time.Duration      `env:"STRIKE_TTL" envDefault:"24h" doc:"how long a MESSAGE counts; '0s' is as long as the registration"`
	NeverSignOut       aor.Patterns       `env:"NEVER_SIGN_OUT" doc:"patterns of users who are never signed out or banned; the alarm is raised all the same"`
	Ban                time.Duration      `env:"BAN" envDefault:"1h" doc:"length of a ban"`
	ResubscribeTimeout time.Duration      `env:"RESUBSCRIBE_TIMEOUT" envDefault:"30s" doc:"wait for the SUBSCRIBE after a MESSAGE; doubles per attempt"`
	Coalesce           time.Duration      `env:"COALESCE" envDefault:"500ms" doc:"failures of one watcher within this time share a MESSAGE"`
	OutageRatio        float64            `env:"OUTAGE_RATIO" envDefault:"0.5" doc:"share of failing users above which a next hop is held though some get through; at least 10 of them; 1: nothing is held, every failure counts"`
	OutageWindow       time.Duration      `env:"OUTAGE_WINDOW" envDefault:"10s" doc:"time over which that share is measured, from 1s to 5m"`
	DryRun             bool               `env:"DRY_RUN" envDefault:"false" doc:"observe only: log and count what would have been sent"`
}

// UACConfig configures package proxy/uac, the requests that rewatch sends itself.
type UACConfig struct {
	Identity        URI            `env:"IDENTITY" show:"sip:rewatch@(advertised host)" doc:"From and P-Asserted-Identity of these requests"`
	MessageType     string         `env:"MESSAGE_TYPE" envDefault:"text/plain;charset=utf-8" doc:"content type of the MESSAGE"`
	MessageTemplate string         `env:"MESSAGE_TEMPLATE" show:"the text shown under MESSAGE" doc:"body of the MESSAGE, a Go text/template, or '@file' to read it from"`
	MessageRate     float64        `env:"MESSAGE_RATE" envDefault:"200" doc:"MESSAGEs per second at most, all watchers together"`
	Deregister      DeregisterMode `env:"DEREGISTER" envDefault:"contact" doc:"what a de-REGISTER removes: the watcher's own 'contact' where it is known, or 'all'"`
	DeregisterRate  float64        `env:"DEREGISTER_RATE" envDefault:"5" doc:"de-REGISTERs per second at most"`
	DeregisterCap   int            `env:"DEREGISTER_CAP" envDefault:"1000" doc:"de-REGISTERs in any hour at most; others wait, and an alarm is raised; '0' is no cap"`
	Hook            string         `env:"DEREGISTER_HOOK" doc:"'METHOD URL' with {aor} {user} {domain} {contact} {scscf} (percent-encoded): how users are signed out instead of by REGISTER; without {contact} it ends all devices, and who has another one is signed out only with REWATCH_DEREGISTER=all"`
	HookBody        string         `env:"DEREGISTER_HOOK_BODY" doc:"JSON body with the same placeholders inside strings, or '@file' to read it from"`
	HookToken       Secret         `env:"DEREGISTER_HOOK_TOKEN" doc:"bearer token of the hook"`
	HookFile        string         `env:"DEREGISTER_HOOK_TOKEN_FILE" doc:"file to read the token from instead"`
	Headers         string         `env:"HEADERS" doc:"header fields added to own MESSAGE and REGISTER, 'Name: value' lines, or '@file' to read them from"`
	Domains         []string       `env:"DOMAINS" doc:"domains served, comma-separated: their users are de-registered even if their registration was not seen"`
	AuthUser        string         `env:"AUTH_USER" doc:"digest user name, if the core challenges; a MESSAGE carries it only if the next hop itself asks, not a phone"`
	AuthPassword    Secret         `env:"AUTH_PASSWORD" doc:"digest password"`
	AuthFile        string         `env:"AUTH_PASSWORD_FILE" doc:"file to read the digest password from instead"`
}

// StateConfig says where counts, bans and registrations are remembered.
type StateConfig struct {
	Store    string        `env:"STATE" envDefault:"memory:" doc:"where counts, bans, registrations and subscriptions are kept: 'memory:', 'file:PATH', or a Redis URL such as 'redis://host' (see State and replicas)"`
	Instance string        `env:"INSTANCE" show:"host name" doc:"name of this replica, under which it keeps its own data in a shared Redis; it has to be the same after a restart"`
	Sync     time.Duration `env:"STATE_SYNC" envDefault:"100ms" doc:"how long a change may wait until it is written to the disk; '0s' waits for the disk at every change"`
}

// AlarmConfig names the sinks beyond the log, which always gets every alarm.
type AlarmConfig struct {
	Alertmanager []string `env:"ALARM_ALERTMANAGER" doc:"base URLs of Alertmanagers (API v2), comma-separated"`
	Webhook      []string `env:"ALARM_WEBHOOK" doc:"URLs that get each alarm as a JSON POST, comma-separated"`
}

// AdminConfig configures the admin server. An empty Listen means that there is none.
type AdminConfig struct {
	Listen string     `env:"ADMIN_LISTEN" envDefault:":9090" doc:"host:port of metrics, probes, API and console; 'off' for none"`
	Hosts  []HostName `env:"ADMIN_HOSTS" doc:"names by which the admin port may be addressed, comma-separated, beside its addresses and localhost"`
	Token  Secret     `env:"ADMIN_TOKEN" doc:"bearer token for changes; without one the API only reads"`
	File   string     `env:"ADMIN_TOKEN_FILE" doc:"file to read the token from instead"`
	Web    string     `env:"ADMIN_WEB_CONFIG" doc:"file in the format of Prometheus's exporter-toolkit: TLS, client certificates and basic authentication of the admin port; read again when it changes; '/healthz' and '/readyz' stay open"`
}

// ProcessConfig is about the process as a whole.
type ProcessConfig struct {
	Drain     time.Duration `env:"DRAIN" envDefault:"10s" doc:"on SIGTERM, finish what is in flight for at most this long"`
	LogLevel  zerolog.Level `env:"LOG_LEVEL" envDefault:"info" doc:"'trace', 'debug', 'info', 'warn' or 'error'"`
	Audit     string        `env:"AUDIT" doc:"file that gets one JSON line for each sign-out, ban, reset, hold and change of mode, users in clear text (also in the log)"`
	LogUsers  LogUsers      `env:"LOG_USERS" envDefault:"clear" doc:"'clear', or 'pseudonym': addresses in logs and alarms are keyed hashes"`
	UsersKey  Secret        `env:"LOG_USERS_KEY" doc:"key of these hashes, 16 characters or more"`
	KeyFile   string        `env:"LOG_USERS_KEY_FILE" doc:"file to read the key from instead"`
	LogFormat LogFormat     `env:"LOG_FORMAT" envDefault:"json" doc:"'json' or 'console'"`
}

// Recovers says which watchers are recovered; nil: all.
func (c DialogsConfig) Recovers() func(watcher string) bool {
	if c.RecoverShare == 100 && c.Recover.Match("") { // what matches nothing at all matches everything
		return nil
	}
	return func(watcher string) bool { return c.Recover.Match(watcher) && aor.Within(c.RecoverShare, watcher) }
}

// PodConfig is what Kubernetes tells through the downward API.
type PodConfig struct {
	IP netip.Addr `env:"POD_IP" doc:"address of the pod (downward API), the default of REWATCH_ADVERTISE"`
}

// Notifies says whether any client is told by a terminating NOTIFY.
func (c DialogsConfig) Notifies() bool {
	return c.Signal.Notify || slices.ContainsFunc(c.SignalAgents, func(r agent.Rule) bool { return r.Signal.Notify })
}

// Rules are the choices of the operator, and the times that follow from the timers of SIP.
func (c PolicyConfig) Rules() policy.Rules {
	return policy.Rules{
		Threshold:          c.Threshold,
		Count:              c.Count,
		OnThreshold:        c.OnThreshold,
		Ban:                c.Ban,
		ResubscribeTimeout: c.ResubscribeTimeout,
		Coalesce:           c.Coalesce,
		ProofTimeout:       policy.TimerF,
		MessageTimeout:     policy.TimerF + 8*time.Second,
		DeregisterRetry:    5 * time.Second,
		DeregisterTries:    5,
		Patience:           c.Patience,
		StrikeTTL:          c.StrikeTTL,
		Forget:             24 * time.Hour,
	}
}
