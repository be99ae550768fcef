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

// post sends v as JSON by HTTP POST. The error is Permanent if a further try would get the same
// answer (see judge).
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
	// The connection can be used again only if the body was read to its end.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close()
	return judge(res, target)
}

// judge returns nil if the status of a response is 2xx: the receiver has taken the alarm. A 4xx is
// a Permanent error, except 408 and 429, which ask for a later try. All other statuses are errors
// after which a further try may succeed; among them are redirects, such as to a login page.
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

// cause removes the URL from an error of package http, because the URL may have a secret in it.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// redact gives scheme and host of a URL. User, path and query may be secrets.
func redact(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return "receiver"
	}
	return u.Scheme + "://" + u.Host
}

// direct gives a copy of a client that follows no redirects: the alarm must reach the receiver that
// the operator named, and no other host. If c is nil, it is a copy of the default client, which
// uses the HTTP proxies of the environment.
func direct(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
