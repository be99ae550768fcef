package uac

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
)

const (
	// DefaultMessageType is the content type of the default body.
	DefaultMessageType = "text/plain;charset=utf-8"
	// maxMessage is what a MESSAGE has to stay below on the wire (RFC 3428 section 8).
	maxMessage = 1300
	// authRoom is kept free for the answer to a challenge that may come.
	authRoom = 350
	// messageExpires prevents a store-and-forward server from delivering the MESSAGE hours
	// later.
	messageExpires = 60 * time.Second
)

var errAddress = errors.New("address of record cannot be used")

// Message tells a watcher which of its subscriptions were lost (RFC 3428).
func (c *Client) Message(ctx context.Context, m dialogs.MessageJob) dialogs.Result {
	if !sound(m.AOR) {
		return dialogs.Result{Err: errAddress}
	}
	targets, err := c.toward(ctx, m.Route, m.Else)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	d, err := c.message(m, targets)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	c.leaves(d.tag, m.AOR)
	res := result(c.exchange(ctx, d, targets))
	if c.ends(d.tag) && res.Status/100 != 2 { // with a 2xx a client has it, even if it came back
		res.Err = dialogs.ErrReturned
	}
	return res
}

// message drafts the MESSAGE. There is no Contact and no Record-Route, since it
// creates no dialog (RFC 3428 section 4).
func (c *Client) message(m dialogs.MessageJob, targets []target) (*draft, error) {
	d := c.start(sip.MESSAGE, m.AOR, m.AOR)
	d.add("P-Asserted-Identity", "<"+c.cfg.Identity+">")
	d.add("P-Charging-Vector", c.chargingVector(targets))
	d.add("Date", time.Now().UTC().Format(http.TimeFormat))
	d.add("Expires", strconv.Itoa(int(messageExpires.Seconds())))
	c.addOwn(d)
	d.add("Content-Type", c.cfg.MessageType)
	room, err := c.room(d, targets)
	if err != nil {
		return nil, err
	}
	if c.cfg.User != "" {
		room -= authRoom
	}
	d.body, err = c.body(m, room)
	return d, err
}

// chargingVector identifies the request, and the network that it comes from, for the charging of
// the core (RFC 7315 4.6).
func (c *Client) chargingVector(targets []target) string {
	_, sentBy := c.cfg.Sender.Via(targets[0].hop)
	host, _ := splitSentBy(sentBy)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	vector := `icid-value="` + c.ids.hex(16) + `";icid-generated-at=` + host
	if network := domain(c.cfg.Identity); network != "" {
		vector += ";orig-ioi=" + network
	}
	return vector
}

// room is how many bytes of body keep the message below its limit, whichever
// target it goes to; less than none where its addresses alone are too long.
func (c *Client) room(d *draft, targets []target) (int, error) {
	longest := 0
	for _, t := range targets {
		w, err := c.render(d, t)
		if err != nil {
			return 0, err
		}
		longest = max(longest, len(w.raw))
	}
	// Content-Length has one digit so far and may get four.
	return maxMessage - 1 - longest - 3, nil
}
