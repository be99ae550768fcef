package uac

// A core may send our MESSAGE to the application server of its receiver, which is
// the one behind us. The tag of its From tells it, whatever the core has done to
// the rest of it.

// Returned takes the From tag of a MESSAGE that came from the core, and says
// whether it is one of ours that is under way. It does not block.
func (c *Client) Returned(tag []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ours := c.messages[string(tag)]
	if ours {
		c.messages[string(tag)] = true
	}
	return ours
}

func (c *Client) leaves(tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[tag] = false
}

// ends says whether a MESSAGE that is over had come back.
func (c *Client) ends(tag string) (returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	returned = c.messages[tag]
	delete(c.messages, tag)
	return returned
}
