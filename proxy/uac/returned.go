package uac

// A core may send our MESSAGE to the application server of its receiver, which is
// the one behind us. The tag of its From tells it, whatever the core has done to
// the rest of it.

// Returned takes the From tag of a MESSAGE that came from the core, and the branch of the
// first of its Vias that looks like ours, and says whether it is one of ours, and whose if
// it is under way. It does not block. A phone that got a MESSAGE can send it back itself:
// that is the word of one user.
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

// ends says whether a MESSAGE that is over had come back.
func (c *Client) ends(tag string) (returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.messages[tag]
	delete(c.messages, tag)
	return m != nil && m.returned
}
