package uac

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/emiago/sipgo/sip"

	"rewatch/dialogs"
)

// ErrTimeout is the Result.Err of a request that nobody answered before Timer F.
var ErrTimeout = dialogs.ErrNoResponse

// feedSize bounds the responses of one transaction that wait to be handled.
const feedSize = 8

// responseParser parses only the headers that matching a response needs. All others stay text,
// so that a malformed one does not lose the response.
var responseParser = sip.NewParser(sip.WithHeadersParsers(matchingHeaders()))

func matchingHeaders() map[string]sip.HeaderParser {
	few := make(map[string]sip.HeaderParser)
	for _, name := range []string{"via", "v", "cseq"} {
		few[name] = sip.DefaultHeadersParser()[name]
	}
	return few
}

// transaction is one client transaction while it runs.
type transaction struct {
	method sip.RequestMethod
	feed   chan *sip.Response
	lost   chan struct{} // closed when the network refused the request
	again  chan struct{} // signalled when it is to be sent once more
	once   sync.Once
}

// Receive takes a response whose uppermost Via branch starts with [BranchPrefix]. true: a request
// of ours waits for it. It copies what it needs from raw and never blocks: a transaction of
// sipgo may block, so the response is queued for the goroutine that serves it.
func (c *Client) Receive(raw []byte) bool {
	msg, _, err := responseParser.ParseHeaders(raw, false)
	if err != nil {
		return false
	}
	res, ok := msg.(*sip.Response)
	if !ok || res.Via() == nil || res.CSeq() == nil {
		return false
	}
	branch, _ := res.Via().Params.Get("branch")
	c.mu.Lock()
	t := c.open[branch]
	c.mu.Unlock()
	if t == nil || t.method != res.CSeq().MethodName {
		return false
	}
	t.offer(res)
	return true
}

// offer queues a response if there is room. Half of the room is reserved for final responses, so
// that a flood of provisional ones does not lose them.
func (t *transaction) offer(res *sip.Response) {
	if res.IsProvisional() && len(t.feed) >= feedSize/2 {
		return
	}
	select {
	case t.feed <- res:
	default:
	}
}

// ErrUnreachable is the transport error of a request that the network refused
// after it was sent: by ICMP, or because the connection could not be opened.
var ErrUnreachable = errors.New("next hop unreachable")

// Unreachable is told that the request with this branch did not arrive. It is tried at the next
// hop at once (RFC 3261 8.1.3.1, RFC 3263 4.3).
func (c *Client) Unreachable(branch []byte) {
	c.mu.Lock()
	t := c.open[string(branch)]
	c.mu.Unlock()
	if t != nil {
		t.once.Do(func() { close(t.lost) })
	}
}

// Interrupted is told that our side has closed the connection by which the request with this
// branch was sent. It is sent once more, because that says nothing about the hop.
func (c *Client) Interrupted(branch []byte) {
	c.mu.Lock()
	t := c.open[string(branch)]
	c.mu.Unlock()
	if t == nil {
		return
	}
	select {
	case t.again <- struct{}{}:
	default:
	}
}

func (c *Client) begin(branch string, method sip.RequestMethod) *transaction {
	t := &transaction{method: method, feed: make(chan *sip.Response, feedSize), lost: make(chan struct{}), again: make(chan struct{}, 1)}
	c.mu.Lock()
	c.open[branch] = t
	c.mu.Unlock()
	return t
}

func (c *Client) end(branch string) {
	c.mu.Lock()
	delete(c.open, branch)
	c.mu.Unlock()
}

// transact sends one request to one hop and waits for its final response; coming is called with
// each provisional one. All goroutines that it started have ended when it returns.
func (c *Client) transact(ctx context.Context, hop Hop, w rendered, coming func()) (*sip.Response, error) {
	t := c.begin(w.branch, w.req.Method)
	defer c.end(w.branch)
	way := &path{sender: c.cfg.Sender, hop: hop, raw: w.raw}
	tx := sip.NewClientTx(w.branch, w.req, way, c.slog)
	if err := tx.Init(); err != nil {
		tx.Terminate()
		return nil, err
	}
	var feeder sync.WaitGroup
	done := make(chan struct{})
	feeder.Go(func() { t.serve(tx, done) })
	res, err := t.await(ctx, tx, way, coming)
	close(done)
	if err != nil {
		// The feeder may be blocked with a response that nobody takes any more.
		tx.Terminate()
	}
	// After a final response wait for the feeder first, so that the timer that sipgo starts
	// there (Timer K) is stopped with the others.
	feeder.Wait()
	tx.Terminate()
	return res, err
}

// serve hands the responses to the transaction of sipgo, one by one.
func (t *transaction) serve(tx *sip.ClientTx, done <-chan struct{}) {
	for {
		select {
		case res := <-t.feed:
			tx.Receive(res)
		case <-tx.Done():
			return
		case <-done:
			return
		}
	}
}

func (t *transaction) await(ctx context.Context, tx *sip.ClientTx, way *path, coming func()) (*sip.Response, error) {
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
			coming()
		case <-tx.Done():
			return nil, failure(tx.Err())
		case <-t.lost:
			return nil, ErrUnreachable
		case <-t.again:
			if err := way.WriteMsg(nil); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
		}
	}
}

func failure(err error) error {
	if errors.Is(err, sip.ErrTransactionTimeout) {
		return ErrTimeout
	}
	return err
}

// path is the sip.Connection of one transaction: it writes the bytes for this hop through the
// Sender, the same at every retransmission.
type path struct {
	sender Sender
	hop    Hop
	raw    []byte
}

func (p *path) WriteMsg(sip.Message) error { return p.sender.Send(p.hop, p.raw) }

// LocalAddr is not known here: the Sender chooses the socket.
func (p *path) LocalAddr() net.Addr { return nil }

// The socket outlives the transaction, so there is nothing to count or to close.

func (p *path) Ref(int) int            { return 1 }
func (p *path) TryClose() (int, error) { return 1, nil }
func (p *path) Close() error           { return nil }
