package alarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// post sends v as JSON. A refusal that would be repeated is permanent; 408, 429
// and whatever a server in trouble says is not.
func post(ctx context.Context, client *http.Client, target string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "rewatch")
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("post to %s: %w", redact(target), cause(err))
	}
	// What is left unread would keep the connection from being used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close()
	return judge(res, target)
}

// judge says whether the receiver has taken it. A redirect, to a login page perhaps, is no
// delivery; it may be over at the next try.
func judge(res *http.Response, target string) error {
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 400 && code < 500 && code != http.StatusRequestTimeout && code != http.StatusTooManyRequests:
		return Permanent(fmt.Errorf("%s answered %s", redact(target), res.Status))
	default:
		return fmt.Errorf("%s answered %s", redact(target), res.Status)
	}
}

// cause takes the URL out of an error of package http.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// redact leaves out what of a URL may be a secret: user, path and query.
func redact(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return "receiver"
	}
	return u.Scheme + "://" + u.Host
}

// direct gives the client by which alarms are sent; nil means the default one, which
// honours the proxies of the environment. It follows no redirect: only the receiver
// that was named can say that it has an alarm, and no other host is to hear of it.
func direct(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
