package uac

import (
	"context"
	"errors"
	"strings"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
)

// everything is the Contact that removes all bindings (RFC 3261 10.2.2).
const everything = "*"

var (
	// ErrBindingRemains is the Result.Err of a de-REGISTER that was answered with
	// 200 although the registrar still lists a binding that was to be removed.
	ErrBindingRemains = errors.New("binding still there")
	errDomain         = errors.New("no domain to send the REGISTER to")
)

// Deregister signs a user out with a third-party REGISTER (RFC 3261 10.2.2). A
// 200 does not prove that the binding is removed: the registrar may spell it in another way, and
// then lists it still. In this case a second REGISTER has the spelling of the registrar.
func (c *Client) Deregister(ctx context.Context, j dialogs.DeregisterJob) dialogs.Result {
	ours := binding{uri: everything}
	if contact := clean(j.Contact); contact != "" {
		if ours = bindingOf(contact); !strings.Contains(contact, "<") {
			ours = bindingOf("<" + contact + ">") // its parameters are the URI's
		}
	}
	if device := instanceOf(clean(j.Device)); device != "" {
		ours.instance = device
	}
	targets, err := c.registrar(ctx, j)
	if err != nil {
		return dialogs.Result{Err: err}
	}
	res, left := c.unbind(ctx, j, targets, ours)
	if left != "" && ours.uri != everything {
		ours.uri = left
		res, left = c.unbind(ctx, j, targets, ours)
	}
	if left != "" {
		res.Err = ErrBindingRemains
	}
	return res
}

func (c *Client) registrar(ctx context.Context, j dialogs.DeregisterJob) ([]target, error) {
	if j.Target == dialogs.AtServer {
		return c.direct(ctx, dialogs.Server, c.cfg.Server)
	}
	return c.toward(ctx, j.Route, "")
}

// unbind sends one REGISTER, and gives the binding that remains, as the registrar spells it. Its
// Call-ID is new, because a registrar answers 500 to a known Call-ID with a CSeq that is not
// higher.
func (c *Client) unbind(ctx context.Context, j dialogs.DeregisterJob, targets []target, ours binding) (dialogs.Result, string) {
	d, err := c.register(j, ours)
	if err != nil {
		return dialogs.Result{Err: err}, ""
	}
	res, err := c.exchange(ctx, d, targets)
	if err != nil || !res.IsSuccess() {
		return result(res, err), ""
	}
	if j.Target == dialogs.AtServer && gone(res) {
		return result(res, nil), "" // some servers echo the Contact of a third-party REGISTER
	}
	left, others := remaining(contacts(res), ours)
	told := result(res, nil)
	told.Others = others
	return told, left
}

// gone says whether a response grants no time at all.
func gone(res *sip.Response) bool {
	h := res.GetHeader("Expires")
	return h != nil && strings.TrimSpace(h.Value()) == "0"
}

func (c *Client) register(j dialogs.DeregisterJob, ours binding) (*draft, error) {
	uri, err := c.registrarURI(j)
	if err != nil {
		return nil, err
	}
	d := c.start(sip.REGISTER, uri, j.AOR)
	switch {
	case ours.uri == everything:
		d.add("Contact", everything)
	case sound(ours.uri) && ours.instance != "" && sound(ours.instance):
		d.add("Contact", "<"+ours.uri+`>;+sip.instance="<`+ours.instance+`>"`)
	case sound(ours.uri):
		d.add("Contact", "<"+ours.uri+">")
	default:
		return nil, errAddress
	}
	d.add("Expires", "0")
	d.add("P-Asserted-Identity", "<"+c.cfg.Identity+">")
	c.addOwn(d)
	return d, nil
}

// registrarURI is the domain of the user. A tel URI has none: then it is the name of the core,
// which knows where the number is registered.
func (c *Client) registrarURI(j dialogs.DeregisterJob) (string, error) {
	if !sound(j.AOR) {
		return "", errAddress
	}
	candidates := []string{j.AOR, j.Route}
	if j.Target == dialogs.AtServer {
		candidates = []string{j.AOR, c.cfg.Server}
	}
	for _, uri := range append(candidates, c.cfg.Core...) {
		if host := domain(bareURI(uri)); host != "" {
			return "sip:" + host, nil
		}
	}
	return "", errDomain
}
