package ctl

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"rewatch/cmd/rewatch/cli"
	"rewatch/cmd/rewatch/config"
	"rewatch/cmd/rewatch/webconfig"
)

// timeout is how long an answer may take. A wrong token costs some seconds.
const timeout = 15 * time.Second

// controller talks to the API of one rewatch.
type controller struct {
	out                   io.Writer
	client                *http.Client
	base                  string // such as http://127.0.0.1:9090
	token, user, password string
}

// connect finds the address and the secrets of the rewatch to ask: from the flags, else from the
// environment. It sends nothing yet.
func connect(o options, c cli.Call) (*controller, error) {
	cfg, err := config.LoadControl(c.Environ)
	if err != nil {
		return nil, err
	}
	ctl := &controller{out: c.Stdout, token: o.token, user: o.user}
	if ctl.token == "" {
		ctl.token = cfg.Admin.Token.Reveal()
	}
	for _, secret := range []struct {
		file string
		into *string
	}{{o.tokenFile, &ctl.token}, {o.passwordFile, &ctl.password}} {
		if secret.file == "" {
			continue
		}
		text, err := os.ReadFile(secret.file)
		if err != nil {
			return nil, err
		}
		*secret.into = strings.TrimRight(string(text), "\r\n")
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if err := o.trust(transport.TLSClientConfig, cfg.Admin); err != nil {
		return nil, err
	}
	if ctl.base, err = ctl.find(o.address, cfg.Admin); err != nil {
		return nil, err
	}
	ctl.client = &http.Client{
		Transport: transport, Timeout: timeout,
		// A redirect would take the token to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return ctl, nil
}

// trust reads the certificates that the flags name.
func (o options) trust(t *tls.Config, admin config.AdminConfig) error {
	if o.ca == "" && o.address == "" && admin.Scheme() == "https" {
		if err := expect(t, admin.Web); err != nil {
			return fmt.Errorf("REWATCH_ADMIN_WEB_CONFIG: %w", err)
		}
	}
	if o.ca != "" {
		text, err := os.ReadFile(o.ca)
		if err != nil {
			return err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: no certificate in it", o.ca)
		}
	}
	if o.cert != "" || o.key != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("-cert %s -key %s: %w", o.cert, o.key, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// expect makes a client accept exactly the certificate in a file, which is that of the rewatch on
// this machine. So it does not matter who has signed the certificate, or for which name.
func expect(t *tls.Config, file string) error {
	own, err := webconfig.Certificate(file)
	if err != nil {
		return err
	}
	t.InsecureSkipVerify = true // #nosec G402 -- it is verified here
	t.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, own) {
			return errors.New("the server shows another certificate than " + file + " names")
		}
		return nil
	}
	return nil
}

// find gives the URL before the path of each request, without a slash at its end. A user and a
// password in it are for basic authentication.
func (c *controller) find(address string, admin config.AdminConfig) (string, error) {
	if address == "" {
		if admin.Listen == "" || admin.Listen == "off" {
			return "", errors.New("REWATCH_ADMIN_LISTEN=off: nobody listens whom one could ask")
		}
		address = admin.Scheme() + "://" + admin.Address()
	}
	if !strings.Contains(address, "://") {
		address = admin.Scheme() + "://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", cli.UsageError(fmt.Sprintf("-address takes host:port or a URL such as https://rewatch.example:9090, but got %q", address))
	}
	if u.User != nil {
		c.user = u.User.Username()
		c.password, _ = u.User.Password()
		u.User = nil
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// change sends a request that changes something.
func (c *controller) change(ctx context.Context, method, path string, body any) error {
	if c.token == "" {
		return errors.New("a change needs the token: REWATCH_ADMIN_TOKEN, -token or -token-file")
	}
	_, err := c.ask(ctx, method, path, body)
	return err
}

// ask sends a request and gives the body of the answer. If the API refuses the request, the error is
// the text of the API.
func (c *controller) ask(ctx context.Context, method, path string, body any) ([]byte, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1/"+path, text)
	if err != nil {
		return nil, err
	}
	if c.token != "" && method != http.MethodGet {
		req.Header.Set("X-Rewatch-Token", c.token)
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("%s: %w", c.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 16 << 20
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil || resp.StatusCode == http.StatusOK {
		return answer, err
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Error == "" {
		said.Error, _, _ = strings.Cut(strings.TrimSpace(string(answer)), "\n")
	}
	return nil, fmt.Errorf("%s says %d: %s", c.base, resp.StatusCode, said.Error)
}

func (c *controller) say(text string) error {
	_, err := fmt.Fprintln(c.out, text)
	return err
}
