package uac

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	template "github.com/DataDog/datadog-agent/pkg/template/text"
	"github.com/rs/zerolog"

	"rewatch/dialogs"
	"rewatch/proxy/resolve"
)

// BranchPrefix starts the Via branch of every request of ours, so that the
// forwarding path can tell their responses from those it has to pass on.
const BranchPrefix = "z9hG4bK-rewatch-ua-"

// Sender is the SIP path as uac sees it: package proxy, joined in cmd.
type Sender interface {
	// Send writes one request of ours toward hop; errors are transport errors
	// known at once. It must not keep raw.
	Send(hop Hop, raw []byte) error
	// Via is the transport ("UDP", "TCP", "TLS") and the sent-by
	// ("10.0.0.1:5060") to put into the Via of a request toward hop.
	Via(hop Hop) (transport, sentBy string)
	// Resolve gives the next hops of a URI in order (RFC 3263); uri is a Route
	// or Request-URI, side the neighbour that it is meant for.
	Resolve(ctx context.Context, side dialogs.Side, uri string) ([]Hop, error)
}

// Hop is a next hop and the side that it is on.
type Hop struct {
	resolve.Hop

	Side dialogs.Side
	// Alone: over TCP or TLS it is sent by a connection of its own (Probe).
	Alone bool
}

// Config is what a Client needs.
type Config struct {
	Sender Sender
	// Identity is the URI in From and P-Asserted-Identity.
	Identity string
	// Core are the URIs of the next hops into the core, tried in order where no
	// route is known; Server is the URI of the presence server.
	Core   []string
	Server string
	// User and Password answer a digest challenge; without a User none is answered.
	User, Password string
	// MessageType and MessageTemplate replace the default body of the MESSAGE.
	MessageType     string
	MessageTemplate *template.Template
	// Headers are added to MESSAGE and REGISTER.
	Headers []Header
	// Version goes into User-Agent.
	Version string
	// Rand is where tags, branches and Call-IDs come from; nil means crypto/rand.
	Rand io.Reader
	Log  zerolog.Logger
}

// Client sends requests of rewatch's own. It implements [dialogs.Actor]. None of its goroutines
// outlives the call that started it.
type Client struct {
	cfg  Config
	ids  *idSource
	slog *slog.Logger
	// template replaces the default body of the MESSAGE, if there is one.
	template atomic.Pointer[template.Template]

	mu   sync.Mutex
	open map[string]*transaction // by branch
	// messages are the open MESSAGEs by their From tag.
	messages map[string]*underWay
}

var _ dialogs.Actor = (*Client)(nil)

// New returns a Client that sends through cfg.Sender.
func New(cfg Config) *Client {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // which never fails
	cfg.Identity = bareURI(cfg.Identity)
	if cfg.MessageType == "" {
		cfg.MessageType = DefaultMessageType
	}
	c := &Client{
		cfg:  cfg,
		ids:  &idSource{r: cfg.Rand, key: key},
		slog: slog.New(zerolog.NewSlogHandler(cfg.Log)),
		open: make(map[string]*transaction), messages: make(map[string]*underWay),
	}
	c.template.Store(cfg.MessageTemplate)
	return c
}

// SetTemplate sets the template of the next MESSAGE; nil is the default body.
func (c *Client) SetTemplate(t *template.Template) { c.template.Store(t) }
