package recovery

import "rewatch/policy"

// Client is what has become of the subscriptions of one family of clients.
type Client struct {
	// Failures counts those that broke, Returns those that came back, by what brought
	// them back. What is missing came back by nothing, or has yet to.
	Failures uint64
	Returns  [policy.ByItself + 1]uint64
}

// Returned implements Recovery.
func (e *Engine) Returned(userAgent string, by policy.By) {
	e.metrics.returns[by].Inc()
	e.clients.Change(userAgent, func(c *Client) { c.Returns[by]++ })
}

// Clients tells what clients know, by the family of their software.
func (e *Engine) Clients() map[string]Client { return e.clients.All() }
