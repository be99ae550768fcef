// Package health is "rewatch health": it asks a rewatch that runs with the same environment whether it
// is alive or ready. It is for the HEALTHCHECK of a container, which has no shell, and for the check
// script of keepalived.
package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
)

// timeout is how long the answer may take.
const timeout = 2 * time.Second

// Command asks /healthz, or /readyz with -ready, and writes the answer. The error says that there was
// no answer, or another status than 200.
func Command(ctx context.Context, c cli.Call) error {
	path := "/healthz"
	switch {
	case len(c.Args) == 1 && (c.Args[0] == "-ready" || c.Args[0] == "--ready"):
		path = "/readyz"
	case len(c.Args) > 0:
		return cli.UsageError(fmt.Sprintf("%q takes -ready or nothing, but got %q", "health", strings.Join(c.Args, " ")))
	}
	cfg, err := config.Load(c.Environ)
	if err != nil {
		return err
	}
	if cfg.Admin.Listen == "" {
		return errors.New("REWATCH_ADMIN_LISTEN=off: nobody listens whom one could ask")
	}
	text, err := ask(ctx, cfg.Admin.Address(), path)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.Stdout, text)
	return err
}

// ask tries HTTP, then HTTPS if the server wants TLS. The certificate is not verified, because the
// server is on the same machine and the request contains no secret.
func ask(ctx context.Context, address, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // #nosec G402 -- see above
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	status, text, err := get(ctx, client, "http://"+address+path)
	if err == nil && status == http.StatusBadRequest && strings.Contains(text, "HTTPS server") {
		status, text, err = get(ctx, client, "https://"+address+path)
	}
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("%s says %d: %s", address, status, strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
	}
	return text, nil
}

func get(ctx context.Context, client *http.Client, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 16 << 10
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return resp.StatusCode, string(text), err
}
