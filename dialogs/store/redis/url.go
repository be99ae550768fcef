package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Forms describes the URLs that ParseURL accepts, for error messages.
const Forms = "redis://[user:password@]host[:port][/database], " +
	"redis+sentinel://[user:password@]host[:port],.../master[/database], " +
	"redis+cluster://[user:password@]host[:port],...; rediss for TLS"

const (
	defaultPort     = "6379"
	sentinelPort    = "26379"
	defaultPrefix   = "rewatch"
	plusSentinel    = "+sentinel"
	plusCluster     = "+cluster"
	paramPrefix     = "prefix"
	paramCA         = "ca"
	paramPassword   = "password_file"
	paramSentinelPW = "sentinel_password_file"
)

// Config says where Redis is, and how rewatch connects to it.
type Config struct {
	Addrs          []string
	Master         string // of Sentinel
	Cluster        bool
	User, Password string
	Database       int
	// SentinelPassword is the password of the Sentinels themselves.
	SentinelPassword string
	TLS              *tls.Config // nil: none
	// Prefix begins every key; several installations may share one Redis.
	Prefix string
	// Instance names this process: a later process of the same name reads the entries
	// that this one has written of its own server; no other process does.
	Instance string
}

// ParseURL reads one of the Forms. Parameters are prefix (of the keys), ca (a file
// with the certificates to trust), password_file and sentinel_password_file.
func ParseURL(raw string) (Config, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Config{}, errors.New("no URL")
	}
	c := Config{Prefix: defaultPrefix}
	secure, kind, err := splitScheme(scheme)
	if err != nil {
		return Config{}, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if authority, err = c.credentials(authority); err != nil {
		return Config{}, err
	}
	port := defaultPort
	if kind == plusSentinel {
		port = sentinelPort
	}
	if c.Addrs, err = addresses(authority, port); err != nil {
		return Config{}, err
	}
	if kind == "" && len(c.Addrs) > 1 {
		return Config{}, errors.New("several hosts are for redis+sentinel:// and redis+cluster://")
	}
	c.Cluster = kind == plusCluster
	if err := c.path(kind, path); err != nil {
		return Config{}, err
	}
	if secure {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c, c.parameters(query)
}

func splitScheme(scheme string) (secure bool, kind string, err error) {
	base, plus, _ := strings.Cut(scheme, "+")
	if plus != "" {
		kind = "+" + plus
	}
	if base != "redis" && base != "rediss" || kind != "" && kind != plusSentinel && kind != plusCluster {
		return false, "", fmt.Errorf("the scheme %s is not known", scheme)
	}
	return base == "rediss", kind, nil
}

// credentials removes user and password from an authority and returns the rest. One word
// without a colon is a password, as in redis-cli.
func (c *Config) credentials(authority string) (string, error) {
	i := strings.LastIndexByte(authority, '@')
	if i < 0 {
		return authority, nil
	}
	user, password, both := strings.Cut(authority[:i], ":")
	if !both {
		user, password = "", user
	}
	var err error
	if c.User, err = url.PathUnescape(user); err == nil {
		c.Password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", errors.New("user or password are not escaped as in a URL")
	}
	return authority[i+1:], nil
}

// addresses splits a list of hosts; a host without a port gets the one given.
func addresses(list, port string) ([]string, error) {
	var all []string
	for host := range strings.SplitSeq(list, ",") {
		addr := host
		if _, _, err := net.SplitHostPort(addr); err != nil {
			addr = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		name, number, err := net.SplitHostPort(addr)
		if n, bad := strconv.ParseUint(number, 10, 16); err != nil || bad != nil || n == 0 || name == "" || strings.ContainsAny(name, " /@[]") {
			return nil, fmt.Errorf("%q is no host:port", host)
		}
		all = append(all, addr)
	}
	return all, nil
}

// path reads what follows the hosts: the name of the master, and the database.
func (c *Config) path(kind, path string) error {
	database := path
	switch kind {
	case plusSentinel:
		if c.Master, database, _ = strings.Cut(path, "/"); c.Master == "" {
			return errors.New("after the Sentinels comes the name of the master, as in redis+sentinel://host:26379/mymaster")
		}
	case plusCluster:
		if path != "" {
			return errors.New("a cluster has no databases")
		}
	}
	if database == "" {
		return nil
	}
	n, err := strconv.ParseUint(database, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no number of a database", database)
	}
	c.Database = int(n) // #nosec G115 -- sixteen bits
	return nil
}

func (c *Config) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the parameters after ? cannot be read")
	}
	for name, list := range values {
		value := list[len(list)-1]
		switch name {
		case paramPrefix:
			c.Prefix = value
		case paramCA:
			err = c.trust(value)
		case paramPassword:
			c.Password, err = readSecret(value)
		case paramSentinelPW:
			c.SentinelPassword, err = readSecret(value)
		default:
			err = fmt.Errorf("the parameter %s is not known", name)
		}
		if err != nil {
			return err
		}
	}
	if c.Prefix == "" || strings.ContainsAny(c.Prefix, "{}") {
		return errors.New("the prefix is empty or has braces")
	}
	return nil
}

func (c *Config) trust(file string) error {
	if c.TLS == nil {
		return errors.New("ca is for rediss://")
	}
	pem, err := os.ReadFile(file) // #nosec G304 -- the operator's file
	if err != nil {
		return err
	}
	c.TLS.RootCAs = x509.NewCertPool()
	if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate (PEM)", file)
	}
	return nil
}

func readSecret(file string) (string, error) {
	b, err := os.ReadFile(file) // #nosec G304 -- the operator's file
	return strings.TrimRight(string(b), "\r\n"), err
}
