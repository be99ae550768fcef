package uac

// A core may send our MESSAGE to the application server of its receiver, which is the server
// behind us. It is recognised by the tag of its From, even if the core has changed the rest.

// Returned takes the From tag of a MESSAGE that came from the core, and the branch of the first
// of its Vias that looks like ours. It says whether the MESSAGE is one of ours, and for which
// user if it is still open. It does not block. A phone can also send back a MESSAGE that it got:
// so that is the word of one user only.
func (c *Client) Returned(tag, branch []byte) (user string, ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.messages[string(tag)]
	if m != nil {
		m.returned = true
		return m.user, true
	}
	return "", c.ids.mine(string(branch))
}

// underWay is a MESSAGE that has no response yet.
type underWay struct {
	user     string
	returned bool
}

func (c *Client) leaves(tag, user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[tag] = &underWay{user: user}
}

// ends removes a MESSAGE that has ended, and says whether it had come back.
func (c *Client) ends(tag string) (returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.messages[tag]
	delete(c.messages, tag)
	return m != nil && m.returned
}
