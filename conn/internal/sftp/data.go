package sftp

// Read fills p from off. Data that comes short is asked on for, so that n is
// less than len(p) only with an error: io.EOF where the server said that the
// file ends. p belongs to the session until done. A p over the server's limit
// is served in pieces, one after another.
func (c *Client) Read(handle string, p []byte, off uint64, done func(n int, err error)) *Request {
	into := &readInto{buf: p}
	r := &Request{typ: typeRead, read: into, lost: func(err error) { done(into.n, err) }}
	r.body = func(b []byte) []byte {
		b = appendUint64(appendString(b, handle), off+uint64(into.n))
		return appendUint32(b, uint32(min(len(into.buf), maxIO)))
	}
	r.reply = func(typ byte, d *decoder) error {
		switch {
		case typ == typeData && len(into.buf) == 0:
			done(into.n, nil)
		case typ == typeData:
			c.again(r)
		case typ == typeStatus:
			err, bad := d.status()
			if bad != nil {
				return bad
			}
			if err == nil {
				return errOK
			}
			done(into.n, err)
		default:
			return broken("an answer of the wrong type")
		}
		return nil
	}
	c.start(r)
	return r
}

// again queues a request for what is missing of it.
func (c *Client) again(r *Request) {
	c.mu.Lock()
	if c.cause == nil {
		c.queue = append(c.queue, r)
		c.mu.Unlock()
		c.poke()
		return
	}
	c.queue = append(c.queue, r) // the reader, which is the caller, abandons it
	c.mu.Unlock()
}

// Write writes p at off. p belongs to the session until done. It is at most as
// long as the server's limit.
func (c *Client) Write(handle string, p []byte, off uint64, done func(error)) *Request {
	r := request(typeWrite, typeStatus, func(b []byte) []byte {
		b = appendUint64(appendString(b, handle), off)
		b = appendUint32(b, uint32(len(p)))
		return append(b, p...)
	}, nothing, plain(done))
	c.start(r)
	return r
}
